"""Saved classifiers, other processes, and what is printed and kept in memory."""

import copy
import os
import pickle
import sys
from pathlib import Path

import joblib
import numpy as np
import pytest
from classifiers import CLASSES, IDS, NEW_IDS, all_arrays, run_python, small
from corpora import topic_texts
from sklearn.pipeline import make_pipeline

from sklearn_textcnn import TextVectorizerTransformer
from sklearn_textcnn.training import quiet_import


def test_state_is_arrays_and_built_in_types(three):
    """And a linear part of the same."""
    allowed = (np.ndarray, dict, list, tuple, str, int, float, bool, type(None))

    def visit(value, where):
        assert type(value) in allowed or isinstance(value, np.generic), where
        parts = value.values() if isinstance(value, dict) else value
        for part in parts if isinstance(value, (dict, list, tuple)) else ():
            visit(part, where)

    state = vars(three) | vars(three.linear_)
    del state["linear_"]
    for name, value in state.items():
        visit(value, name)
    n_bytes = sum(array.nbytes for array in all_arrays(three))
    assert len(pickle.dumps(three)) < n_bytes + 6000


def test_tables_and_optimizer_states_are_not_pickled():
    model = small().partial_fit(IDS, CLASSES, classes=[0, 1, 2])
    size = len(pickle.dumps(model))
    model.predict(np.tile(IDS, (50, 1)))
    assert len(pickle.dumps(model)) == size
    assert not any("forward" in name or "optimizer_" in name for name in vars(model))


def test_copies_give_the_same_answers(three, tmp_path):
    joblib.dump(three, tmp_path / "model.joblib")
    for twin in (
        pickle.loads(pickle.dumps(three)),
        copy.deepcopy(three),
        joblib.load(tmp_path / "model.joblib"),
        joblib.load(tmp_path / "model.joblib", mmap_mode="r"),
    ):
        np.testing.assert_array_equal(twin.predict_proba(NEW_IDS), three.predict_proba(NEW_IDS))


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
def test_skops(tmp_path):
    sio = pytest.importorskip("skops.io")
    texts, labels = topic_texts(60)
    pipeline = make_pipeline(TextVectorizerTransformer(), small(epochs=1)).fit(texts, labels)
    for model, arguments in ((pipeline, texts), (pipeline[-1], pipeline[:-1].transform(texts))):
        sio.dump(model, tmp_path / "model.skops")
        unknown = sio.get_untrusted_types(file=tmp_path / "model.skops")
        assert all(name.startswith("sklearn_textcnn.") for name in unknown), unknown
        loaded = sio.load(tmp_path / "model.skops", trusted=unknown)
        np.testing.assert_array_equal(
            loaded.predict_proba(arguments), model.predict_proba(arguments)
        )


def test_a_pickled_pipeline_needs_no_tensorflow(tmp_path):
    texts, labels = topic_texts(60)
    pipeline = make_pipeline(TextVectorizerTransformer(), small(hidden_units=4)).fit(texts, labels)
    joblib.dump((pipeline, texts, pipeline.predict_proba(texts)), tmp_path / "model.joblib")
    code = f"""
        import joblib, numpy as np
        pipeline, texts, expected = joblib.load({str(tmp_path / "model.joblib")!r})
        np.testing.assert_array_equal(pipeline.predict_proba(texts), expected)
        print(*pipeline.predict(texts[:3]), pipeline[-1].n_iter_)
        page = pipeline._repr_html_()
        print("TextCNNClassifier" in page and "TextVectorizerTransformer" in page)
        labels = pipeline.predict(texts)
        print((pipeline.fit(texts, labels).predict(texts) == labels).mean() > 0.9)
        try:
            pipeline.set_params(textcnnclassifier__engine="keras").fit(texts, labels)
        except ModuleNotFoundError as error:
            print(error)
        print(sum(name.startswith(("tensorflow", "keras", "scikeras")) for name in sys.modules))
        """
    run = run_python(code, "-W", "error", hidden=("tensorflow", "keras", "scikeras"))
    assert run.stderr == ""
    predicted, page, trained, error, n_modules = run.stdout.splitlines()
    assert predicted.split() == [*pipeline.predict(texts[:3]), str(pipeline[-1].n_iter_)]
    assert page == trained == "True"
    assert "is hidden" in error
    assert n_modules == "0"


QUIET = """
    import numpy as np
    from sklearn.pipeline import make_pipeline
    from sklearn_textcnn import TextCNNClassifier, TextVectorizerTransformer
    rng = np.random.default_rng(0)
    small = dict(embedding_dim=8, filters=4, epochs=2, batch_size=16)
    words = np.array("a fine dull film plot day with some of the".split())
    for n, n_classes, n_words in ((20, 2, 3), (70, 3, 30)):
        texts = [" ".join(rng.choice(words, rng.integers(1, n_words + 1))) for _ in range(n)]
        y = np.resize(np.arange(n_classes), n)
        by_keras = dict(early_stopping=True, pooling="max+average", conv_layers=2)
        for more in (dict(), by_keras if n > 20 else dict(embedding_dim=None)):
            model = make_pipeline(
                TextVectorizerTransformer(), TextCNNClassifier(**small | more)
            ).fit(texts, y)
            model.predict_proba(texts)
            model.predict(["something else"])
    ids = model[:-1].transform(texts)
    model[-1].set_params(early_stopping=False, linear_ngrams=0).fit(ids, y).partial_fit(ids, y)
    model[-1].to_keras()
    indicators = rng.integers(0, 2, (len(texts), 3))
    TextCNNClassifier(**small).fit(ids, indicators).predict(ids)
    import keras
    for n in range(5):  # TensorFlow complains of a function that it traces again and again
        small |= dict(linear_ngrams=0, optimizer=keras.optimizers.Adam)
        TextCNNClassifier(**small).fit(ids[n:], y[n:])
    """


@pytest.mark.slow
def test_nothing_is_printed():
    run = run_python(QUIET, "-W", "default")
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")


def test_only_chatter_is_withheld(monkeypatch, capfd):
    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
    with quiet_import._chatter_withheld():
        os.write(
            2,
            b"a word of warning\nI0000 00:00:1764.1 port.cc:153] oneDNN custom operations are on\n",
        )
        assert capfd.readouterr().err == ""
    assert capfd.readouterr().err == "a word of warning\n"


@pytest.mark.slow
def test_what_others_print_while_tensorflow_is_imported_is_passed_on():
    code = """
        class Loud:
            def find_spec(self, name, path=None, target=None):
                if name == "keras":
                    print("a word of warning", file=sys.stderr, flush=True)
        sys.meta_path.insert(0, Loud())
        import numpy as np
        from sklearn_textcnn import TextCNNClassifier
        model = TextCNNClassifier(epochs=1, filters=2, engine="keras")
        model.fit(np.array([[2, 3], [3, 2]] * 4), [0, 1] * 4)
        """
    run = run_python(code)
    assert (run.returncode, run.stderr) == (0, "a word of warning\n")


@pytest.mark.slow
def test_keras_on_another_backend_is_refused_where_it_is_needed(tmp_path, three):
    joblib.dump((three, NEW_IDS, three.predict(NEW_IDS)), tmp_path / "model.joblib")
    # no other backend needs to be installed for Keras to name one
    code = f"""
        import joblib, keras
        keras.backend.backend = lambda: "jax"
        model, ids, expected = joblib.load({str(tmp_path / "model.joblib")!r})
        model.fit(ids, expected).set_params(engine="keras")
        expected = model.predict(ids)
        for attempt in (lambda: model.fit(ids, expected), model.to_keras):
            try:
                attempt()
            except ImportError as error:
                print(error)
        print((model.predict(ids) == expected).all())
        """
    run = run_python(code)
    first, second, last = run.stdout.splitlines()
    assert last == "True"
    assert first == second
    assert first.startswith(
        "TextCNNClassifier needs Keras on TensorFlow for this, but Keras runs on 'jax' here."
    )
    assert "KERAS_BACKEND=tensorflow" in first


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux's /proc")
def test_memory_is_flat_over_two_hundred_fits():
    """Fits of two networks in turn, both in NumPy.

    Kept from every fit, a table of the size used here would add 38 MiB from the 100th to the 200th.
    """
    code = """
        import os
        import numpy as np
        from sklearn_textcnn import TextCNNClassifier
        ids = np.random.default_rng(0).integers(2, 30, (12, 6))
        ids[0, 0] = 2000
        for i in range(200):
            dim = None if i % 2 else 50
            model = TextCNNClassifier(
                embedding_dim=dim, kernel_sizes=(1, 2), filters=4, epochs=1
            )
            model.fit(ids, np.arange(12) % 2).predict(ids)
            if i % 100 == 99:
                with open("/proc/self/statm") as file:
                    print(int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE"))
        """
    run = run_python(code)
    assert (run.returncode, run.stderr) == (0, "")
    half, whole = map(int, run.stdout.split())
    assert whole - half < 5 * 2**20


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux's /proc")
def test_fits_with_callbacks_leave_little_behind():
    """TensorFlow keeps about 0.8 MiB of every model that Keras compiles and trains."""
    code = """
        import gc, os
        import keras
        import numpy as np
        from sklearn_textcnn import TextCNNClassifier
        ids = np.random.default_rng(0).integers(2, 30, (12, 6))
        ids[0, 0] = 5000
        def resident():
            gc.collect()
            with open("/proc/self/statm") as file:
                return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
        for i in range(45):
            model = TextCNNClassifier(
                embedding_dim=50, filters=4, epochs=1, linear_ngrams=0,
                callbacks=keras.callbacks.TerminateOnNaN(),
            )
            model.fit(ids, np.arange(12) % 2).predict(ids)
            if i == 14:
                before = resident()
        print((resident() - before) / 30)
        """
    run = run_python(code)
    assert run.returncode == 0, run.stderr
    assert float(run.stdout) < 1.5  # a kept table of 5000 ids would be 1 MiB more
