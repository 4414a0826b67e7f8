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
def test_rows_in_the_batch_move_as_if_alone_and_others_stay(name, tf, problem):
    from sklearn_textcnn.training.optimizers import BY_NAME

    start, gradients = problem
    rows = np.array([1, 4], dtype=np.int32)
    sparse = steps(BY_NAME[name](learning_rate=0.1), start, gradients, sparse=rows)
    alone = steps(BY_NAME[name](learning_rate=0.1), start[rows], gradients[:, rows])
    np.testing.assert_allclose(sparse[rows], alone, rtol=1e-4, atol=1e-5)
    others = np.setdiff1d(np.arange(6), rows)
    np.testing.assert_array_equal(sparse[others], start[others])


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
