"""The network of the benchmarks on our batches: plain Keras layers, and PyTorch behind skorch.

All of them train for one epoch at each `partial_fit`, for two classes, 0 and 1.
"""

import keras
import numpy as np
import torch
from _batches import our_batches
from _networks import ADAM, BATCH_SIZE, keras_network
from _torch_network import TorchNetwork
from skorch import NeuralNetBinaryClassifier


class KerasOnOurBatches:
    """Plain Keras layers and `train_on_batch`, which was faster than `fit` over a generator."""

    def __init__(self, n_ids, seed):
        keras.utils.set_random_seed(seed)
        self.rng = np.random.default_rng(seed)
        self.network = keras_network(n_ids, 1)
        self.network.compile(ADAM["optimizer"], "binary_crossentropy", metrics=["accuracy"])

    def partial_fit(self, X, y, classes=None):
        for ids, targets in our_batches(X, y[:, None], self.rng):
            self.network.train_on_batch(ids, targets)

    def predict(self, X):
        return (self.network.predict(X, verbose=0)[:, 0] > 0.5).astype(int)


class TorchBatches:
    """Our batches in the form in which skorch asks for them."""

    def __init__(self, dataset, batch_size, rng):
        self.dataset, self.rng = dataset, rng

    def __iter__(self):
        y = np.asarray(self.dataset.y, dtype=np.float32)
        for ids, targets in our_batches(self.dataset.X, y, self.rng):
            yield torch.from_numpy(ids), torch.from_numpy(targets)


class AdamWithSparseRows(torch.optim.Optimizer):
    """SparseAdam for the embedding and Adam for the rest.

    skorch evaluates the network once for each optimizer that it knows of, so these look like one.
    """

    def __init__(self, network, lr):
        super().__init__(network.parameters(), {"lr": lr})
        table = network.embedding.weight
        others = [p for p in network.parameters() if p is not table]
        self.parts = [torch.optim.SparseAdam([table], lr=lr), torch.optim.Adam(others, lr=lr)]

    def zero_grad(self):
        for part in self.parts:
            part.zero_grad()

    def step(self, closure):
        with torch.enable_grad():
            closure()
        for part in self.parts:
            part.step()


class SparseNet(NeuralNetBinaryClassifier):
    """skorch's classifier with that pair of optimizers."""

    def initialize_optimizer(self, triggered_directly=None):
        self.optimizer_ = AdamWithSparseRows(self.module_, self.lr)
        return self


def skorch_textcnn(n_ids, seed, sparse):
    """PyTorch behind skorch: dense gradients and Adam, or sparse gradients of the embedding."""
    torch.manual_seed(seed)
    return (SparseNet if sparse else NeuralNetBinaryClassifier)(
        TorchNetwork,
        module__n_ids=n_ids,
        module__sparse=sparse,
        optimizer=torch.optim.Adam,
        lr=ADAM["learning_rate"],
        batch_size=BATCH_SIZE,
        max_epochs=1,
        iterator_train=TorchBatches,
        iterator_train__rng=np.random.default_rng(seed),
        train_split=None,
        verbose=0,
    )
