"""Our batches, for other libraries."""

import numpy as np
from _networks import BATCH_SIZE, NETWORK

from sklearn_textcnn.network.operations import document_lengths
from sklearn_textcnn.training.batches import shuffled_batches


def our_batches(X, y, rng, batch_size=BATCH_SIZE):
    """Batches of documents of similar length, cut to their longest document."""
    lengths = np.maximum(document_lengths(X), max(NETWORK["kernel_sizes"]))
    for rows in shuffled_batches(lengths, batch_size, rng):
        yield X[rows, : lengths[rows].max()], y[rows]
