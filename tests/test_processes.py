"""Forks, threads, interrupts, and what else runs beside a fit or in another process."""

import copy
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from classifiers import CLASSES, IDS, NEW_IDS, run_python, small
from sklearn.base import clone

ROOT = Path(__file__).parents[1]
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")

# What the programs below have in common: a small fit, and what a forked child says of its own.
CHILDREN = """
    import os, select, time, warnings
    import numpy as np
    from sklearn_textcnn import TextCNNClassifier
    warnings.simplefilter("ignore")  # Python 3.12 warns of every fork of a process with threads
    ids, y = np.array([[2, 3], [4, 3], [2, 5], [4, 5]] * 3), np.array([0, 1] * 6)

    def fit(**parameters):
        small = {"epochs": 1, "filters": 2, "embedding_dim": 4, "random_state": 0}
        return TextCNNClassifier(**small | parameters).fit(ids, y)

    def said_by_child(work):
        "What a forked child says within a minute."
        out, into = os.pipe()
        pid = os.fork()
        if not pid:
            try:
                answer = work()
            except Exception as error:
                answer = f"{type(error).__name__}: {error}"
            os.write(into, answer.encode())
            os._exit(0)
        os.close(into)
        ready, _, _ = select.select([out], [], [], 60)
        answer = os.read(out, 4096).decode() if ready else "nothing"
        os.kill(pid, 9)
        os.waitpid(pid, 0)
        os.close(out)
        return answer
    """


def said_by(program):
    run = run_python(CHILDREN + program)
    assert run.returncode == 0, run.stderr
    return run.stdout.splitlines()


@pytest.mark.slow
@needs_fork
def test_a_forked_child_trains_or_says_what_to_do():
    def of_keras(text):
        return "RuntimeError" in text and "loky" in text and "spawn" in text

    numpy, first, second, predicted, numpy_again, exported = said_by("""
    expected = fit().decision_function(ids).tobytes()
    def in_numpy():
        return str(fit().decision_function(ids).tobytes() == expected)
    def in_keras():
        return str(fit(engine="keras").n_iter_)
    print(said_by_child(in_numpy))
    print(said_by_child(in_keras))  # nobody has computed with TensorFlow as yet
    model = fit(engine="keras")
    print(said_by_child(in_keras))
    print(said_by_child(lambda: str(model.predict(ids).shape)))
    print(said_by_child(in_numpy))
    print(said_by_child(lambda: str(model.to_keras())))
    """)
    assert numpy == numpy_again == "True"
    assert first == "1"
    assert of_keras(second)
    assert predicted == "(12,)"
    assert of_keras(exported) or "Functional" in exported


@pytest.mark.slow
@needs_fork
def test_a_child_forked_while_a_thread_fits_answers():
    answers = said_by("""
    import threading
    rng = np.random.default_rng(0)
    many, classes = rng.integers(2, 500, (1000, 20)), np.arange(1000) % 2
    fit()  # a fork in the middle of an import is Python's business
    stop = threading.Event()
    def work():
        while not stop.is_set():
            model = TextCNNClassifier(epochs=1, filters=2, embedding_dim=4)
            model.fit(many, classes).predict(many)
    thread = threading.Thread(target=work)
    thread.start()
    try:
        for wait in rng.uniform(0, 0.2, 8):
            time.sleep(wait)
            print(said_by_child(lambda: str(fit().predict(ids).shape)))
    finally:
        stop.set()
        thread.join()
    """)
    assert answers == ["(12,)"] * 8


INTERRUPTS = """
    import pickle, signal
    from threadpoolctl import threadpool_info
    def handler(*_):
        raise KeyboardInterrupt
    signal.signal(signal.SIGALRM, handler)
    def threads():
        return [p["num_threads"] for p in threadpool_info() if p["user_api"] == "blas"]
    model = TextCNNClassifier(filters=2, embedding_dim=4, linear_ngrams=0, random_state=0)
    def step():
        model.partial_fit(ids, y, classes=[0, 1])
    step()
    began = time.perf_counter()
    step()
    took, before, rng = time.perf_counter() - began, threads(), np.random.default_rng(0)
    interrupted = spoiled = changed = 0
    def answers():
        return pickle.loads(pickle.dumps(model)).decision_function(ids)  # nothing is kept
    for _ in range(N_TIMES):
        before_it, n_calls = answers(), model.n_iter_
        try:
            signal.setitimer(signal.ITIMER_REAL, float(rng.uniform(1e-4, took)))
            step()
            time.sleep(2 * took)
        except KeyboardInterrupt:
            interrupted += 1
        if model.n_iter_ == n_calls:
            changed += not np.array_equal(answers(), before_it)
        spoiled += threads() != before
    print(interrupted > N_TIMES / 10, spoiled, changed)
    """


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs POSIX signals")
@pytest.mark.parametrize("n_times", [30, pytest.param(1500, marks=pytest.mark.slow)])
def test_interrupts_give_blas_its_threads_back_and_change_no_answers(n_times):
    assert said_by(INTERRUPTS.replace("N_TIMES", str(n_times))) == ["True 0 0"]


# 300 ids and long documents: products that are kept, those made anew, and blocks on threads.
@pytest.mark.parametrize(
    "parameters",
    [{}, {"linear_ngrams": 0}, pytest.param({"conv_layers": 2}, marks=pytest.mark.slow)],
    ids=str,
)
def test_first_predictions_of_threads_are_those_of_one(parameters):
    rng = np.random.default_rng(0)
    ids, y = rng.integers(2, 300, (60, 30)), np.arange(60) % 3
    model = small(**parameters, epochs=1, warm_start=True).fit(ids, y)
    parts = [ids[rng.permutation(60)[: rng.integers(1, 60)]] for _ in range(32)]
    for _ in range(3):
        serial, fresh = copy.deepcopy(model), copy.deepcopy(model)
        expected = [serial.decision_function(part) for part in parts]
        start = threading.Barrier(8)

        def work(number, fresh=fresh, start=start):
            start.wait()
            return [fresh.decision_function(part) for part in parts[number::8]]

        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(work, range(8)))
        for number, answers in enumerate(found):
            for answer, right in zip(answers, expected[number::8], strict=True):
                np.testing.assert_array_equal(answer, right)


def test_thousands_of_single_predictions_are_those_of_a_batch(monkeypatch):
    from sklearn_textcnn.network import forward

    rng = np.random.default_rng(0)
    ids = rng.integers(1, 5000, (2000, 12)) * (rng.random((2000, 12)) < 0.9)
    model = small(epochs=1).fit(ids[:200], np.arange(200) % 3)
    twin = small(epochs=1).fit(ids[:200], np.arange(200) % 3)
    together = model.decision_function(ids)
    alone = np.concatenate([twin.decision_function(row[None]) for row in ids])
    np.testing.assert_array_equal(alone, together)
    # and where there is no memory to keep the products of all tokens
    monkeypatch.setattr(forward, "KEPT_BYTES", 4 * 3 * 8 * 100)
    poor = small(epochs=1).fit(ids[:200], np.arange(200) % 3)
    alone = np.concatenate([poor.decision_function(row[None]) for row in ids[:500]])
    np.testing.assert_array_equal(alone, together[:500])
    assert poor._forward().products.n_kept <= 100
    np.testing.assert_array_equal(poor.decision_function(ids), together)


def test_fits_in_threads_are_those_of_one():
    """They share BLAS, and the limit of its threads."""
    models = [small(epochs=3, random_state=seed) for seed in range(4)]
    expected = [clone(m).fit(IDS, CLASSES).decision_function(NEW_IDS) for m in models]
    with ThreadPoolExecutor(4) as pool:
        found = pool.map(lambda m: m.fit(IDS, CLASSES).decision_function(NEW_IDS), models)
    for answer, right in zip(found, expected, strict=True):
        np.testing.assert_array_equal(answer, right)


@pytest.mark.slow
def test_what_keras_is_told_elsewhere_is_followed():
    """A strategy with two devices, and a policy of mixed precision: in a process of their own."""
    code = """
        import keras
        import numpy as np
        import tensorflow as tf
        from classifiers import CLASSES, IDS, NEW_CLASSES, NEW_IDS, PLAIN, small
        halves = [tf.config.LogicalDeviceConfiguration()] * 2
        cpu = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(cpu, halves)
        devices = [device.name for device in tf.config.list_logical_devices("CPU")]
        replicas, dtypes = [], []
        class Watch(keras.callbacks.Callback):
            def on_train_begin(self, logs=None):
                replicas.append(tf.distribute.get_strategy().num_replicas_in_sync)
                (layer,) = (x for x in self.model.layers if isinstance(x, keras.layers.Embedding))
                dtypes.append((layer.compute_dtype, layer.variable_dtype))
        steady = PLAIN | {"engine": "keras", "dropout": 0.0, "callbacks": Watch()}
        alone = small(**steady).fit(IDS, CLASSES)
        with tf.distribute.MirroredStrategy(devices).scope():
            shared = small(**steady | {"average": 0.5}, max_norm=3)
            shared.fit(IDS, CLASSES, X_val=NEW_IDS, y_val=NEW_CLASSES)
        print(*replicas)
        keras.config.set_dtype_policy("mixed_bfloat16")
        mixed = small(**steady).fit(IDS, CLASSES)
        print(*dtypes[-1])
        for model in (alone, shared, mixed):
            history = model.history_["loss"]
            dtype = {array.dtype for array in model._weights["tables"]}
            print(history[-1] < 0.5 * history[0], model.score(NEW_IDS, NEW_CLASSES) > 0.8, *dtype)
        """
    run = run_python(code, PYTHONPATH=os.pathsep.join([str(ROOT), str(ROOT / "tests")]))
    assert run.returncode == 0, run.stderr
    replicas, dtypes, *fits = run.stdout.splitlines()
    assert replicas == "1 2"
    assert dtypes == "bfloat16 float32"
    assert fits == ["True True float32"] * 3
