import numpy as np

from sklearn_textcnn.training.batches import (
    BatchMaker,
    document_lengths,
    shuffled_batches,
    sorted_batches,
)


def test_lengths_end_at_the_last_token():
    ids = np.array([[3, 0, 4, 0], [0, 0, 0, 0], [1, 1, 1, 1], [0, 0, 0, 2]])
    np.testing.assert_array_equal(document_lengths(ids), [3, 1, 4, 4])


def test_every_document_once_and_batches_of_similar_length():
    rng = np.random.default_rng(0)
    lengths = rng.integers(1, 100, 5003)
    batches = shuffled_batches(lengths, 50, np.random.default_rng(1))
    assert sorted(np.concatenate(batches).tolist()) == list(range(5003))
    assert sorted(map(len, batches))[:2] == [3, 50]
    assert max(map(len, batches)) == 50
    padded = sum(len(rows) * lengths[rows].max() for rows in batches)
    assert padded < 1.1 * lengths.sum()
    again = shuffled_batches(lengths, 50, np.random.default_rng(1))
    other = shuffled_batches(lengths, 50, np.random.default_rng(2))
    assert all(np.array_equal(a, b) for a, b in zip(batches, again, strict=True))
    assert {frozenset(b.tolist()) for b in batches} != {frozenset(b.tolist()) for b in other}


def test_batches_do_not_come_in_order_of_length():
    lengths = np.arange(1, 2001)
    firsts = [
        lengths[rows].min() for rows in shuffled_batches(lengths, 50, np.random.default_rng(0))
    ]
    assert firsts != sorted(firsts)


def test_sorted_batches_hold_every_document_once():
    lengths = np.array([5, 1, 3, 2, 4])
    np.testing.assert_array_equal(np.concatenate(sorted_batches(lengths, 2)), [1, 3, 2, 4, 0])


def test_batch_maker_points_each_position_at_its_token():
    ids = np.array([[7, 2, 7], [5, 0, 0]], dtype=np.int32)
    maker = BatchMaker(9, 3)
    for batch in (ids, ids[:, :1], ids):  # nothing is left over from an earlier batch
        tokens, index = maker(batch)
        assert tokens[0] == 0
        assert len(set(tokens.tolist())) == len(tokens)
        assert index.shape == (2, batch.shape[1] + 2)
        np.testing.assert_array_equal(tokens[index[:, :-2]], batch)
        assert not index[:, -2:].any()
