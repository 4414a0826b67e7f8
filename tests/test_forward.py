import itertools
import sys
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, get_ident

import numpy as np
import pytest
from networks import KNOWN, N_IDS, all_architectures, architecture, awkward_ids, random_weights

from sklearn_textcnn.network import forward, threads
from sklearn_textcnn.network.forward import Forward, TokenProducts
from sklearn_textcnn.network.operations import document_lengths, pool_positions, product_by_row

ARCHITECTURES = all_architectures()
# what is kept, pooled and threaded differs between these
SIDES = {
    "trained": {},
    "multichannel-average": {"static_dim": 6, "pooling": "max+average", "activation": "tanh"},
    "one-hot": {"trained_dim": 0, "activation": "linear"},
    "one-hot-deep": {"trained_dim": 0, "conv_layers": 2, "pooling": "average"},
}


@pytest.fixture(params=SIDES)
def any_side(request):
    return architecture(**SIDES[request.param])


def forward_of(a, known=KNOWN):
    return Forward(a, random_weights(a), known)


def first_kernels(a, weights):
    """Kernels of the first convolutions; of one-hot tokens read from the columns of the table."""
    if weights["tables"][0].shape[1] in (a.static_dim, a.trained_dim):
        return [stack[0] for stack in weights["kernels"]]
    (table,), kernels, column = weights["tables"], [], 0
    for k, n in zip(a.kernel_sizes, a.filters, strict=True):
        kernels.append([table[:, column + j * n : column + (j + 1) * n] for j in range(k)])
        column += k * n
    return kernels


def one_document(a, w, ids):
    """Logits of one document, written out position by position in float64."""
    act = {"relu": lambda x: np.maximum(x, 0), "tanh": np.tanh, "linear": lambda x: x}
    act = act[a.activation]
    if a.static_dim + a.trained_dim:
        x0 = np.concatenate([table[ids] for table in w["tables"]], axis=1).astype(float)
        later = [stack[1:] for stack in w["kernels"]]
    else:
        x0, later = np.eye(N_IDS)[ids], w["kernels"]
    x0[ids == 0] = 0
    features = []
    for first, rest, biases in zip(first_kernels(a, w), later, w["biases"], strict=True):
        x, counts = x0, ids != 0
        for layer, (kernel, bias) in enumerate(zip([first, *rest], biases, strict=True)):
            if layer:
                p = a.pool_size
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
        if "max" in a.pooling:
            features.append(x[counts].max(axis=0) if counts.any() else np.zeros(n_filters))
        if "average" in a.pooling:
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
    logits = Forward(a, weights, KNOWN).logits(ids)
    assert logits.dtype == np.float32
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-5)


def test_an_answer_depends_on_the_document_alone(any_side):
    ids = awkward_ids()
    order = np.random.default_rng(0).permutation(len(ids))
    together = forward_of(any_side).logits(ids)
    alone = np.concatenate([forward_of(any_side).logits(row[None]) for row in ids])
    np.testing.assert_array_equal(alone, together)
    padded = forward_of(any_side).logits(np.pad(ids, ((0, 0), (0, 40))))
    np.testing.assert_array_equal(padded, together)
    np.testing.assert_array_equal(forward_of(any_side).logits(ids[order]), together[order])
    many = np.tile(ids, (300, 1))
    np.testing.assert_array_equal(forward_of(any_side).logits(many), np.tile(together, (300, 1)))


@pytest.mark.parametrize("pooling", ["average", "max+average"])
@pytest.mark.parametrize("side", [{}, {"trained_dim": 0}, {"conv_layers": 2, "pool_size": 1}])
def test_average_of_one_filter_is_the_same_alone_and_in_a_batch(side, pooling):
    """NumPy adds up the only column of a batch in another order than a column of several."""
    a = architecture(kernel_sizes=(2,), filters=(1,), pooling=pooling, **side)
    ids = np.random.default_rng(0).integers(1, N_IDS, (40, 60))
    ids[np.arange(60) >= np.arange(2, 42)[:, None]] = 0
    together = forward_of(a).logits(ids)
    alone = np.concatenate([forward_of(a).logits(row[None]) for row in ids])
    cut = [forward_of(a).logits(row[None, row != 0]) for row in ids]
    np.testing.assert_array_equal(alone, together)
    np.testing.assert_array_equal(np.concatenate(cut), together)


def test_products_of_tokens_are_kept_as_they_are_met(any_side, monkeypatch):
    model, made = forward_of(any_side), []
    make = TokenProducts._products

    def recording(self, ids):
        made.append(ids.tolist())
        return make(self, ids)

    monkeypatch.setattr(TokenProducts, "_products", recording)
    assert model.products.n_kept == 1  # padding
    first = model.logits(np.array([[5, 7, 0, 5]]))
    again = model.logits(np.array([[7, 5, 9]]))
    assert made == [[5, 7], [9]]
    assert model.products.n_kept == 4
    model.logits(awkward_ids())
    np.testing.assert_array_equal(model.logits(np.array([[5, 7, 0, 5]])), first)
    np.testing.assert_array_equal(model.logits(np.array([[7, 5, 9]])), again)
    assert sorted(itertools.chain(*made)) == sorted(set(awkward_ids().ravel()) - {0} | {5, 7, 9})


@pytest.mark.parametrize("n_places", [0, 1, 4, 12])
@pytest.mark.parametrize("block_values", [40, 160_000])
def test_products_beyond_the_memory_for_them_are_made_each_time(
    any_side, monkeypatch, n_places, block_values
):
    ids = awkward_ids()
    expected = forward_of(any_side).logits(ids)
    width = 2 * 4 + 3 * 5
    monkeypatch.setattr(forward, "KEPT_BYTES", 4 * width * n_places)
    monkeypatch.setattr(forward, "BLOCK_VALUES", block_values)
    model = forward_of(any_side)
    for _ in range(2):
        alone = np.concatenate([model.logits(row[None]) for row in ids])
        np.testing.assert_array_equal(alone, expected)
        np.testing.assert_array_equal(model.logits(ids), expected)
    assert model.products.n_kept <= max(n_places, 1)
    assert [len(table) for table in model.products.tables] == [max(n_places, 1)] * 2


def test_memory_for_products_is_no_more_than_the_vocabulary_needs(any_side):
    assert [len(table) for table in forward_of(any_side).products.tables] == [N_IDS] * 2


def test_threads_that_predict_at_first_make_each_product_once(monkeypatch):
    a = architecture(trained_dim=32, kernel_sizes=(3, 4, 5), filters=(40, 40, 40))
    n_ids, n_threads = 3000, 8
    rng = np.random.default_rng(0)
    weights = a.initial_weights(n_ids, np.arange(n_ids), None, np.zeros(n_ids, bool), rng)
    ids = np.arange(1, n_ids).reshape(1, -1)
    known = np.ones(n_ids, dtype=bool)
    expected = Forward(a, weights, known).logits(ids)
    model, made, begin = Forward(a, weights, known), [], Barrier(n_threads)
    make = model.products._products
    monkeypatch.setattr(
        model.products, "_products", lambda tokens: made.extend(tokens.tolist()) or make(tokens)
    )

    def predict(_):
        begin.wait()
        return model.logits(ids)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)  # so that threads change between any two lines
    try:
        with ThreadPoolExecutor(n_threads) as pool:
            answers = list(pool.map(predict, range(n_threads)))
    finally:
        sys.setswitchinterval(interval)
    for answer in answers:
        np.testing.assert_array_equal(answer, expected)
    assert sorted(made) == list(range(1, n_ids))


def test_threads_change_nothing(any_side, monkeypatch):
    ids = np.tile(awkward_ids(), (200, 1))
    expected = forward_of(any_side).logits(ids)
    monkeypatch.setattr(threads, "VALUES_PER_THREAD", 0)
    monkeypatch.setattr(threads, "n_threads", lambda: 3)
    monkeypatch.setattr(forward, "BLOCK_VALUES", 500)
    np.testing.assert_array_equal(forward_of(any_side).logits(ids), expected)


def test_documents_at_a_time_change_nothing(any_side, monkeypatch):
    ids = np.tile(awkward_ids(), (3, 1))
    expected = forward_of(any_side).logits(ids)
    monkeypatch.setattr(forward, "DOCUMENTS_AT_A_TIME", 7)
    np.testing.assert_array_equal(forward_of(any_side).logits(ids), expected)
    assert forward_of(any_side).logits(ids[:0]).shape == (0, expected.shape[1])


def test_threads_stay_within_the_limit_of_a_worker(monkeypatch):
    """joblib's "loky" gives its workers a number of threads in this variable."""
    monkeypatch.setattr(threads, "cpu_count", lambda: 4)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert (threads.thread_limit(), threads.n_threads()) == (None, 4)
    for text, limit, n in [("1", 1, 1), ("3", 3, 3), ("9", 9, 4), ("0", None, 4), ("2,1", None, 4)]:
        monkeypatch.setenv("OMP_NUM_THREADS", text)
        assert (threads.thread_limit(), threads.n_threads()) == (limit, n)


@pytest.mark.parametrize(("n_threads", "n_values"), [(1, 10**12), (4, 10)])
def test_where_threads_do_not_pay_work_stays_where_it_is(monkeypatch, n_threads, n_values):
    monkeypatch.setattr(threads, "n_threads", lambda: n_threads)
    done = []
    threads.for_each(lambda block: done.append((block, get_ident())), range(3), n_values)
    assert done == [(block, get_ident()) for block in range(3)]


def test_two_threads_share_work_that_pays_for_them(monkeypatch):
    monkeypatch.setattr(threads, "n_threads", lambda: 2)
    both, workers = Barrier(2, timeout=20), []

    def work(block):
        both.wait()  # until the other has begun, too
        workers.append(get_ident())

    threads.for_each(work, range(2), 10**12)
    assert len({get_ident(), *workers}) == 3


@pytest.mark.parametrize(
    ("n_positions", "pool_size", "n_pools"), [(5, 2, 3), (4, 2, 2), (3, 3, 1), (1, 4, 1), (6, 1, 6)]
)
def test_the_last_pool_may_hold_fewer_positions(n_positions, pool_size, n_pools):
    x = np.arange(n_positions * 3, dtype=np.float32).reshape(1, n_positions, 3)
    pooled, counts = pool_positions(x, np.ones((1, n_positions), dtype=bool), pool_size)
    last_of_each = np.minimum(np.arange(1, n_pools + 1) * pool_size, n_positions) - 1
    np.testing.assert_array_equal(pooled, x[:, last_of_each])
    assert counts.tolist() == [[True] * n_pools]


@pytest.mark.parametrize("id_", [10**6, 17, 11], ids=["beyond", "without a row", "last"])
def test_ids_without_a_row_are_unknown(any_side, id_):
    known = np.arange(N_IDS) < 17
    known[11] = False
    model = forward_of(any_side, known)
    ids = awkward_ids() % 11
    ids[7, 3] = id_
    ids[9, 0] = id_
    unknown = np.where(ids == id_, 1, ids)
    assert (ids != unknown).any()
    np.testing.assert_array_equal(model.logits(ids), model.logits(unknown))
    everything_known = forward_of(any_side)
    if id_ < N_IDS:
        assert (everything_known.logits(ids) != everything_known.logits(unknown)).any()


@pytest.mark.parametrize("last_is_known", [True, False])
def test_an_id_beyond_the_table_is_not_the_last_one(last_is_known):
    a = architecture()
    known = KNOWN.copy()
    known[-1] = last_is_known
    model = forward_of(a, known)
    ids = np.array([[5, N_IDS, 6], [N_IDS + 3, 7, 10**6]])
    unknown = np.where(ids >= N_IDS, 1, ids)
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


def test_lengths_end_at_the_last_token():
    ids = np.array([[3, 0, 4, 0], [0, 0, 0, 0], [1, 1, 1, 1], [0, 0, 0, 2]])
    np.testing.assert_array_equal(document_lengths(ids), [3, 1, 4, 4])
