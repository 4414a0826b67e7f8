"""Update rules in NumPy, the same as in `optimizers`: in place, for whole weights or for rows."""

from math import sqrt

import numpy as np


def sgd(gradient, value, slots, rate, step):
    """Plain gradient descent."""
    value -= rate * gradient


def adam(gradient, value, slots, rate, step):
    """Adam (Kingma & Ba 2015) with the constants of Keras."""
    momentum, velocity = slots
    momentum += 0.1 * (gradient - momentum)
    velocity += 0.001 * (gradient * gradient - velocity)
    rate = rate * sqrt(1 - 0.999**step) / (1 - 0.9**step)
    value -= rate * momentum / (np.sqrt(velocity) + 1e-7)


def adamw(gradient, value, slots, rate, step):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019), the default decay of Keras."""
    value *= 1 - 0.004 * rate
    adam(gradient, value, slots, rate, step)


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


# name -> rule, and the start values of its slots
BY_NAME = {
    "adam": (adam, (0.0, 0.0)),
    "adamw": (adamw, (0.0, 0.0)),
    "sgd": (sgd, ()),
    "adagrad": (adagrad, (0.1,)),
    "rmsprop": (rmsprop, (0.0,)),
}
