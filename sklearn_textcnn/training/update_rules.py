"""Update rules of the optimizers given by name: in place, for whole weights or for rows of a table.

The gradient may be overwritten. ``..._catch_up`` does to rows of a table what the steps would have
done in which they had no gradient: see `missed_steps`.
"""

from math import sqrt

import numpy as np

from sklearn_textcnn.training.missed_steps import BETA_1, BETA_2, bias_correction


def sgd(gradient, value, slots, rate, step):
    """Plain gradient descent."""
    value -= rate * gradient


def adam(gradient, value, slots, rate, step):
    """Adam (Kingma & Ba 2015) with the constants of Keras.

    The slots are its two moments divided by one less their beta, which takes fewer operations; all
    are in place, since new arrays of this size cost as much as the arithmetic.
    """
    momentum, velocity = slots
    momentum *= BETA_1
    momentum += gradient
    np.multiply(gradient, gradient, out=gradient)
    velocity *= BETA_2
    velocity += gradient
    _move(value, slots, rate * bias_correction(step), gradient)


def adam_catch_up(value, slots, missed, owed, rate):
    """Steps of `adam` without a gradient."""
    _move(value, slots, rate * owed, np.empty_like(value))
    momentum, velocity = slots
    momentum *= BETA_1**missed
    velocity *= BETA_2**missed


def _move(value, slots, rate, scratch):
    """Adam's ``value -= rate * momentum / (sqrt(velocity) + 1e-7)``."""
    momentum, velocity = slots
    scale = np.float32(sqrt(1 - BETA_2))
    np.sqrt(velocity, out=scratch)
    scratch += np.float32(1e-7) / scale
    np.divide(momentum, scratch, out=scratch)
    scratch *= np.float32(1 - BETA_1) / scale * rate
    value -= scratch


def adamw(gradient, value, slots, rate, step):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019), the default decay of Keras."""
    value *= 1 - 0.004 * rate
    adam(gradient, value, slots, rate, step)


def adamw_catch_up(value, slots, missed, owed, rate):
    """Steps of `adamw` without a gradient."""
    value *= (1 - 0.004 * rate) ** missed
    adam_catch_up(value, slots, missed, owed, rate)


def adagrad(gradient, value, slots, rate, step):
    """Adagrad (Duchi et al. 2011) with the constants of Keras."""
    (accumulator,) = slots
    accumulator += gradient * gradient
    value -= rate * gradient / np.sqrt(accumulator + 1e-7)


def rmsprop(gradient, value, slots, rate, step):
    """RMSprop (Hinton 2012) with the constants of Keras."""
    (velocity,) = slots
    velocity += 0.1 * (gradient * gradient - velocity)
    value -= rate * gradient / np.sqrt(velocity + 1e-7)


def rmsprop_catch_up(value, slots, missed, owed, rate):
    """Steps of `rmsprop` without a gradient."""
    slots[0] *= 0.9**missed


def adadelta(gradient, value, slots, rate, step):
    """Adadelta (Zeiler 2012) with the constants of Keras; its own rate of learning is 1."""
    squares, moves = slots
    squares += 0.05 * (gradient * gradient - squares)
    move = gradient * np.sqrt((moves + 1e-7) / (squares + 1e-7))
    moves += 0.05 * (move * move - moves)
    value -= rate * move


def adadelta_catch_up(value, slots, missed, owed, rate):
    """Steps of `adadelta` without a gradient."""
    for slot in slots:
        slot *= 0.95**missed


# name -> rule, the start values of its slots, and what steps without a gradient do if anything
BY_NAME = {
    "adam": (adam, (0.0, 0.0), adam_catch_up),
    "lazyadam": (adam, (0.0, 0.0), None),
    "adamw": (adamw, (0.0, 0.0), adamw_catch_up),
    "sgd": (sgd, (), None),
    "adagrad": (adagrad, (0.1,), None),
    "rmsprop": (rmsprop, (0.0,), rmsprop_catch_up),
    "adadelta": (adadelta, (0.0, 0.0), adadelta_catch_up),
}
