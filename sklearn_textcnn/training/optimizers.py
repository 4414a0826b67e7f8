"""Optimizers whose updates touch only the embedding rows in the batch.

Keras' own optimizers rewrite the whole embedding table, and Adam both of its moments, at every
step. These apply the same rule to the rows that a batch holds; the others make up for the steps
they missed when they are needed next (see `missed`). Dense weights are updated as Keras does.
"""

import keras
import tensorflow as tf

from sklearn_textcnn.training.missed import BETA_1, BETA_2


class RowSparseOptimizer(keras.optimizers.Optimizer):
    """Base class: a rule for one array, applied to whole weights or to rows.

    A gradient given as ``tf.IndexedSlices`` must not name a row twice.
    """

    # name -> start value
    slots = {}
    # whether a step without a gradient changes anything
    catches_up = False

    def build(self, variables):
        if self.built:
            return
        super().build(variables)
        self._slots = [
            [self.add_variable_from_reference(v, name=name) for name in self.slots]
            for v in variables
        ]
        self.reset()

    def reset(self):
        """Forget everything but the learning rate."""
        self.iterations.assign(0)
        for variables in self._slots:
            for variable, start in zip(variables, self.slots.values(), strict=True):
                variable.assign(tf.fill(variable.shape, start))

    def update_step(self, gradient, variable, learning_rate):
        slots = [s.value for s in self._slots[self._get_variable_index(variable)]]
        rate = tf.cast(learning_rate, variable.dtype)
        if isinstance(gradient, tf.IndexedSlices):
            rows = gradient.indices
            old = [tf.gather(slot, rows) for slot in slots]
            change, new = self.rule(gradient.values, tf.gather(variable, rows), old, rate)
            variable.scatter_sub(tf.IndexedSlices(change, rows))
            for slot, value in zip(slots, new, strict=True):
                slot.scatter_update(tf.IndexedSlices(value, rows))
        else:
            self.dense_step(gradient, variable, slots, rate)

    def catch_up(self, variable, rows, missed, owed):
        """Do to some rows what the steps would have done that they missed: see `MissedSteps`."""
        slots = [s.value for s in self._slots[self._get_variable_index(variable)]]
        rate = tf.cast(self.learning_rate, variable.dtype)
        value, old = tf.gather(variable.value, rows), [tf.gather(slot, rows) for slot in slots]
        value, new = self.without_gradient(value, old, missed, owed, rate)
        variable.value.scatter_update(tf.IndexedSlices(value, rows))
        for slot, values in zip(slots, new, strict=True):
            slot.scatter_update(tf.IndexedSlices(values, rows))

    def without_gradient(self, value, slots, missed, owed, rate):
        """Weights and slots after some steps without a gradient."""
        raise NotImplementedError

    def dense_step(self, gradient, variable, slots, rate):
        """Update a whole weight and its slots in place."""
        change, new = self.rule(gradient, variable, slots, rate)
        variable.assign_sub(change)
        for slot, value in zip(slots, new, strict=True):
            slot.assign(value)

    def rule(self, gradient, value, slots, rate):
        """What to subtract from the weights, and the new slots."""
        raise NotImplementedError


class RowSparseSGD(RowSparseOptimizer):
    """Plain gradient descent."""

    def rule(self, gradient, value, slots, rate):
        return rate * gradient, []


class RowSparseAdam(RowSparseOptimizer):
    """Adam (Kingma & Ba 2015) with the constants of Keras."""

    slots = {"momentum": 0.0, "velocity": 0.0}
    beta_1, beta_2, epsilon = BETA_1, BETA_2, 1e-7
    catches_up = True

    def rule(self, gradient, value, slots, rate):
        momentum, velocity = slots
        power_1, power_2 = self._powers()
        rate = rate * tf.sqrt(1 - power_2) / (1 - power_1)
        momentum = momentum + (gradient - momentum) * (1 - self.beta_1)
        velocity = velocity + (tf.square(gradient) - velocity) * (1 - self.beta_2)
        return momentum * rate / (tf.sqrt(velocity) + self.epsilon), [momentum, velocity]

    def dense_step(self, gradient, variable, slots, rate):
        # the same rule in one operation that passes over memory once
        momentum, velocity = slots
        power_1, power_2 = self._powers()
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=momentum.handle,
            v=velocity.handle,
            beta1_power=power_1,
            beta2_power=power_2,
            lr=rate,
            beta1=self.beta_1,
            beta2=self.beta_2,
            epsilon=self.epsilon,
            grad=gradient,
        )

    def without_gradient(self, value, slots, missed, owed, rate):
        momentum, velocity = slots
        value = value - rate * owed * momentum / (tf.sqrt(velocity) + self.epsilon)
        return value, [momentum * self.beta_1**missed, velocity * self.beta_2**missed]

    def _powers(self):
        step = tf.cast(self.iterations + 1, tf.float32)
        return self.beta_1**step, self.beta_2**step


class LazyAdam(RowSparseAdam):
    """Adam whose rows stand still, moments included, at steps in which they have no gradient.

    A row that is seldom in a batch moves a tenth as far as with Adam.
    """

    catches_up = False


class RowSparseAdamW(RowSparseAdam):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019), the default decay of Keras."""

    decay = 0.004

    def rule(self, gradient, value, slots, rate):
        decayed = value * (self.decay * rate)
        change, slots = super().rule(gradient, value - decayed, slots, rate)
        return decayed + change, slots

    def without_gradient(self, value, slots, missed, owed, rate):
        value = value * (1 - self.decay * rate) ** missed
        return super().without_gradient(value, slots, missed, owed, rate)

    def dense_step(self, gradient, variable, slots, rate):
        variable.assign_sub(variable * (self.decay * rate))
        super().dense_step(gradient, variable, slots, rate)


class RowSparseAdagrad(RowSparseOptimizer):
    """Adagrad (Duchi et al. 2011) with the constants of Keras."""

    slots = {"accumulator": 0.1}
    epsilon = 1e-7

    def rule(self, gradient, value, slots, rate):
        accumulator = slots[0] + tf.square(gradient)
        return rate * gradient / tf.sqrt(accumulator + self.epsilon), [accumulator]


class RowSparseRMSprop(RowSparseOptimizer):
    """RMSprop (Hinton 2012) with the constants of Keras."""

    slots = {"velocity": 0.0}
    rho, epsilon = 0.9, 1e-7
    catches_up = True

    def rule(self, gradient, value, slots, rate):
        velocity = self.rho * slots[0] + (1 - self.rho) * tf.square(gradient)
        return rate * gradient / tf.sqrt(velocity + self.epsilon), [velocity]

    def without_gradient(self, value, slots, missed, owed, rate):
        return value, [slots[0] * self.rho**missed]


BY_NAME = {
    "adam": RowSparseAdam,
    "lazyadam": LazyAdam,
    "adamw": RowSparseAdamW,
    "sgd": RowSparseSGD,
    "adagrad": RowSparseAdagrad,
    "rmsprop": RowSparseRMSprop,
}
