"""Cross-entropy and hits of documents, from logits."""

import numpy as np

from sklearn_textcnn.network.losses import cross_entropy


def mean_cross_entropy(targets, logits, output):
    """Cross-entropy of each document, (n,), and its gradient, (n, n_outputs).

    The losses of several sigmoids are averaged.
    """
    losses, slopes = cross_entropy(logits, targets, output == "softmax")
    n = 1 if output == "softmax" else targets.shape[1]
    return losses / n, slopes / n


def hits(targets, logits, output):
    """1 for each document whose every label is right, (n,)."""
    if output == "softmax":
        right = logits.argmax(axis=1) == targets.argmax(axis=1)
    else:
        right = ((logits > 0) == (targets > 0.5)).all(axis=1)
    return right.astype(np.float32)


def smoothed(targets, output, share):
    """Targets with a share spread evenly over the classes (Szegedy et al. 2016)."""
    n_choices = targets.shape[1] if output == "softmax" else 2
    return (targets * (1 - share) + share / n_choices).astype(np.float32)
