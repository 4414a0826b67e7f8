"""Operations on ids and windows of them that prediction and training share."""

import numpy as np

# A matrix product of fixed height gives each row the same bits wherever it stands and whatever
# stands around it, which BLAS does not promise for products of different heights. OpenBLAS takes
# rows of a higher one in groups of several sizes, which round differently.
ROWS_PER_PRODUCT = 8
# OpenBLAS computes a product of this many multiplications where it was called. A larger one it
# divides among threads, which at these sizes spend their time waiting for each other.
MOST_MULTIPLICATIONS = 2**18

# Function, in place, and its slope given its value.
ACTIVATIONS = {
    "relu": (lambda x: np.maximum(x, 0, out=x), lambda y: y > 0),
    "tanh": (lambda x: np.tanh(x, out=x), lambda y: 1 - y * y),
    "linear": (lambda x: x, np.ones_like),
}


def document_lengths(ids):
    """Position after the last token of each row, at least 1, shape (n_samples,)."""
    is_token = ids != 0
    lengths = ids.shape[1] - is_token[:, ::-1].argmax(axis=1)
    lengths[~is_token.any(axis=1)] = 1
    return lengths


def window_sums(table, look_ups):
    """Convolution before bias, (n, T, filters): for each offset in the window a look-up, (n, T)."""
    total = table.take(look_ups[0], axis=0)
    part = np.empty_like(total)
    for rows in look_ups[1:]:
        # mode="clip" writes into `out` without a copy; no index is out of range
        table.take(rows, axis=0, out=part, mode="clip")
        total += part
    return total


def convolve(x, kernel):
    """Convolution that reads zeros past the right edge: (n, T, channels) -> (n, T, filters)."""
    n, n_positions, n_channels = x.shape
    k, _, n_filters = kernel.shape
    padded = np.zeros((n, n_positions + k - 1, n_channels), dtype=x.dtype)
    padded[:, :n_positions] = x
    parts = product_by_row(padded.reshape(-1, n_channels), side_by_side(kernel))
    parts = parts.reshape(n, n_positions + k - 1, k, n_filters)
    total = parts[:, :n_positions, 0].copy()
    for j in range(1, k):
        total += parts[:, j : j + n_positions, j]
    return total


def pool_positions(x, counts, pool_size):
    """Max pooling between layers, over the positions that count; zero where none of a pool does.

    (n, T, filters) and (n, T) -> (n, ceil(T / pool_size), filters) and (n, ceil(T / pool_size)).
    """
    n, n_positions, n_filters = x.shape
    n_pools = -(-n_positions // pool_size)
    lowest = np.full((n, n_pools * pool_size, n_filters), -np.inf, dtype=x.dtype)
    lowest[:, :n_positions][counts] = x[counts]
    pooled = lowest.reshape(n, n_pools, pool_size, n_filters).max(axis=2)
    in_pool = np.zeros((n, n_pools * pool_size), dtype=bool)
    in_pool[:, :n_positions] = counts
    pool_counts = in_pool.reshape(n, n_pools, pool_size).any(axis=2)
    pooled[~pool_counts] = 0
    return pooled, pool_counts


def product_by_row(left, right):
    """Matrix product (n, d) @ (d, m) whose rows do not depend on how many rows there are."""
    n, d = left.shape
    n_blocks = -(-n // ROWS_PER_PRODUCT)
    if n_blocks * ROWS_PER_PRODUCT != n:
        padded = np.zeros((n_blocks * ROWS_PER_PRODUCT, d), dtype=left.dtype)
        padded[:n] = left
        left = padded
    blocks = left.reshape(n_blocks, ROWS_PER_PRODUCT, d)
    n_columns = right.shape[1]
    product = np.empty((n_blocks, ROWS_PER_PRODUCT, n_columns), dtype=left.dtype)
    width = max(MOST_MULTIPLICATIONS // (ROWS_PER_PRODUCT * d), 1)
    for start in range(0, n_columns, width):
        part = slice(start, start + width)
        np.matmul(blocks, right[:, part], out=product[:, :, part])
    return product.reshape(-1, n_columns)[:n]


def side_by_side(kernel):
    """(kernel_size, channels, filters) -> (channels, kernel_size * filters), contiguous."""
    k, n_channels, n_filters = kernel.shape
    return np.ascontiguousarray(kernel.transpose(1, 0, 2)).reshape(n_channels, k * n_filters)
