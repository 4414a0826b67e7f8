"""TensorFlow pieces of the network that read ids as table rows."""

import tensorflow as tf

LOWEST = -1e30


def window_sums(table, index, kernel_size, first_column, n_filters, after=()):
    """Convolution before bias, as a sum of look-ups.

    Parameters
    ----------
    table : tensor of shape (n_tokens, columns)
        A row per distinct token; columns ``first_column + j * n_filters`` and following belong to
        offset ``j`` of the window.
    index : int32 tensor of shape (n, T + kernel_size - 1 or wider)
        Row of the table for each position, 0 beyond the document.
    after : sequence of tensors, default=()
        Tensors to compute first.

    Returns
    -------
    tensor of shape (n, T, n_filters)
    """
    n_positions = tf.shape(index)[1] - kernel_size + 1
    total = None
    for j in range(kernel_size):
        start = first_column + j * n_filters
        # one look-up after the other: all at once would hold kernel_size tensors of this size
        with tf.control_dependencies(after if total is None else [total]):
            part = tf.gather(table[:, start : start + n_filters], index[:, j : j + n_positions])
        total = part if total is None else total + part
    return total  # (n, T, filters)


def window_maxima(table, index, kernel_sizes, filters):
    """Largest window sum of every filter over the windows that start on a token.

    Equal to convolution and masked global max pooling, forward and backward. Only the winning
    window of a document and filter has a gradient, so the backward pass is a scatter of
    ``n * filters * kernel_size`` numbers into the table.

    Parameters
    ----------
    table : tensor of shape (n_tokens, sum(kernel_sizes * filters))
        Row 0 belongs to padding.
    index : int32 tensor of shape (n, T + max(kernel_sizes) - 1)
    kernel_sizes, filters : tuple of int

    Returns
    -------
    tensor of shape (n, sum(filters)); ``LOWEST`` or less for a document without tokens.
    """

    @tf.custom_gradient
    def pool(table):
        maxima, winners = _maxima_and_winners(table, index, kernel_sizes, filters)

        def gradient(upstream):
            tokens, values = _winning_tokens(upstream, winners, index, kernel_sizes, filters)
            n_columns = table.shape[1]
            cells = tokens * n_columns + tf.range(n_columns)  # (n, columns)
            flat = tf.math.unsorted_segment_sum(
                tf.reshape(values, [-1]), tf.reshape(cells, [-1]), tf.shape(table)[0] * n_columns
            )
            return tf.reshape(flat, tf.shape(table))

        return tf.concat(maxima, axis=1), gradient

    return pool(table)


def _maxima_and_winners(table, index, kernel_sizes, filters):
    """For each kernel size the largest sums, (n, filters), and where their windows start."""
    n_positions = tf.shape(index)[1] - max(kernel_sizes) + 1
    outside = tf.where(index[:, :n_positions] != 0, 0.0, LOWEST)[:, :, None]  # (n, T, 1)
    maxima, winners, column = [], [], 0
    for k, n_filters in zip(kernel_sizes, filters, strict=True):
        in_reach = index[:, : n_positions + k - 1]
        # one kernel size after the other, for the sake of memory too
        done = [*maxima[-1:], *winners[-1:]]
        sums = window_sums(table, in_reach, k, column, n_filters, after=done)
        total = outside + sums  # (n, T, filters)
        maxima.append(tf.reduce_max(total, axis=1))
        winners.append(tf.argmax(total, axis=1, output_type=tf.int32))
        column += k * n_filters
    return maxima, winners


def _winning_tokens(upstream, winners, index, kernel_sizes, filters):
    """Row of the table behind each column of the winning windows, and its gradient.

    Both of shape (n, sum(kernel_sizes * filters)).
    """
    tokens, values = [], []
    parts = tf.split(upstream, filters, axis=1)
    for k, winner, part in zip(kernel_sizes, winners, parts, strict=True):
        for j in range(k):
            tokens.append(tf.gather(index, winner + j, batch_dims=1))  # (n, filters)
            values.append(part)
    return tf.concat(tokens, axis=1), tf.concat(values, axis=1)


def convolve(x, kernel):
    """Convolution that reads zeros past the right edge: (n, T, channels) -> (n, T, filters)."""
    k = kernel.shape[0]
    return tf.nn.conv1d(tf.pad(x, [[0, 0], [0, k - 1], [0, 0]]), kernel, stride=1, padding="VALID")


def pool_positions(x, counts, pool_size):
    """Max pooling between layers, over the positions that count.

    Parameters
    ----------
    x : tensor of shape (n, T, filters)
    counts : boolean tensor of shape (n, T)

    Returns
    -------
    x : tensor of shape (n, ceil(T / pool_size), filters)
    counts : boolean tensor of shape (n, ceil(T / pool_size))
    """
    # pooling drops what does not fill a pool, so this pads to a multiple and no further
    right = [[0, 0], [0, pool_size - 1], [0, 0]]
    x = tf.pad(tf.where(counts[:, :, None], x, LOWEST), right, constant_values=LOWEST)
    x = tf.nn.max_pool1d(x, pool_size, pool_size, "VALID")
    in_pool = tf.pad(tf.cast(counts, tf.float32)[:, :, None], right)
    counts = tf.nn.max_pool1d(in_pool, pool_size, pool_size, "VALID")[:, :, 0] > 0
    return tf.where(counts[:, :, None], x, 0.0), counts


def masked_max(x, counts):
    """Maximum over the positions that count, 0 where none does: (n, T, filters) -> (n, filters)."""
    largest = tf.reduce_max(tf.where(counts[:, :, None], x, LOWEST), axis=1)
    return tf.where(tf.reduce_any(counts, axis=1)[:, None], largest, 0.0)


def masked_mean(x, counts):
    """Mean over the positions that count, 0 where none does: (n, T, filters) -> (n, filters)."""
    weight = tf.cast(counts, tf.float32)[:, :, None]
    return tf.reduce_sum(x * weight, axis=1) / tf.maximum(tf.reduce_sum(weight, axis=1), 1.0)
