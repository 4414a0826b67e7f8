import numpy as np
import pytest
from networks import architecture, documents, options

from sklearn_textcnn.network.operations import document_lengths
from sklearn_textcnn.training.batches import BatchTokens, Epoch, shuffled_batches


def epochs_of(lengths, n_epochs=1, batch_size=50, seed=0):
    rng = np.random.default_rng(seed)
    return [shuffled_batches(lengths, batch_size, rng) for _ in range(n_epochs)]


def as_sets(batches):
    return {frozenset(rows.tolist()) for rows in batches}


@pytest.mark.parametrize("n", [1, 49, 50, 51, 299, 301, 5003])
def test_every_document_comes_once(n):
    lengths = np.random.default_rng(0).integers(1, 100, n)
    (batches,) = epochs_of(lengths)
    assert sorted(np.concatenate(batches).tolist()) == list(range(n))
    sizes = sorted(map(len, batches), reverse=True)
    assert sizes == [50] * (n // 50) + [n % 50] * (n % 50 > 0)


@pytest.mark.parametrize("spread", ["uniform", "lognormal"])
def test_batches_hold_little_padding(spread):
    rng = np.random.default_rng(0)
    lengths = rng.integers(1, 100, 5000)
    if spread == "lognormal":  # as those of reviews
        lengths = np.ceil(rng.lognormal(5, 0.7, 5000)).astype(int)
    (batches,) = epochs_of(lengths, batch_size=64)
    padded = sum(len(rows) * lengths[rows].max() for rows in batches)
    assert padded < 1.3 * lengths.sum()


@pytest.mark.parametrize("n", [100, 400, 800, 1600, 3200, 20_000])
def test_batches_differ_from_epoch_to_epoch_and_from_seed_to_seed(n):
    """Also where no two documents are of the same length, which would decide about the batches."""
    lengths = np.arange(1, n + 1)
    first, second = map(as_sets, epochs_of(lengths, 2))
    # the last batch of a pool may happen to be the same
    assert len(first & second) <= 0.1 * len(first)
    (again,), (other,) = epochs_of(lengths), epochs_of(lengths, seed=1)
    assert as_sets(again) == first
    assert len(as_sets(other) & first) <= 0.1 * len(first)
    np.testing.assert_array_equal(np.concatenate(again), np.concatenate(epochs_of(lengths)[0]))


@pytest.mark.parametrize("n", [400, 3200])
def test_neighbours_by_length_part_in_later_epochs(n):
    """One pool of all documents, cut at another place, would be new batches of the same ones."""
    lengths = np.arange(1, n + 1)
    batch_of = np.empty((2, n), dtype=int)
    for epoch, batches in enumerate(epochs_of(lengths, 2)):
        for number, rows in enumerate(batches):
            batch_of[epoch, rows] = number
    together = batch_of[:, 1:] == batch_of[:, :-1]
    assert together.mean() < 0.5


@pytest.mark.parametrize("n", [800, 3200])
def test_batches_are_of_several_classes_though_length_tells_the_class(n):
    """Two classes, the documents of one a little longer: every batch would be of one class."""
    rng = np.random.default_rng(0)
    classes = np.arange(n) % 2
    lengths = rng.integers(1, 21, n) + 20 * classes
    (batches,) = epochs_of(lengths)
    mixed = [0 < classes[rows].mean() < 1 for rows in batches]
    assert sum(mixed) >= 1
    # and those of one class do not stand in a row
    one = [classes[rows][0] for rows, several in zip(batches, mixed, strict=True) if not several]
    assert (np.diff(one) != 0).mean() > 0.25


def test_batches_do_not_come_in_order_of_length():
    lengths = np.arange(1, 20_001)
    firsts = [lengths[rows].min() for rows in epochs_of(lengths)[0]]
    assert 0.3 < (np.diff(firsts) > 0).mean() < 0.7


def test_batches_of_an_epoch_are_cut_to_their_longest_document():
    docs = documents(architecture())
    lengths = document_lengths(docs.ids)
    rng, again = np.random.default_rng(3), np.random.default_rng(3)
    batches = list(Epoch(docs, lengths, options(), rng))
    for rows, (ids, targets, weights) in zip(
        shuffled_batches(lengths, 16, again), batches, strict=True
    ):
        assert ids[:, -1].any()
        np.testing.assert_array_equal(ids, docs.ids[rows, : lengths[rows].max()])
        assert not docs.ids[rows, lengths[rows].max() :].any()
        np.testing.assert_array_equal(targets, docs.targets[rows])
        np.testing.assert_array_equal(weights, docs.weights[rows])


def test_a_share_of_the_tokens_is_replaced_by_the_unknown_one():
    docs = documents(architecture(), n=2000)
    lengths, rng = document_lengths(docs.ids), np.random.default_rng(0)
    settings = options(token_dropout=0.3, batch_size=2000)
    before = docs.ids.copy()
    epochs = [Epoch(docs, lengths, settings, rng)[0][0] for _ in range(2)]
    np.testing.assert_array_equal(docs.ids, before)
    for ids in epochs:
        assert (ids == 0).sum() == (docs.ids == 0).sum()  # padding stays
        assert (ids == 1).sum() / (ids != 0).sum() == pytest.approx(0.3, abs=0.02)
        counts = np.bincount(ids.ravel(), minlength=30)[2:] / np.bincount(docs.ids.ravel())[2:]
        np.testing.assert_allclose(counts, 0.7, atol=0.15)
    assert (epochs[0] != epochs[1]).any()


def test_a_batch_is_the_same_whenever_it_is_asked_for():
    """TensorFlow asks ahead of time, and more than once."""
    docs = documents(architecture())
    rng = np.random.default_rng(0)
    epoch = Epoch(docs, document_lengths(docs.ids), options(token_dropout=0.5), rng)
    state = rng.bit_generator.state
    in_order = list(epoch)
    assert len(epoch) == len(in_order) == 6
    for i in (5, 0, 3, 3):
        for one, other in zip(epoch[i], in_order[i], strict=True):
            np.testing.assert_array_equal(one, other)
    assert rng.bit_generator.state == state
    # no two batches lose tokens at the same places
    dropped = [(ids == 1)[:, :3] for ids, *_ in in_order[:5]]
    assert len({places.tobytes() for places in dropped}) == 5


def test_batch_tokens_point_each_position_at_its_token():
    ids = np.array([[7, 2, 7], [5, 0, 0]], dtype=np.int32)
    batch_tokens = BatchTokens(9, 3)
    for batch in (ids, ids[:, :1], ids):  # nothing is left over from an earlier batch
        tokens, index = batch_tokens(batch)
        assert tokens.tolist() == sorted({0, *batch.ravel().tolist()})
        assert index.shape == (2, batch.shape[1] + 2)
        np.testing.assert_array_equal(tokens[index[:, :-2]], batch)
        assert not index[:, -2:].any()
