"""Update rules in NumPy against the optimizers of Keras, also for rows that miss steps."""

import numpy as np
import pytest
from sampling import some

from sklearn_textcnn.training.missed_steps import MissedSteps
from sklearn_textcnn.training.update_rules import BY_NAME

KERAS_NAMES = {
    "adam": "Adam",
    "adamw": "AdamW",
    "sgd": "SGD",
    "adagrad": "Adagrad",
    "rmsprop": "RMSprop",
    "adadelta": "Adadelta",
}
N_ROWS = 40
# Adadelta begins with tiny steps: a large rate lets it go somewhere in a few hundred.
RATES = {"adadelta": 30.0}


def start_table():
    return np.random.default_rng(0).normal(size=(N_ROWS, 4)).astype(np.float32)


def rows_of_batches(n_steps=400):
    """Rows with a gradient in each step: some often, some once in a hundred steps, one never."""
    rng = np.random.default_rng(1)
    rates = np.geomspace(0.9, 0.01, N_ROWS - 1)
    return [np.flatnonzero(rng.random(N_ROWS - 1) < rates).astype(np.int32) for _ in range(n_steps)]


def gradient_of(step, values):
    """Depends on the weights, so that a weight that was not brought up to date is found out."""
    return (np.sin(3 * values + step) + values).astype(np.float32)


def steps_of_keras(keras, name, start, batches, rate):
    """What Keras' optimizer does when it gets the whole gradient, zeros included."""
    variable = keras.Variable(start)
    optimizer = getattr(keras.optimizers, KERAS_NAMES[name])(learning_rate=rate)
    optimizer.build([variable])
    for step, rows in enumerate(batches):
        gradient = np.zeros_like(start)
        gradient[rows] = gradient_of(step, variable.numpy()[rows])
        optimizer.apply([keras.ops.convert_to_tensor(gradient)], [variable])
    return variable.numpy()


def steps_of_rows(name, start, batches, rate):
    """The rows of the batches alone, by the rules in NumPy, with an end of an epoch in between."""
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
                    catch_up(values, of_rows, missed, owed, rate)  # noqa: B023
                rule(gradient_of(step, values), values, of_rows, rate, step + 1)  # noqa: B023

            apply(rows, one)
            step += 1
        for rows, missed, owed in missed_steps.of_rows(np.arange(N_ROWS)):
            if catch_up:
                apply(rows, lambda v, s: catch_up(v, s, missed, owed, rate))  # noqa: B023
    return table


@pytest.mark.parametrize("name", KERAS_NAMES)
def test_whole_updates_are_those_of_keras(keras, name):
    start, batches = start_table(), [np.arange(N_ROWS)] * 20
    theirs = steps_of_keras(keras, name, start, batches, 0.1)
    rule, slot_starts, _ = BY_NAME[name]
    ours, slots = start.copy(), [np.full_like(start, value) for value in slot_starts]
    for step in range(20):
        rule(gradient_of(step, ours), ours, slots, 0.1, step + 1)
    # constants such as 1 - 0.999 are rounded to float32 at different places
    moved = np.abs(theirs - start)
    np.testing.assert_allclose(ours - start, theirs - start, atol=1e-4 * moved.max())


@pytest.mark.parametrize("name", some(KERAS_NAMES, every=3))
def test_rows_of_a_batch_end_where_whole_tables_do(keras, name):
    start, batches, rate = start_table(), rows_of_batches(), RATES.get(name, 0.01)
    ours = steps_of_rows(name, start, batches, rate)
    theirs = steps_of_keras(keras, name, start, batches, rate)
    moved = np.abs(theirs - start).max(axis=1)
    assert moved.max() > 0.1
    np.testing.assert_allclose(ours, theirs, atol=2e-3 * moved.max())
    # for a row that was never in a batch decay is all there is
    np.testing.assert_allclose((ours - start)[-1], (theirs - start)[-1], atol=1e-5)
    assert (moved[-1] > 0) == (name == "adamw")


def test_decay_of_missed_steps():
    """Decoupled: so much in each step, whatever the gradients were before."""
    start = start_table()
    zeros = [np.zeros((N_ROWS, 4), np.float32) for _ in range(2)]
    missed = np.arange(N_ROWS, dtype=np.float32)[:, None]
    values = start.copy()
    BY_NAME["adamw"][2](values, zeros, missed, np.zeros_like(missed), 0.5)
    np.testing.assert_allclose(values, start * (1 - 0.5 * 0.004) ** missed, rtol=1e-6)
    ours = steps_of_rows("adamw", start, rows_of_batches(), 0.01)
    np.testing.assert_allclose(ours[-1], start[-1] * (1 - 0.01 * 0.004) ** 400, rtol=1e-5)


def test_lazy_adam_is_adam_while_every_row_is_in_the_batch():
    start, all_rows = start_table(), [np.arange(N_ROWS)] * 20
    lazy, adam = (steps_of_rows(name, start, all_rows, 0.01) for name in ("lazyadam", "adam"))
    np.testing.assert_array_equal(lazy, adam)
    lazy, adam = (
        steps_of_rows(name, start, rows_of_batches(), 0.01) for name in ("lazyadam", "adam")
    )
    seldom = slice(-6, -1)
    assert np.abs(lazy - start)[seldom].mean() < 0.5 * np.abs(adam - start)[seldom].mean()


def test_each_row_is_told_how_many_steps_it_missed():
    missed_steps = MissedSteps(5, 4, before=7)
    answers = [missed_steps.begin_step(np.array(rows))[0].ravel() for rows in ([0, 1], [0], [1, 2])]
    assert [answer.tolist() for answer in answers] == [[0, 0], [0], [1, 2]]
    missed_steps.begin_step(np.array([1]))
    at_the_end = {}
    for rows, missed, _ in missed_steps.of_rows(np.array([0, 1, 2, 4])):
        at_the_end |= dict(zip(rows.tolist(), missed.ravel().tolist(), strict=True))
    assert at_the_end == {0: 2, 2: 1, 4: 4}  # not 1, which is up to date, nor 3, not asked for
