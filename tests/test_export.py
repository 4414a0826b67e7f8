"""What `to_keras()` gives in other formats, for runtimes without Keras and this package."""

import copy

import numpy as np
import pytest
from classifiers import (
    CLASSES,
    DATA,
    IDS,
    JUDGED,
    NEW_IDS,
    TWO_IDS,
    both_count,
    padded,
    small,
)

# What Keras and TensorFlow say about their own use of NumPy and about names to come.
pytestmark = [
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:[^$]*tf.lite.Interpreter is deprecated:UserWarning"),
]


def awkward(ids):
    """Documents with nothing, little and unknown things in them."""
    ids = np.array(ids[:12], dtype=np.int32)
    ids[0], ids[1, 1:], ids[2, 3:5], ids[3, 0] = 0, 0, 0, 0
    ids[4, 2], ids[5, 2], ids[6, 1] = 19, 77, 1
    return ids


def to_saved_model(network, folder):
    import tensorflow as tf

    network.export(folder / "saved", verbose=False)
    loaded = tf.saved_model.load(folder / "saved")  # its variables live as long as it does
    return lambda ids: loaded.serve(ids).numpy()


def to_onnx(network, folder):
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("tf2onnx")
    path = str(folder / "model.onnx")
    network.export(path, format="onnx", verbose=False)
    session = runtime.InferenceSession(path)
    name = session.get_inputs()[0].name
    return lambda ids: session.run(None, {name: ids})[0]


def to_litert(network, folder):
    """With LiteRT's own operations alone, not those that it could borrow from TensorFlow."""
    import tensorflow as tf

    network.export(folder / "saved", verbose=False)
    content = tf.lite.TFLiteConverter.from_saved_model(str(folder / "saved")).convert()
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError:  # the same runtime, as TensorFlow brings it along
        Interpreter = tf.lite.Interpreter
    interpreter = Interpreter(model_content=content)

    def answer(ids):
        place = interpreter.get_input_details()[0]["index"]
        interpreter.resize_tensor_input(place, ids.shape)
        interpreter.allocate_tensors()
        interpreter.set_tensor(place, ids)
        interpreter.invoke()
        return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])

    return answer


def assert_same_answers(model, answer, ids):
    """Of documents of several widths and of any number of them."""
    expected = model.predict_proba(ids)
    n_outputs = expected.shape[1]
    if n_outputs == 2:  # one sigmoid
        expected = expected[:, 1:]
    for n_columns in (0, 1, 9):
        np.testing.assert_allclose(answer(padded(ids, n_columns)), expected, atol=1e-4)
    np.testing.assert_allclose(answer(ids[4:5]), expected[4:5], atol=1e-4)
    for width in (1, 2, 3):
        narrow = np.array(ids[:, :width])
        expected = model.predict_proba(padded(narrow, ids.shape[1] - width))[:, -n_outputs:]
        expected = expected[:, 1:] if n_outputs == 2 else expected
        np.testing.assert_allclose(answer(narrow), expected, atol=1e-4)


FORMATS = {"onnx": to_onnx, "litert": to_litert, "saved_model": to_saved_model}


def test_onnx(tmp_path, two):
    two = both_count(copy.deepcopy(two))
    assert two.linear_.ngrams == 2
    assert_same_answers(two, to_onnx(two.to_keras(), tmp_path), awkward(TWO_IDS))


@pytest.mark.slow
@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("head", DATA)
def test_every_format_and_head(head, format, tmp_path):
    ids, y = DATA[head]
    model = both_count(small(epochs=2).fit(ids, y))
    assert model.linear_.ngrams == 2
    assert_same_answers(model, FORMATS[format](model.to_keras(), tmp_path), awkward(ids))


@pytest.mark.slow
@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize(
    "parameters",
    [
        {"embedding_dim": None, "linear_ngrams": 1},
        {"embedding_dim": None, "conv_layers": 2, "pooling": "average"},
        {"conv_layers": 3, "pool_size": 3, "pooling": "max+average", "activation": "linear"},
        {"linear_ngrams": 0, "hidden_units": (6, 4), "activation": "tanh"},
    ],
    ids=lambda p: "-".join(map(str, p)),
)
def test_every_format_and_architecture(parameters, format, tmp_path):
    model = both_count(small(**parameters, epochs=2).fit(IDS, CLASSES, **JUDGED))
    assert_same_answers(model, FORMATS[format](model.to_keras(), tmp_path), awkward(NEW_IDS))


def test_pairs_are_found_at_every_width(keras):
    """Also where there are as many tokens as places in a bucket, which looks like another axis."""
    rng = np.random.default_rng(0)
    ids = rng.integers(0, 30, (60, 24))
    model = both_count(small(epochs=1).fit(ids, np.arange(60) % 2))
    network = model.to_keras()
    assert len(model.linear_._tables["pairs"]) > 500
    for width in range(1, 25):
        narrow = np.where(np.arange(24) < width, ids[:5], 0)
        expected = model.predict_proba(narrow)[:, 1:]
        np.testing.assert_allclose(network(narrow[:, :width]).numpy(), expected, atol=1e-5)
        np.testing.assert_allclose(network(narrow[:1, :width]).numpy(), expected[:1], atol=1e-5)


def test_every_pair_has_a_place_in_the_table_and_no_other_has(keras):
    from sklearn_textcnn.training.keras_model import _hashed

    n_ids = 40
    present = np.random.default_rng(0).random((n_ids, n_ids)) < 0.4
    present[:2] = present[:, :2] = False
    present[5, 2:] = True  # a word that stands in front of every other
    left, right = np.nonzero(present)
    codes, firsts, lefts, order = _hashed(left * n_ids + right, n_ids)
    rows = {}
    for a in range(n_ids):
        for b in range(n_ids):
            bucket = codes[a, 0] + codes[b, 1]
            (place,) = np.flatnonzero(lefts[bucket] == a).tolist() or [None]
            if place is not None:
                rows[a, b] = firsts[bucket] + place
    pairs = list(zip(left.tolist(), right.tolist(), strict=True))
    assert rows == {pairs[place]: n_ids + row for row, place in enumerate(order)}
    assert lefts.shape[1] < n_ids / 3  # buckets are small, so that little is compared
