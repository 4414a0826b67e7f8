"""What windows of tokens add to the logits of a network."""

import numpy as np

from sklearn_textcnn.network.operations import ACTIVATIONS

# Steps of the path along which hidden layers are taken apart. With one hidden layer a single step
# is exact.
STEPS_OF_DEEP_NETWORKS = 32


class NetworkReading:
    """A few documents that went through a network: their logits, and who made them.

    Parameters
    ----------
    forward : Forward
    ids : ndarray of shape (n, T)

    Attributes
    ----------
    logits : ndarray of shape (n, n_outputs), dtype float64
    starts, stops : ndarray of shape (n_windows,)
        Which positions each window reads. Windows of all kernel sizes stand one after the other.
    """

    source = "network"

    def __init__(self, forward, ids):
        self._forward = forward
        ids = forward.as_read(ids)
        counts = ids != 0
        self._pools = []
        features, starts, stops = [], [], []
        for i, sums in enumerate(forward.sums_by_size(ids)):
            for pool in self._pooled(i, sums, counts):
                self._pools.append(pool)
                features.append(pool.features)
                starts.append(pool.step * np.arange(pool.n_positions))
                stops.append(starts[-1] + pool.width)
        self.starts, self.stops = np.concatenate(starts), np.concatenate(stops)
        self._features = np.concatenate(features, axis=1).astype(np.float64)  # (n, features)
        self._features[~counts.any(axis=1)] = 0
        self.logits = _dense(forward, self._features)[-1]

    def contributions(self, outputs):
        """What each window adds to the logit of an output, one for each document.

        Returns
        -------
        values : ndarray of shape (n, n_windows)
        rest : ndarray of shape (n,)
            What no window adds.
        """
        slopes, rest = self._slopes(outputs)  # (n, features)
        values, column = [], 0
        for pool in self._pools:
            columns = slice(column, column := column + pool.features.shape[1])
            values.append(pool.shares(slopes[:, columns], self._features[:, columns]))
        return np.concatenate(values, axis=1), rest

    def _pooled(self, i, sums, counts):
        """What was pooled of a kernel size, in the order of the features."""
        forward, a = self._forward, self._forward.architecture
        step = a.pool_size ** (a.conv_layers - 1)
        width = receptive_field(a.kernel_sizes[i], a.conv_layers, a.pool_size)
        if a.pools_sums:
            highest = sums.max(axis=1)  # (n, filters)
            winners = _first(sums, highest)
            values = forward.activation(highest + forward.weights["biases"][i][0])
            return [_Maximum(values, winners, sums.shape[1], step, width)]
        x, counts = forward.activations(i, sums, counts)
        pools = []
        if "max" in a.pooling:
            among = np.where(counts[:, :, None], x, -np.inf)
            highest = among.max(axis=1)
            pools.append(_Maximum(highest, _first(among, highest), x.shape[1], step, width))
        if "average" in a.pooling:
            n_windows = np.maximum(counts.sum(axis=1, dtype=np.float32), 1)[:, None, None]
            pools.append(_Average(x / n_windows, step, width))
        return pools

    def _slopes(self, outputs):
        """Factors of the pooled features in the logit, (n, features), and what is left, (n,)."""
        *hidden, (kernel, bias) = self._forward.dense
        if not hidden:
            return kernel.T[outputs], bias[outputs]
        n_steps = STEPS_OF_DEEP_NETWORKS if len(hidden) > 1 else 1
        before = _dense(self._forward, np.zeros_like(self._features))
        rest = before[-1][np.arange(len(outputs)), outputs]
        total = np.zeros_like(self._features)
        for step in range(1, n_steps + 1):
            after = _dense(self._forward, self._features * (step / n_steps))
            # Over a step every layer changes in proportion to its input, so that slopes multiply to
            # just what the logit changes by. Of smaller and smaller steps they become gradients.
            slopes = kernel.T[outputs]
            for layer in range(len(hidden) - 1, -1, -1):
                change = self._secants(before[layer], after[layer])
                slopes = (slopes * change) @ hidden[layer][0].T
            total += slopes
            before = after
        return total / n_steps, rest

    def _secants(self, before, after):
        """Slope of the activation between two inputs, elementwise."""
        activation, slope_of = ACTIVATIONS[self._forward.architecture.activation]
        difference = after - before
        same = np.abs(difference) < 1e-9
        change = activation(after.copy()) - activation(before.copy())
        at_one = slope_of(activation(after.copy()))
        return np.where(same, at_one, change / np.where(same, 1, difference))


def receptive_field(kernel_size, conv_layers, pool_size):
    """How many tokens a position of the last convolution reads."""
    step, width = 1, kernel_size
    for _ in range(conv_layers - 1):
        width += (kernel_size * pool_size - 1) * step
        step *= pool_size
    return width


def _first(x, highest):
    """Position of the first maximum, (n, filters): several times as fast as argmax along there."""
    n_positions = x.shape[1]
    from_the_end = np.arange(n_positions, 0, -1, dtype=np.min_scalar_type(n_positions))[:, None]
    is_highest = (x == highest[:, None]).view(np.uint8)
    return n_positions - (is_highest * from_the_end).max(axis=1).astype(np.intp)


def _dense(forward, features):
    """Inputs of the hidden activations, and the logits."""
    layers, x = [], features
    for kernel, bias in forward.dense:
        layers.append(x @ kernel + bias)
        x = forward.activation(layers[-1].copy())
    return layers


class _Maximum:
    """Features that are maxima over positions: all that they add comes from the winner."""

    def __init__(self, features, winners, n_positions, step, width):
        self.features, self.n_positions, self.step, self.width = features, n_positions, step, width
        self._winners = winners

    def shares(self, slopes, features):
        n = len(features)
        keys = self._winners + self.n_positions * np.arange(n)[:, None]
        added = np.bincount(keys.ravel(), (slopes * features).ravel(), n * self.n_positions)
        return added.reshape(n, self.n_positions)


class _Average:
    """Features that are sums over positions, each with its share: `parts`, (n, T, filters)."""

    def __init__(self, parts, step, width):
        self.features, self.n_positions, self.step = parts.sum(axis=1), parts.shape[1], step
        self.width, self._parts = width, parts

    def shares(self, slopes, features):
        return (self._parts @ slopes.astype(np.float32)[:, :, None])[:, :, 0]
