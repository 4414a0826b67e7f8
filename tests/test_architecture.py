"""Shapes and first weights of a network, against Keras' own initializers."""

import numpy as np
import pytest
from networks import N_IDS, architecture, random_weights
from scipy.stats import ks_2samp

from sklearn_textcnn.network.architecture import (
    arrays_of,
    distinct_ids,
    map_arrays,
    with_new_rows,
    with_unknown_rows,
)


def first_weights(a, n_ids=N_IDS, seen=None, vectors=None, found=None, seed=0):
    seen = np.arange(n_ids) if seen is None else np.array(seen)
    found = np.zeros(n_ids, dtype=bool) if found is None else found
    return a.initial_weights(n_ids, seen, vectors, found, np.random.default_rng(seed))


def assert_drawn_as_by(initializer, values):
    """The same limits, variance and distribution as in an initializer of Keras."""
    theirs = np.ravel(initializer(values.shape))
    values = values.ravel()
    for statistic in (np.min, np.max, np.std):
        assert statistic(values) == pytest.approx(statistic(theirs), rel=0.05)
    assert abs(values.mean()) < 0.05 * theirs.std()
    assert ks_2samp(values, theirs).pvalue > 1e-3


@pytest.mark.parametrize(
    ("kernel_size", "dim", "filters"), [(1, 100, 60), (3, 64, 32), (5, 16, 128), (9, 40, 20)]
)
def test_kernels_are_drawn_as_by_keras(keras, kernel_size, dim, filters):
    a = architecture(
        trained_dim=dim,
        kernel_sizes=(kernel_size,),
        filters=(filters,),
        conv_layers=3,
        hidden_units=(300,),
        n_outputs=40,
    )
    weights = first_weights(a)
    kernels = weights["kernels"][0] + weights["dense_kernels"]
    assert len(kernels) == 5
    for seed, kernel in enumerate(kernels):
        assert_drawn_as_by(keras.initializers.GlorotUniform(seed), kernel)


@pytest.mark.parametrize("side", [{"trained_dim": 40}, {"trained_dim": 0}])
def test_rows_of_tokens_are_drawn_as_by_keras(keras, side):
    (table,) = first_weights(architecture(**side), n_ids=400)["tables"]
    initializer = keras.layers.Embedding(1, 1).embeddings_initializer
    assert_drawn_as_by(initializer, table[2:])
    assert not table[:2].any()


def test_rows_beside_pretrained_ones_are_like_them():
    rng = np.random.default_rng(0)
    vectors = rng.normal([-1, 0, 2], [0.1, 1, 3], (4000, 3)).astype(np.float32)
    found = np.arange(4000) % 2 == 0
    found[:2] = False
    vectors[~found] = 0
    a = architecture(static_dim=3, trained_dim=3)
    tables = first_weights(a, 4000, np.arange(3000), vectors, found)["tables"]
    for table in tables:
        np.testing.assert_array_equal(table[found], vectors[found])
        new = table[3:3000:2]
        np.testing.assert_allclose(new.mean(axis=0), [-1, 0, 2], atol=0.3)
        np.testing.assert_allclose(new.std(axis=0), [0.1, 1, 3], rtol=0.1)
        assert not table[:2].any()
        assert not table[3001::2].any()  # never seen
    assert not np.array_equal(*tables)


@pytest.mark.parametrize(
    ("changes", "tables", "kernels", "dense"),
    [
        ({}, [6], [[(2, 6, 4)], [(3, 6, 5)]], [(9, 3)]),
        ({"static_dim": 5}, [5, 6], [[(2, 11, 4)], [(3, 11, 5)]], [(9, 3)]),
        ({"static_dim": 5, "trained_dim": 0}, [5], [[(2, 5, 4)], [(3, 5, 5)]], [(9, 3)]),
        # a table holds k * filters columns for each kernel size
        ({"trained_dim": 0}, [2 * 4 + 3 * 5], [[], []], [(9, 3)]),
        (
            {"trained_dim": 0, "conv_layers": 3},
            [23],
            [[(2, 4, 4)] * 2, [(3, 5, 5)] * 2],
            [(9, 3)],
        ),
        (
            {"conv_layers": 2, "pooling": "max+average", "hidden_units": (7, 2)},
            [6],
            [[(2, 6, 4), (2, 4, 4)], [(3, 6, 5), (3, 5, 5)]],
            [(18, 7), (7, 2), (2, 3)],
        ),
    ],
)
def test_shapes_of_the_weights(changes, tables, kernels, dense):
    a = architecture(**changes)
    weights = first_weights(a)
    shapes = map_arrays(np.shape, weights)
    assert shapes["tables"] == [(N_IDS, width) for width in tables]
    assert shapes["kernels"] == kernels
    assert shapes["biases"] == [[(n,)] * a.conv_layers for n in a.filters]
    assert shapes["dense_kernels"] == dense
    assert shapes["dense_biases"] == [(n,) for _, n in dense]
    assert {array.dtype for array in arrays_of(weights)} == {np.dtype("float32")}
    for bias in arrays_of([weights["biases"], weights["dense_biases"]]):
        assert not bias.any()


@pytest.mark.parametrize("pretrained", [False, True])
def test_new_rows_are_drawn_and_earlier_ones_stay(pretrained):
    weights = random_weights(architecture(trained_dim=50))
    (before,) = map_arrays(np.copy, weights)["tables"]
    before[2:] += 3
    weights["tables"] = [before.copy()]
    known = np.arange(N_IDS + 40) < 20
    new = np.array([0, 1, 25, N_IDS, N_IDS + 7])  # padding and unknown may be among them
    rng = np.random.default_rng(0)
    later = with_new_rows(weights, N_IDS + 40, new, known, pretrained, rng)
    assert later["kernels"] is weights["kernels"]
    (table,) = later["tables"]
    assert table.shape == (N_IDS + 40, 50)
    rest = np.setdiff1d(np.arange(N_IDS), new[2:])
    np.testing.assert_array_equal(table[rest], before[rest])
    assert not table[np.setdiff1d(np.arange(N_IDS, N_IDS + 40), new)].any()
    drawn = table[new[2:]]
    assert len(np.unique(drawn)) == drawn.size
    if pretrained:
        assert drawn.mean() == pytest.approx(before[:20].mean(), abs=0.1)
    else:
        assert np.abs(drawn).max() < 0.05


def test_new_rows_of_a_table_that_is_long_enough_are_drawn_in_place():
    """A batch of a stream must not cost a copy of the table."""
    weights = random_weights(architecture())
    table = weights["tables"][0]
    before = table.copy()
    rng = np.random.default_rng(0)
    later = with_new_rows(weights, N_IDS, np.array([4]), np.ones(N_IDS, bool), False, rng)
    assert later["tables"][0] is table
    np.testing.assert_array_equal(np.flatnonzero((table != before).any(axis=1)), [4])


def test_ids_without_a_row_get_that_of_the_unknown_token():
    weights = random_weights(architecture(static_dim=6))
    known = np.arange(N_IDS) % 7 != 3
    for before, after in zip(
        weights["tables"], with_unknown_rows(weights, known)["tables"], strict=True
    ):
        np.testing.assert_array_equal(after[known], before[known])
        np.testing.assert_array_equal(after[~known], np.tile(before[1], (4, 1)))


def test_arrays_are_mapped_and_listed_in_the_same_order():
    weights = random_weights(architecture(conv_layers=2, static_dim=6, hidden_units=(3,)))
    doubled = map_arrays(lambda array: 2 * array, weights)
    assert doubled.keys() == weights.keys()
    flat = arrays_of(weights)
    assert len(flat) == 2 + 4 + 4 + 2 + 2
    for one, two in zip(flat, arrays_of(doubled), strict=True):
        np.testing.assert_array_equal(2 * one, two)


@pytest.mark.parametrize("n_ids", [10, 10**6])  # a small id space and one of hashes
def test_distinct_ids(n_ids):
    ids = np.array([[5, 0, 9], [5, 5, 2]])
    np.testing.assert_array_equal(distinct_ids(ids, n_ids), [0, 2, 5, 9])
