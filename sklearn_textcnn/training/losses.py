"""Cross-entropy and hits of documents, from logits."""

import numpy as np


def cross_entropy(targets, logits, output):
    """Cross-entropy of each document, (n,), and its gradient, (n, n_outputs).

    The losses of several sigmoids are averaged.
    """
    if output == "softmax":
        shifted = logits - logits.max(axis=1, keepdims=True)
        log_probabilities = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
        losses = -(targets * log_probabilities).sum(axis=1)
        return losses, np.exp(log_probabilities) * targets.sum(axis=1, keepdims=True) - targets
    small = np.exp(-np.abs(logits))
    losses = np.maximum(logits, 0) - logits * targets + np.log1p(small)
    probabilities = np.where(logits >= 0, 1, small) / (1 + small)
    return losses.mean(axis=1), (probabilities - targets) / targets.shape[1]


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
