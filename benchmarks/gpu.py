"""Is a GPU worth it: an epoch with NumPy, with Keras on a GPU, and with PyTorch there?

The network of the benchmarks with Adam in batches of 50 and of 256: MR, and 20ng train with 400
tokens a document. Our two engines, ``Model.fit`` of a plain Keras network on our batches and on ids
padded to the longest document, and a loop in PyTorch over our batches with dense and with sparse
gradients of the embedding. Plain Keras runs on TensorFlow if that sees a GPU, else on PyTorch. Each
contender has a process of its own and some time; what it has not done by then is left empty. An
epoch is the median after a first one, which compiles. Without a GPU nothing is measured, unless
with ``--quick``.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np
from _batches import our_batches
from _common import Report, child_command, load_corpus, parse_arguments, seconds
from _networks import ADAM, keras_network, textcnn

from sklearn_textcnn import TextVectorizerTransformer

CORPORA = {"MR": ("mr/all", None), "20ng": ("20ng/train", 400)}
BATCH_SIZES = (256, 50)
MOST_EPOCHS = 5
SECONDS_A_CASE = 10  # no further epoch is begun after that
SECONDS_A_CONTENDER = 110
SECONDS_IN_ALL = 420
SECONDS_OF_PROBE = 60
LIBRARIES = ("tensorflow", "torch")
REFERENCE = "NumPy engine"


def main():
    arguments = parse_arguments(__doc__)
    if arguments.child:
        what, *rest = arguments.child
        return {"probe": probe, "train": train_here}[what](*rest)
    began = time.perf_counter()
    found = {library: gpu_of(arguments, library) for library in LIBRARIES}
    if not any(found.values()):
        print("no GPU: neither TensorFlow nor PyTorch sees one")
        return
    report = Report(__doc__, arguments, {}, {})
    report.record["machine"]["GPU"] = found
    for library, gpu in found.items():
        print(f"{library + ' sees':16} {gpu or 'no GPU: left out'}")
    backend = next(library for library in LIBRARIES if found[library])
    contenders = {REFERENCE: "none", "Keras engine": "tensorflow", **CONTENDERS_IN[backend]}
    contenders |= {"torch, dense": "torch", "torch, sparse": "torch"}

    times = {}
    with tempfile.TemporaryDirectory() as folder:
        cases = prepare(arguments, Path(folder))
        for name, library in contenders.items():
            if library != "none" and not found[library]:
                continue
            left = SECONDS_IN_ALL - (time.perf_counter() - began)
            lines, problem = output_of(
                child_command(arguments, "train", name, folder, found.get(library) or "CPU"),
                min(SECONDS_A_CONTENDER, max(left, 1)),
                backend,
            )
            times[name] = dict(json.loads(line) for line in lines)
            print(f"{name}: {len(times[name])} of {len(cases)} cases {problem}", flush=True)
            report.record["epochs"] = times
            report.save()
    tell(report, times, cases)
    report.finish()


def prepare(arguments, folder):
    """Write the ids of each corpus into a folder; return the names of the cases."""
    for corpus, (file, max_length) in CORPORA.items():
        texts, labels = load_corpus(arguments.data, file, 300 if arguments.quick else None)
        ids = TextVectorizerTransformer(max_length=max_length).fit_transform(texts)
        targets = np.unique(labels, return_inverse=True)[1]
        np.savez(folder / f"{corpus}.npz", ids=ids, targets=targets, n_ids=ids.n_ids)
    return [case_name(corpus, size) for corpus in CORPORA for size in BATCH_SIZES]


def case_name(corpus, batch_size):
    return f"{corpus}, batches of {batch_size}"


def gpu_of(arguments, library):
    """Name of the GPU that a library sees; None if there is none, or no such library."""
    lines, _ = output_of(child_command(arguments, "probe", library), SECONDS_OF_PROBE)
    gpu = json.loads(lines[-1]) if lines else None
    return "CPU" if lines and not gpu and arguments.quick else gpu


def output_of(command, limit, backend="tensorflow"):
    """Whole lines that a process printed within a limit of seconds, and what went wrong."""
    environment = {**os.environ, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "2"}
    # files, since what was printed before a time-out counts
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(command, stdout=output, stderr=errors, env=environment)
        try:
            status = process.wait(limit)
            problem = f"(exit status {status}) " if status else ""
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            problem = f"(stopped after {limit:.0f} s) "
        output.seek(0)
        errors.seek(0)
        if problem:
            problem += "".join(errors.readlines()[-1:]).rstrip()[:300]
        return [line for line in output if line.endswith("\n") and line[0] in '["n'], problem


def tell(report, times, cases):
    """Tables with a column for each case."""
    middle = {
        name: {case: median(epochs[1:]) for case, epochs in by_case.items()}
        for name, by_case in times.items()
    }
    first = {
        name: {case: epochs[0] - middle[name][case] for case, epochs in by_case.items()}
        for name, by_case in times.items()
    }
    reference = middle[REFERENCE]
    ratios = {
        name: {case: reference[case] / value for case, value in row.items() if case in reference}
        for name, row in middle.items()
    }
    for title, figures in (
        ("An epoch, s", middle),
        (f"Times as fast as the {REFERENCE}", ratios),
        ("What the first epoch takes on top, s", first),
    ):
        rows = [
            {"contender": name, **{case: row.get(case) for case in cases}}
            for name, row in figures.items()
        ]
        report.table(title, rows)


def probe(library):
    """Print the name of the GPU that a library sees, or null."""
    if library == "torch":
        import torch

        name = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    else:
        import tensorflow as tf

        gpus = tf.config.list_physical_devices("GPU")
        name = (
            tf.config.experimental.get_device_details(gpus[0]).get("device_name", "GPU")
            if gpus
            else None
        )
    print(json.dumps(name))


def train_here(name, folder, device):
    """Train in this process; print the seconds of the epochs of each case once it is done."""
    quick = "--quick" in sys.argv
    for corpus in CORPORA:
        with np.load(Path(folder) / f"{corpus}.npz") as data:
            ids, targets, n_ids = data["ids"], data["targets"], int(data["n_ids"])
        n_classes = int(targets.max()) + 1
        for batch_size in BATCH_SIZES:
            epoch = EPOCHS[name](ids, targets, n_ids, n_classes, batch_size, device)
            began, times = time.perf_counter(), []
            while len(times) < 2 or (
                len(times) <= (1 if quick else MOST_EPOCHS)
                and time.perf_counter() - began < SECONDS_A_CASE
            ):
                times.append(seconds(epoch))
            print(json.dumps([case_name(corpus, batch_size), times]), flush=True)


def engine(ids, targets, n_ids, n_classes, batch_size, device, name):
    classifier = textcnn(engine=name, batch_size=batch_size, random_state=0)
    return partial(classifier.partial_fit, ids, targets, classes=np.arange(n_classes))


def plain_keras(ids, targets, n_ids, n_classes, batch_size, device, padded):
    import keras

    keras.utils.set_random_seed(0)
    two = n_classes == 2
    model = keras_network(n_ids, 1 if two else n_classes)
    model.compile(
        keras.optimizers.Adam(ADAM["learning_rate"]),
        "binary_crossentropy" if two else "sparse_categorical_crossentropy",
        metrics=["accuracy"],
        # it would compile once for every length of a batch
        jit_compile="auto" if padded else False,
    )
    targets = targets[:, None].astype(np.float32 if two else np.int32)
    if padded:
        return partial(model.fit, ids, targets, batch_size=batch_size, verbose=0)
    rng = np.random.default_rng(0)

    def epoch():
        batches = list(our_batches(ids, targets, rng, batch_size))
        model.fit(_dataset(batches), shuffle=False, verbose=0)

    return epoch


def _dataset(batches):
    """Batches of any length, in the form that is the fastest with Keras' backend."""
    import keras

    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        ids, targets = batches[0]
        signature = (
            tf.TensorSpec((None, None), ids.dtype),
            tf.TensorSpec((None, 1), targets.dtype),
        )
        dataset = tf.data.Dataset.from_generator(lambda: batches, output_signature=signature)
        return dataset.apply(tf.data.experimental.assert_cardinality(len(batches))).prefetch(2)

    class Batches(keras.utils.PyDataset):
        def __len__(self):
            return len(batches)

        def __getitem__(self, i):
            return batches[i]

    return Batches()


def torch_loop(ids, targets, n_ids, n_classes, batch_size, device, sparse):
    import torch
    from _torch_network import TorchNetwork

    torch.manual_seed(0)
    device = "cpu" if device == "CPU" else "cuda"
    two, rate = n_classes == 2, ADAM["learning_rate"]
    network = TorchNetwork(n_ids, sparse, 1 if two else n_classes).to(device)
    parameters = list(network.parameters())
    optimizers = []
    if sparse:
        optimizers.append(torch.optim.SparseAdam([network.embedding.weight], lr=rate))
        parameters = [p for p in parameters if p is not network.embedding.weight]
    optimizers.append(torch.optim.Adam(parameters, lr=rate))
    loss_of = torch.nn.BCEWithLogitsLoss() if two else torch.nn.CrossEntropyLoss()
    targets = targets.astype(np.float32 if two else np.int64)
    rng = np.random.default_rng(0)

    def epoch():
        total = torch.zeros((), device=device)
        for batch in our_batches(ids, targets, rng, batch_size):
            X, y = (torch.from_numpy(array).to(device) for array in batch)
            loss = loss_of(network(X), y)
            for optimizer in optimizers:
                optimizer.zero_grad()
            loss.backward()
            for optimizer in optimizers:
                optimizer.step()
            total += loss.detach()
        return total.item()  # waits for the GPU

    return epoch


# what plain Keras runs on: its contenders are named after it
CONTENDERS_IN = {
    library: {f"Keras on {library}, {ids}": library for ids in ("our batches", "padded")}
    for library in LIBRARIES
}
EPOCHS = {
    REFERENCE: partial(engine, name="numpy"),
    "Keras engine": partial(engine, name="keras"),
    **{
        name: partial(plain_keras, padded=name.endswith("padded"))
        for contenders in CONTENDERS_IN.values()
        for name in contenders
    },
    "torch, dense": partial(torch_loop, sparse=False),
    "torch, sparse": partial(torch_loop, sparse=True),
}


if __name__ == "__main__":
    main()
