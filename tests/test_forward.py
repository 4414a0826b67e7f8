import numpy as np
import pytest
from networks import N_IDS, all_architectures, architecture, awkward_ids, random_weights

from sklearn_textcnn.inference import forward
from sklearn_textcnn.inference.forward import Forward, product_by_row

ARCHITECTURES = dict(all_architectures())


def one_document(a, w, ids):
    """Logits of one document, written out position by position in float64."""
    act = {"relu": lambda x: np.maximum(x, 0), "tanh": np.tanh, "linear": lambda x: x}
    act = act[a["activation"]]
    if w["embeddings"]:
        x0 = np.concatenate([table[ids] for table in w["embeddings"]], axis=1).astype(float)
    else:
        x0 = np.eye(N_IDS)[ids]
    x0[ids == 0] = 0
    features = []
    for kernels, biases in zip(w["kernels"], w["biases"], strict=True):
        x, counts = x0, ids != 0
        for layer, (kernel, bias) in enumerate(zip(kernels, biases, strict=True)):
            if layer:
                p = a["pool_size"]
                starts = range(0, len(x), p)
                y = np.zeros((len(starts), x.shape[1]))
                for i, s in enumerate(starts):
                    if counts[s : s + p].any():
                        y[i] = x[s : s + p][counts[s : s + p]].max(axis=0)
                counts = np.array([counts[s : s + p].any() for s in starts])
                x = y
            k = len(kernel)
            padded = np.vstack([x, np.zeros((k - 1, x.shape[1]))])
            x = np.array(
                [sum(padded[t + j] @ kernel[j] for j in range(k)) + bias for t in range(len(x))]
            )
            x = act(x)
        n_filters = x.shape[1]
        if "max" in a["pooling"]:
            features.append(x[counts].max(axis=0) if counts.any() else np.zeros(n_filters))
        if "average" in a["pooling"]:
            features.append(x[counts].mean(axis=0) if counts.any() else np.zeros(n_filters))
    h = np.concatenate(features)
    layers = list(zip(w["dense_kernels"], w["dense_biases"], strict=True))
    for kernel, bias in layers[:-1]:
        h = act(h @ kernel + bias)
    return h @ layers[-1][0] + layers[-1][1]


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_logits_follow_the_definition(name):
    a = ARCHITECTURES[name]
    weights, ids = random_weights(a), awkward_ids()
    expected = np.array([one_document(a, weights, row) for row in ids])
    logits = Forward(a, weights).logits(ids)
    assert logits.dtype == np.float32
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("side", ["trained-1-2-max-relu", "one-hot-2-2-average-tanh"])
def test_an_answer_depends_on_the_document_alone(side):
    a = next(a for name, a in ARCHITECTURES.items() if name.startswith(side))
    weights, ids = random_weights(a), awkward_ids()
    together = Forward(a, weights).logits(ids)
    alone = np.concatenate([Forward(a, weights).logits(row[None]) for row in ids])
    padded = Forward(a, weights).logits(np.pad(ids, ((0, 0), (0, 40))))
    many = Forward(a, weights).logits(np.tile(ids, (300, 1)))
    np.testing.assert_array_equal(alone, together)
    np.testing.assert_array_equal(padded, together)
    np.testing.assert_array_equal(many, np.tile(together, (300, 1)))


@pytest.mark.parametrize("side", [{"trained_dim": 6}, {"trained_dim": 0}])
def test_tables_are_built_when_they_pay_and_change_nothing(side):
    a = architecture(**side)
    weights, ids = random_weights(a), awkward_ids()
    model = Forward(a, weights)
    first = model.logits(ids[:3])
    assert model.tables is None
    later = [model.logits(ids) for _ in range(3)]
    assert model.tables is not None
    np.testing.assert_array_equal(later[-1], later[0])
    np.testing.assert_array_equal(model.logits(ids[:3]), first)


def test_no_tables_beyond_the_limit(monkeypatch):
    monkeypatch.setattr(forward, "TABLE_LIMIT_BYTES", 100)
    a = architecture()
    model = Forward(a, random_weights(a))
    for _ in range(5):
        model.logits(awkward_ids())
    assert model.tables is None


def test_threads_change_nothing(monkeypatch):
    a = architecture()
    weights, ids = random_weights(a), np.tile(awkward_ids(), (500, 1))
    expected = Forward(a, weights).logits(ids)
    monkeypatch.setattr(forward, "_n_threads", lambda n_values: 3)
    monkeypatch.setattr(forward, "BLOCK_VALUES", 500)
    np.testing.assert_array_equal(Forward(a, weights).logits(ids), expected)


def test_documents_at_a_time_change_nothing(monkeypatch):
    a = architecture()
    weights, ids = random_weights(a), np.tile(awkward_ids(), (3, 1))
    expected = Forward(a, weights).logits(ids)
    monkeypatch.setattr(forward, "DOCUMENTS_AT_A_TIME", 7)
    np.testing.assert_array_equal(Forward(a, weights).logits(ids), expected)
    assert Forward(a, weights).logits(ids[:0]).shape == (0, expected.shape[1])


def test_threads_stay_within_the_limit_of_a_worker(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert forward._n_threads(10**12) == 1
    assert forward._n_threads(10) == 1


def test_ids_beyond_the_table_are_unknown():
    a = architecture()
    model = Forward(a, random_weights(a))
    ids = awkward_ids()
    ids[7, 3] = 10**6
    unknown = ids.copy()
    unknown[7, 3] = 1
    np.testing.assert_array_equal(model.logits(ids), model.logits(unknown))


@pytest.mark.parametrize(("dim", "n_columns"), [(50, 7), (16, 12), (128, 300)])
def test_product_rows_depend_neither_on_their_number_nor_on_their_place(dim, n_columns):
    rng = np.random.default_rng(0)
    left = rng.normal(size=(300, dim)).astype(np.float32)
    right = rng.normal(size=(dim, n_columns)).astype(np.float32)
    product = product_by_row(left, right)
    np.testing.assert_allclose(product, left @ right, rtol=1e-4, atol=1e-5)
    for n in (1, 2, 63, 64, 65, 130):
        np.testing.assert_array_equal(product_by_row(left[:n], right), product[:n])
        np.testing.assert_array_equal(product_by_row(left[n:], right), product[n:])
