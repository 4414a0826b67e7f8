"""Update rules in NumPy, the same as in `optimizers`: in place, for whole weights or for rows.

The gradient may be overwritten.
"""

import numpy as np

from sklearn_textcnn.training.missed import BETA_1, BETA_2, bias_correction


def sgd(gradient, value, slots, rate, step):
    """Plain gradient descent."""
    value -= rate * gradient


def adam(gradient, value, slots, rate, step):
    """Adam (Kingma & Ba 2015) with the constants of Keras."""
    momentum, velocity = slots
    rate = rate * bias_correction(step)
    # in place throughout: new arrays of this size cost as much as the arithmetic
    change = gradient - momentum
    change *= 0.1
    momentum += change
    np.multiply(gradient, gradient, out=gradient)
    gradient -= velocity
    gradient *= 0.001
    velocity += gradient
    np.sqrt(velocity, out=change)
    change += 1e-7
    np.divide(momentum, change, out=change)
    change *= rate
    value -= change


def adam_catch_up(value, slots, missed, owed, rate):
    """Steps of `adam` without a gradient: see `missed`."""
    momentum, velocity = slots
    value -= rate * owed * momentum / (np.sqrt(velocity) + 1e-7)
    momentum *= BETA_1**missed
    velocity *= BETA_2**missed


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


# name -> rule, the start values of its slots, and what steps without a gradient do if anything
BY_NAME = {
    "adam": (adam, (0.0, 0.0), adam_catch_up),
    "lazyadam": (adam, (0.0, 0.0), None),
    "adamw": (adamw, (0.0, 0.0), adamw_catch_up),
    "sgd": (sgd, (), None),
    "adagrad": (adagrad, (0.1,), None),
    "rmsprop": (rmsprop, (0.0,), rmsprop_catch_up),
}
