"""What scikit-learn's tests ask of its own classifiers, asked of ours, and others' training.

A network of single tokens is scikit-learn's `MLPClassifier`, and every network is one that anybody
could write in Keras: both are trained beside ours, from the same first weights.
"""

import itertools

import numpy as np
import pytest
from classifiers import (
    CLASSES,
    DATA,
    IDS,
    NAMES,
    NEW_CLASSES,
    NEW_IDS,
    PLAIN,
    TWO_CLASSES,
    TWO_IDS,
    same_weights,
    small,
)
from corpora import FIRST_FILLER
from sampling import some
from sklearn.base import clone
from sklearn.metrics import balanced_accuracy_score, f1_score, log_loss, roc_auc_score
from sklearn.neural_network import MLPClassifier

from sklearn_textcnn import NgramLinearClassifier
from sklearn_textcnn.network.architecture import map_arrays

LINEAR = NgramLinearClassifier(random_state=0)
NETWORK = small(**PLAIN)
# One step an epoch, and it sees every document: their order does not matter.
FULL_BATCH = PLAIN | {"batch_size": 1000, "dropout": 0.0}
either = pytest.mark.parametrize("model", [NETWORK, LINEAR], ids=["network", "linear"])


def first_weights(settings, ids, y):
    """The weights that a fit begins with: those after a step too small to change them."""
    still = {"learning_rate": 1e-30, "epochs": 1, "optimizer": "sgd", "max_norm": None}
    weights = small(**settings | still).fit(ids, y)._weights
    # zeros must stay zeros, where relu has its kink
    return map_arrays(lambda array: np.where(np.abs(array) < 1e-20, 0, array), weights)


# Beside scikit-learn's network


def perceptron(weights, one_hot, y, n_steps, **settings):
    """Scikit-learn's network after some steps from these weights, and the loss before each."""
    units = [len(bias) for bias in (weights["biases"][0][0], *weights["dense_biases"][:-1])]
    settings |= {"alpha": 0, "momentum": 0, "epsilon": 1e-7, "batch_size": len(y)}
    model = MLPClassifier(units, **settings, random_state=0)
    model.partial_fit(one_hot, y, classes=np.unique(y))
    kernels = [weights["tables"][0][2:], *weights["dense_kernels"]]
    model.coefs_ = [kernel.astype(float) for kernel in kernels]
    model.intercepts_ = [
        bias.astype(float) for bias in (weights["biases"][0][0], *weights["dense_biases"])
    ]
    del model._optimizer  # what it knows is about other weights
    losses = [model.partial_fit(one_hot, y).loss_ for _ in range(n_steps)]
    return model, losses


@pytest.mark.parametrize("engine", ["numpy", pytest.param("keras", marks=pytest.mark.slow)])
@pytest.mark.parametrize(("solver", "rate"), [("sgd", 0.5), ("adam", 0.02)])
@pytest.mark.parametrize(
    ("n_classes", "hidden_units", "activation"),
    [(2, (), "relu"), (3, (), "tanh"), (3, (5,), "relu")],
)
def test_a_network_of_single_tokens_is_a_perceptron(
    n_classes, hidden_units, activation, solver, rate, engine
):
    rng = np.random.default_rng(0)
    tokens = np.resize(np.arange(12), 84)
    y = np.where(rng.random(84) < 0.8, tokens % n_classes, rng.integers(0, n_classes, 84))
    ids, one_hot = tokens[:, None] + 2, np.eye(12)[tokens]
    settings = FULL_BATCH | {"embedding_dim": None, "kernel_sizes": 1, "filters": 6}
    settings |= {"hidden_units": hidden_units, "activation": activation}
    start = first_weights(settings, ids, y)
    settings |= {"optimizer": solver, "learning_rate": rate, "epochs": 20, "engine": engine}
    ours = small(**settings).fit(ids, y)
    theirs, losses = perceptron(
        start, one_hot, y, 20, solver=solver, learning_rate_init=rate, activation=activation
    )
    assert losses[-1] < 0.9 * losses[0]
    np.testing.assert_allclose(ours.history_["loss"], losses, rtol=1e-4)
    np.testing.assert_allclose(ours.predict_proba(ids), theirs.predict_proba(one_hot), atol=1e-4)


# Beside Keras


class ByHand:
    """The network of a classifier as one writes it in Keras, trained by `Model.fit` itself.

    Tokens are one-hot vectors times a matrix, so that every optimizer sees whole tables.
    """

    def __init__(self, keras, classifier, weights, output):
        self.keras, self.classifier, self.weights = keras, classifier, weights
        self.l2 = keras.regularizers.L2(classifier.l2)
        self.layers, self.arrays = [], []
        ops, (table,) = keras.ops, weights["tables"]
        ids = keras.Input((None,), dtype="int32")
        counts = ops.cast(ops.expand_dims(ids != 0, 2), "float32")  # (n, T, 1)
        x = ops.one_hot(ids, len(table)) * counts
        if classifier.embedding_dim is not None:
            x = self._add(keras.layers.Dense(table.shape[1], use_bias=False), x, table)
        pooled = [self._pooled(x, counts, i) for i in range(len(weights["kernels"]))]
        x = ops.concatenate([part for parts in pooled for part in parts], axis=1)
        *hidden, last = zip(weights["dense_kernels"], weights["dense_biases"], strict=True)
        for arrays in hidden:
            x = self._dense(x, arrays, classifier.activation)
        limit = classifier.max_norm and keras.constraints.MaxNorm(classifier.max_norm, axis=0)
        self.model = keras.Model(ids, self._dense(x, last, output, kernel_constraint=limit))
        for layer, arrays in zip(self.layers, self.arrays, strict=True):
            layer.set_weights(arrays)

    def _add(self, layer, x, *arrays):
        self.layers.append(layer)
        self.arrays.append(arrays)
        return layer(x)

    def _dense(self, x, arrays, activation, **settings):
        settings |= {"activation": activation, "kernel_regularizer": self.l2}
        return self._add(self.keras.layers.Dense(len(arrays[1]), **settings), x, *arrays)

    def _pooled(self, x, counts, i):
        """What is pooled of the last convolution of a kernel size."""
        layers, ops, a = self.keras.layers, self.keras.ops, self.classifier
        for layer, (kernel, bias) in enumerate(self._convolutions(i)):
            if layer:
                pool = layers.MaxPooling1D(2, padding="same")
                x, counts = pool(ops.where(counts > 0, x, -1e9)), pool(counts)
                x = ops.where(counts > 0, x, 0)
            is_table = a.embedding_dim is None and not layer  # which is not penalised
            settings = {"kernel_regularizer": None if is_table else self.l2}
            settings |= {"filters": len(bias), "kernel_size": len(kernel)}
            convolution = layers.Conv1D(**settings, activation=a.activation)
            x = self._add(convolution, layers.ZeroPadding1D((0, len(kernel) - 1))(x), kernel, bias)
        if "max" in a.pooling:
            yield ops.max(ops.where(counts > 0, x, -1e9), axis=1)
        if "average" in a.pooling:
            yield ops.sum(x * counts, axis=1) / ops.sum(counts, axis=1)

    def _convolutions(self, i):
        """Kernel and bias of each layer of a kernel size."""
        kernels, biases = self.weights["kernels"][i], self.weights["biases"][i]
        if self.classifier.embedding_dim is None:
            (table,), n = self.weights["tables"], len(biases[0])
            sizes = [k * n for k in self.classifier.kernel_sizes]
            part = table[:, sum(sizes[:i]) : sum(sizes[: i + 1])].reshape(len(table), -1, n)
            kernels = [part.transpose(1, 0, 2), *kernels]
        return zip(kernels, biases, strict=True)

    def train(self, ids, targets, class_weight):
        """Losses of the steps: one for all documents in each epoch."""
        a, losses = self.classifier, self.keras.losses
        is_softmax = self.model.layers[-1].activation is self.keras.activations.softmax
        loss = losses.CategoricalCrossentropy if is_softmax else losses.BinaryCrossentropy
        optimizer = self.keras.optimizers.get("adam" if a.optimizer == "lazyadam" else a.optimizer)
        optimizer.learning_rate = a.learning_rate
        self.model.compile(optimizer, loss(label_smoothing=a.label_smoothing), run_eagerly=True)
        settings = {"batch_size": len(ids), "epochs": a.epochs, "shuffle": False, "verbose": 0}
        run = self.model.fit(ids, targets, class_weight=class_weight, **settings)
        return run.history["loss"]


# Mean weights of 1: ours is the mean loss by weight, that of Keras the mean of all documents.
WEIGHTED = {"two": {0: 0.4, 1: 1.6}, "three": {0: 0.5, 1: 1.8, 2: 0.7}}
CONV_LAYERS = {"conv_layers": 2, "l2": 0.01}
TRAININGS = [
    ("three", "sgd", 0.5, {"l2": 0.01, "max_norm": 0.8, "label_smoothing": 0.2}),
    ("two", "adam", 0.03, {"class_weight": WEIGHTED["two"], "hidden_units": (5,), "l2": 0.01}),
    ("several", "rmsprop", 0.01, {"l2": 0.01, "label_smoothing": 0.1, "embedding_dim": None}),
    ("three", "adagrad", 0.1, {"activation": "tanh", "class_weight": WEIGHTED["three"]}),
    ("three", "adamw", 0.05, {"activation": "linear", "max_norm": 0.7, "hidden_units": (6, 5)}),
    ("two", "adadelta", 5.0, {"label_smoothing": 0.3, "embedding_dim": None, "max_norm": 0.5}),
    ("several", "lazyadam", 0.03, {"activation": "tanh", "max_norm": 0.6, "hidden_units": (5,)}),
]
BY_KERAS = [
    ("two", "adam", 0.03, {"pooling": "max+average", "class_weight": WEIGHTED["two"]}),
    ("three", "sgd", 0.5, {"pooling": "average", "max_norm": 0.8, "embedding_dim": None}),
    ("three", "rmsprop", 0.01, CONV_LAYERS | {"class_weight": WEIGHTED["three"]}),
    ("several", "adamw", 0.03, CONV_LAYERS | {"pooling": "average", "activation": "tanh"}),
    ("two", "adagrad", 0.1, CONV_LAYERS | {"pooling": "max+average", "activation": "linear"}),
]


@pytest.mark.parametrize(
    ("engine", "data", "optimizer", "rate", "settings"),
    [
        *some([("numpy", *training) for training in TRAININGS], every=3),
        # one of them is trained by each engine in `test_engines.py`, too
        *some([(), *(("keras", *training) for training in BY_KERAS + TRAININGS)], every=99)[1:],
    ],
)
def test_training_is_that_of_keras(keras, engine, data, optimizer, rate, settings):
    ids, y = DATA[data]
    settings = FULL_BATCH | settings
    start = first_weights(settings, ids, y)
    settings |= {"optimizer": optimizer, "learning_rate": rate, "epochs": 6, "engine": engine}
    ours = small(**settings).fit(ids, y)
    output, targets = {
        "two": ("sigmoid", y.reshape(len(y), -1)),
        "three": ("softmax", y[..., None] == np.arange(3)),
        "several": ("sigmoid", y),
    }[data]
    by_hand = ByHand(keras, ours, start, output)
    losses = by_hand.train(ids, targets.astype("float32"), settings.get("class_weight"))
    assert losses[-1] < losses[0]
    np.testing.assert_allclose(ours.history_["loss"], losses, rtol=1e-4)
    probabilities = ours.predict_proba(ids)
    if data == "two":
        probabilities = probabilities[:, 1:]
    np.testing.assert_allclose(probabilities, by_hand.model.predict(ids, verbose=0), atol=2e-4)
    table = by_hand.layers[0].get_weights()[0]
    if ours.embedding_dim is not None:
        np.testing.assert_allclose(ours._weights["tables"][0], table, atol=2e-4)


# What is learned


ACTIVATIONS = itertools.product(["relu", "tanh", "linear"], DATA)


@pytest.mark.parametrize(("activation", "name"), some(ACTIVATIONS, every=4))
def test_every_activation_learns(activation, name):
    ids, y = DATA[name]
    model = small(**PLAIN, activation=activation, epochs=15).fit(ids, y)
    assert model.score(ids, y) > 0.95
    predicted = model.predict(ids)
    assert predicted.shape == y.shape
    assert predicted.dtype.kind == y.dtype.kind


DESCENTS = itertools.product(["relu", "tanh"], DATA)


@pytest.mark.parametrize(("activation", "name"), some(DESCENTS, every=2))
def test_descent_on_all_documents_lowers_the_loss_in_every_step(activation, name):
    settings = FULL_BATCH | {"optimizer": "sgd", "learning_rate": 0.05, "l2": 1e-3}
    model = small(**settings, activation=activation, epochs=40).fit(*DATA[name])
    assert (np.diff(model.history_["loss"]) < 0).all()


def test_a_heavy_penalty_leaves_only_how_frequent_classes_are():
    rows = np.flatnonzero((CLASSES > 0) | (np.arange(len(CLASSES)) % 4 == 0))
    shares = np.bincount(CLASSES[rows]) / len(rows)
    settings = FULL_BATCH | {"optimizer": "sgd", "learning_rate": 0.8, "epochs": 80}
    heavy = small(**settings, l2=1.0).fit(IDS[rows], CLASSES[rows])
    np.testing.assert_allclose(
        heavy.predict_proba(NEW_IDS), np.tile(shares, (len(NEW_IDS), 1)), atol=1e-3
    )
    light = small(**settings, l2=0.0).fit(IDS[rows], CLASSES[rows])
    assert np.ptp(light.predict_proba(NEW_IDS)[:, 0]) > 0.1


def noisy(n_documents=240, share=0.5, seed=0):
    """Documents of two classes, some of which have the word of the other class."""
    rng = np.random.default_rng(seed)
    y = (rng.random(n_documents) < share).astype(int)
    word = np.where(rng.random(n_documents) < 0.75, y, 1 - y)
    ids = rng.integers(FIRST_FILLER, FIRST_FILLER + 8, (n_documents, 4))
    ids[np.arange(n_documents), rng.integers(0, 4, n_documents)] = 2 + word
    return ids, y


@either
def test_weights_of_documents_move_the_border_to_the_other_side(model):
    ids, y = noisy()
    between = [[2, 3, 0, 0]]
    decisions = [
        clone(model)
        .fit(ids, y, sample_weight=np.where(y == 1, weight, 1))
        .decision_function(between)
        for weight in (0.05, 20.0)
    ]
    assert decisions[0] < 0 < decisions[1]


@either
def test_balanced_weights_find_more_of_a_rare_class(model):
    ids, y = noisy(300, share=0.15)
    new_ids, new_y = noisy(300, share=0.15, seed=1)
    scores, shares = [], []
    for class_weight in (None, "balanced"):
        predicted = clone(model).set_params(class_weight=class_weight).fit(ids, y).predict(new_ids)
        scores.append(balanced_accuracy_score(new_y, predicted))
        shares.append(predicted.mean())
    assert shares[0] < 0.15 < shares[1]
    assert scores[1] > scores[0] + 0.05


# Labels and weights


LABELS = [
    NAMES[CLASSES].astype(object),
    NAMES[CLASSES].tolist(),
    CLASSES - 7,
    CLASSES.astype(np.uint8),
    CLASSES * 2.0**40,
    [np.int16(label) for label in CLASSES],
]


@either
def test_only_the_order_of_labels_counts(model):
    model = clone(model)
    if "epochs" in model.get_params():
        model.set_params(epochs=2)
    numbers = clone(model).fit(IDS, CLASSES)
    for labels in LABELS:
        named = clone(model).fit(IDS, labels)
        np.testing.assert_array_equal(
            named.decision_function(NEW_IDS), numbers.decision_function(NEW_IDS)
        )
        distinct = sorted(set(labels if isinstance(labels, list) else labels.tolist()))
        assert named.classes_.tolist() == distinct
        expected = [distinct[number] for number in numbers.predict(NEW_IDS)]
        assert named.predict(NEW_IDS).tolist() == expected


def test_labels_of_any_type_are_held_out_as_numbers_are():
    settings = {"epochs": 3, "early_stopping": True, "validation_fraction": 0.3, "linear_ngrams": 0}
    by_name = small(**settings).fit(IDS, NAMES[CLASSES])
    by_number = small(**settings).fit(IDS, CLASSES)
    assert same_weights(by_name, by_number)
    assert by_name.history_ == by_number.history_


@either
def test_weights_of_one_are_no_weights(model):
    ones = np.ones(len(IDS))
    alike = [clone(model).fit(IDS, CLASSES, sample_weight=w) for w in (None, ones, ones.tolist())]
    for other in alike[1:]:
        np.testing.assert_array_equal(
            other.decision_function(NEW_IDS), alike[0].decision_function(NEW_IDS)
        )


def test_swapped_names_swap_the_answers_of_linear_machines():
    first, second = (
        clone(LINEAR).fit(TWO_IDS, labels).decision_function(NEW_IDS)
        for labels in (TWO_CLASSES, 1 - TWO_CLASSES)
    )
    np.testing.assert_allclose(second, -first, atol=0.05 * np.abs(first).max())
    three = clone(LINEAR).fit(IDS, CLASSES).decision_function(NEW_IDS)
    turned = clone(LINEAR).fit(IDS, (CLASSES + 1) % 3).decision_function(NEW_IDS)
    # how loud they are depends on the folds, where every answer is right
    assert np.corrcoef(np.roll(three, 1, axis=1).ravel(), turned.ravel())[0, 1] > 0.99
    np.testing.assert_array_equal((three.argmax(axis=1) + 1) % 3, turned.argmax(axis=1))


# Decisions, probabilities, predictions


@either
@pytest.mark.parametrize("name", DATA)
def test_decisions_probabilities_and_predictions_agree(model, name):
    ids, y = DATA[name]
    model = clone(model).fit(ids, y)
    probabilities, decisions = model.predict_proba(ids), model.decision_function(ids)
    predicted = model.predict(ids)
    np.testing.assert_allclose(np.exp(model.predict_log_proba(ids)), probabilities, atol=1e-6)
    if name == "several":
        np.testing.assert_array_equal(predicted, (decisions > 0).astype(int))
        np.testing.assert_array_equal(predicted, (probabilities > 0.5).astype(int))
        assert (probabilities.sum(axis=1) > 1.5).any()  # each label is by itself
        assert f1_score(y, predicted, average="macro") > 0.9
        return
    np.testing.assert_array_equal(predicted, model.classes_[probabilities.argmax(axis=1)])
    assert log_loss(y, probabilities) < np.log(len(model.classes_))
    if name == "two":
        assert roc_auc_score(y, decisions) == roc_auc_score(y, probabilities[:, 1]) > 0.95
    else:
        np.testing.assert_array_equal(decisions.argmax(axis=1), probabilities.argmax(axis=1))
        order = np.argsort(decisions[0])
        assert (np.diff(probabilities[0, order]) >= 0).all()


def test_a_decision_of_zero_is_the_first_class():
    model = clone(LINEAR).fit(TWO_IDS, np.array(["no", "yes"])[TWO_CLASSES])
    model._tables["intercept"][:] = 0
    unknown = np.outer([1, 0], np.ones(TWO_IDS.shape[1], dtype=int))
    assert model.decision_function(unknown).tolist() == [0, 0]
    assert model.predict_proba(unknown).tolist() == [[0.5, 0.5]] * 2
    assert model.predict(unknown).tolist() == ["no", "no"]


@pytest.mark.parametrize("name", ["coef_", "intercept_", "idf_"])
def test_what_was_learned_cannot_be_set(name):
    model = clone(LINEAR).fit(TWO_IDS, TWO_CLASSES)
    with pytest.raises(AttributeError):
        setattr(model, name, np.zeros(3))
    assert not hasattr(clone(LINEAR), name)


# Training that goes on


@pytest.mark.parametrize("name", DATA)
def test_one_call_of_partial_fit_is_a_fit_of_one_epoch(name):
    ids, y = DATA[name]
    fit = small(**PLAIN | {"epochs": 1}).fit(ids, y)
    classes = None if y.ndim == 2 else np.unique(y)
    part = small(**PLAIN).partial_fit(ids, y, classes=classes)
    assert same_weights(fit, part)
    assert fit.history_ == part.history_


def test_classes_of_a_stream_may_come_in_any_order():
    models = [
        small().partial_fit(IDS, NAMES[CLASSES], classes=classes)
        for classes in (NAMES, NAMES[::-1], NAMES[[1, 2, 0]].tolist())
    ]
    for model in models:
        assert model.classes_.tolist() == NAMES.tolist()
        assert same_weights(model, models[0])


def test_a_class_that_comes_late_in_a_stream_is_learned():
    early = CLASSES < 2
    model = small(**PLAIN)
    for _ in range(5):
        model.partial_fit(IDS[early], CLASSES[early], classes=[0, 1, 2])
    assert not (model.predict(NEW_IDS) == 2).any()
    for _ in range(10):
        model.partial_fit(IDS, CLASSES)
    late = NEW_CLASSES == 2
    assert model.score(NEW_IDS[late], NEW_CLASSES[late]) > 0.9
    assert model.score(NEW_IDS, NEW_CLASSES) > 0.9


@pytest.mark.parametrize(("optimizer", "rate"), [("sgd", 0.5), ("adam", 0.03), ("adagrad", 0.1)])
def test_warm_starts_in_a_row_are_one_long_fit(optimizer, rate):
    settings = FULL_BATCH | {"optimizer": optimizer, "learning_rate": rate}
    whole = small(**settings, epochs=9).fit(IDS, CLASSES)
    parts, losses = small(**settings, warm_start=True), []
    for epochs in (4, 2, 3):
        parts.set_params(epochs=epochs).fit(IDS, CLASSES)
        assert parts.n_iter_ == len(parts.history_["loss"]) == epochs
        losses += parts.history_["loss"]
    np.testing.assert_allclose(losses, whole.history_["loss"], rtol=1e-4)
    np.testing.assert_allclose(parts.predict_proba(IDS), whole.predict_proba(IDS), atol=1e-4)


def test_a_warm_start_that_stops_early_begins_its_own_history():
    model = small(linear_ngrams=0, warm_start=True, early_stopping=True, patience=2, epochs=12)
    for _ in range(3):
        model.fit(IDS, CLASSES)
        assert 1 <= model.best_epoch_ <= model.n_iter_ <= 12
        assert {len(values) for values in model.history_.values()} == {model.n_iter_}
        assert np.argmin(model.history_["val_loss"]) == model.best_epoch_ - 1
    assert model.n_iter_ < 12


def test_the_order_of_documents_does_not_matter_where_a_step_sees_all_of_them():
    order = np.random.default_rng(0).permutation(len(IDS))
    settings = FULL_BATCH | {"optimizer": "sgd", "learning_rate": 0.5, "epochs": 10}
    one, other = (
        small(**settings).fit(ids, y) for ids, y in ((IDS, CLASSES), (IDS[order], CLASSES[order]))
    )
    np.testing.assert_allclose(other.predict_proba(NEW_IDS), one.predict_proba(NEW_IDS), atol=1e-4)
