"""What answers cost."""

import numpy as np


def cross_entropy(logits, targets, one_of):
    """Cross-entropy of each document, (n,), and its slopes, (n, n_outputs).

    With `one_of` the outputs are classes, and the targets of a document sum to 1; without, each is
    by itself, and their losses are summed.
    """
    if one_of:
        shifted = logits - logits.max(axis=1, keepdims=True)
        log_probabilities = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
        return -(targets * log_probabilities).sum(axis=1), np.exp(log_probabilities) - targets
    small = np.exp(-np.abs(logits))
    losses = np.maximum(logits, 0) - logits * targets + np.log1p(small)
    return losses.sum(axis=1), np.where(logits >= 0, 1, small) / (1 + small) - targets
