import numpy as np
import pytest


@pytest.fixture(scope="module")
def tf():
    import sklearn_textcnn.training  # noqa: F401  (quietly)

    return pytest.importorskip("tensorflow")


KERAS_NAMES = {
    "adam": "Adam",
    "adamw": "AdamW",
    "sgd": "SGD",
    "adagrad": "Adagrad",
    "rmsprop": "RMSprop",
}


def steps(optimizer, start, gradients, sparse=None):
    import keras
    import tensorflow as tf

    variable = keras.Variable(start)
    optimizer.build([variable])
    for gradient in gradients:
        if sparse is not None:
            gradient = tf.IndexedSlices(gradient[sparse], sparse, gradient.shape)
        optimizer.apply(
            [tf.convert_to_tensor(gradient) if sparse is None else gradient], [variable]
        )
    return variable.numpy()


@pytest.fixture
def problem():
    rng = np.random.default_rng(0)
    start = rng.normal(size=(6, 4)).astype(np.float32)
    return start, rng.normal(size=(5, 6, 4)).astype(np.float32)


@pytest.mark.parametrize("name", KERAS_NAMES)
def test_dense_updates_are_those_of_keras(name, tf, problem):
    import keras

    from sklearn_textcnn.training.optimizers import BY_NAME

    theirs = getattr(keras.optimizers, KERAS_NAMES[name])(learning_rate=0.1)
    ours = BY_NAME[name](learning_rate=0.1)
    # constants such as 1 - 0.999 are rounded to float32 at different places
    np.testing.assert_allclose(steps(ours, *problem), steps(theirs, *problem), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", KERAS_NAMES)
def test_rows_never_in_a_batch_stay(name, tf, problem):
    from sklearn_textcnn.training.optimizers import BY_NAME

    start, gradients = problem
    rows = np.array([1, 4], dtype=np.int32)
    sparse = steps(BY_NAME[name](learning_rate=0.1), start, gradients, sparse=rows)
    alone = steps(BY_NAME[name](learning_rate=0.1), start[rows], gradients[:, rows])
    np.testing.assert_allclose(sparse[rows], alone, rtol=1e-4, atol=1e-5)
    others = np.setdiff1d(np.arange(6), rows)
    np.testing.assert_array_equal(sparse[others], start[others])


N_ROWS = 40


def rows_of_batches(n_steps=400):
    """Rows with a gradient in each step: some often, some once in a hundred steps, one never."""
    rng = np.random.default_rng(1)
    rates = np.geomspace(0.9, 0.01, N_ROWS - 1)
    return [np.flatnonzero(rng.random(N_ROWS - 1) < rates).astype(np.int32) for _ in range(n_steps)]


def gradient_of(step, values):
    """Depends on the weights, so that a weight that was not brought up to date is found out."""
    return (np.sin(3 * values + step) + values).astype(np.float32)


def dense_steps(name, start, batches):
    """What Keras' optimizer does when it gets the whole gradient, zeros included."""
    import keras
    import tensorflow as tf

    variable = keras.Variable(start)
    optimizer = getattr(keras.optimizers, KERAS_NAMES[name])(learning_rate=0.01)
    optimizer.build([variable])
    for step, rows in enumerate(batches):
        gradient = np.zeros_like(start)
        gradient[rows] = gradient_of(step, variable.numpy()[rows])
        optimizer.apply([tf.convert_to_tensor(gradient)], [variable])
    return variable.numpy()


def sparse_steps(name, start, batches):
    """The rows of the batches alone, by the rules in NumPy, with an end of an epoch in between."""
    from sklearn_textcnn.training.missed import MissedSteps
    from sklearn_textcnn.training.rules import BY_NAME

    rule, slot_starts, catch_up = BY_NAME[name]
    table = start.copy()
    slots = [np.full_like(start, value) for value in slot_starts]

    def apply(rows, act):
        values, of_rows = table[rows], [slot[rows] for slot in slots]
        act(values, of_rows)
        table[rows] = values
        for slot, new in zip(slots, of_rows, strict=True):
            slot[rows] = new

    step = 0
    for epoch in batches[:150], batches[150:]:
        missed_steps = MissedSteps(N_ROWS, len(epoch), step)
        for rows in epoch:
            missed, owed = missed_steps.begin_step(rows)

            def one(values, of_rows):
                if catch_up:
                    catch_up(values, of_rows, missed, owed, 0.01)  # noqa: B023
                rule(gradient_of(step, values), values, of_rows, 0.01, step + 1)  # noqa: B023

            apply(rows, one)
            step += 1
        for rows, missed, owed in missed_steps.all_rows():
            if catch_up:
                apply(rows, lambda v, s: catch_up(v, s, missed, owed, 0.01))  # noqa: B023
    return table


@pytest.mark.parametrize("name", KERAS_NAMES)
def test_rows_of_a_batch_end_where_whole_tables_do(name, tf):
    start = np.random.default_rng(0).normal(size=(N_ROWS, 4)).astype(np.float32)
    batches = rows_of_batches()
    sparse, dense = sparse_steps(name, start, batches), dense_steps(name, start, batches)
    moved = np.abs(dense - start).max()
    assert moved > 0.1
    np.testing.assert_allclose(sparse, dense, atol=2e-3 * moved)
    np.testing.assert_array_equal(sparse[-1] == start[-1], name != "adamw")  # never in a batch


def test_lazy_adam_is_adam_while_every_row_is_in_the_batch(tf):
    start = np.random.default_rng(0).normal(size=(N_ROWS, 4)).astype(np.float32)
    all_rows = [np.arange(N_ROWS, dtype=np.int32)] * 20
    lazy, adam = (sparse_steps(name, start, all_rows) for name in ("lazyadam", "adam"))
    np.testing.assert_array_equal(lazy, adam)
    some = rows_of_batches()
    lazy, adam = (sparse_steps(name, start, some) for name in ("lazyadam", "adam"))
    seldom = slice(-6, -1)
    assert np.abs(lazy - start)[seldom].mean() < 0.5 * np.abs(adam - start)[seldom].mean()


@pytest.mark.parametrize("name", KERAS_NAMES)
def test_reset_forgets_earlier_steps(name, tf, problem):
    import keras

    from sklearn_textcnn.training.optimizers import BY_NAME

    start, gradients = problem
    fresh = steps(BY_NAME[name](learning_rate=0.1), start, gradients)
    optimizer = BY_NAME[name](learning_rate=0.1)
    variable = keras.Variable(start)
    optimizer.build([variable])
    for gradient in gradients[::-1]:
        optimizer.apply([tf.convert_to_tensor(gradient)], [variable])
    optimizer.reset()
    variable.assign(start)
    for gradient in gradients:
        optimizer.apply([tf.convert_to_tensor(gradient)], [variable])
    np.testing.assert_array_equal(variable.numpy(), fresh)
