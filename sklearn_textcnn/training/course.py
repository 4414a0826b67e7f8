"""What the epochs of a fit come to, whichever engine trains: scores, weights to keep, the end."""

from copy import deepcopy

import numpy as np

from sklearn_textcnn._progress import Progress
from sklearn_textcnn._stacking import LINEAR_ALONE, judged, part_factors
from sklearn_textcnn.network.architecture import arrays_of
from sklearn_textcnn.network.forward import Forward
from sklearn_textcnn.training.losses import hits, mean_cross_entropy


class Course:
    """Validates after each epoch, keeps the best or the averaged weights, and ends the training.

    Its `history`, a dict of lists, and `best_epoch`, whose weights are kept, are what a fit
    reports. It has `ended` where `early_stopping` ends the training, or where after half of the
    epochs the network adds nothing to the linear part beside it.
    """

    def __init__(self, architecture, known, validation, options, n_documents, progress=None):
        self.architecture, self.known, self.options = architecture, known, options
        self.validation, self.history, self.ended = validation, {}, False
        self._is_useless = False
        self.best_epoch, self._best_loss, self._best_weights = None, (np.inf, np.inf), None
        n_averaged = int(np.ceil(options.average * options.epochs - 1e-9))  # 0.07 * 100 is above 7
        # the mean of one is what it is without
        averages = n_averaged > 1 and not options.early_stopping
        self._first_averaged = options.epochs - n_averaged if averages else options.epochs
        self._mean, self._n_in_mean, self._epoch = None, 0, 0
        self._progress = progress or Progress()
        self._progress.begin(options.epochs * -(-n_documents // options.batch_size))
        self._say_epoch()

    def goes_on(self):
        """Whether there is another epoch."""
        return self._epoch < self.options.epochs and not self.ended

    def step(self):
        """Note that a batch is done."""
        self._progress.step()

    def end_epoch(self, scores, weights):
        """Note an epoch, and return its scores with those of the validation documents.

        `weights` returns the weights as they are now, perhaps not copies.
        """
        self._epoch += 1
        unseen = {} if self.validation is None else self._validation_scores(weights())
        self._progress.note(unseen | scores)  # a narrow terminal cuts the last ones off
        scores = scores | unseen
        for name, value in scores.items():
            self.history.setdefault(name, []).append(float(value))
        if not np.isfinite(list(scores.values())).all():
            raise ValueError(
                f"Training diverged: the loss is not finite in epoch {self._epoch}. "
                "Lower learning_rate, or look for extreme values in sample_weight or word_vectors."
            )
        if self.options.early_stopping:
            self._watch(scores, weights)
        elif self._is_useless and self._epoch == -(-self.options.epochs // 2):
            self.ended = True
        elif self._epoch > self._first_averaged:
            self._average(weights())
        if self.goes_on():
            self._say_epoch()
        return scores

    def weights_to_keep(self, last_ones_count=False):
        """Weights of the best epoch, or averaged ones; None: those of the last epoch.

        If somebody else has decided about the weights, the last ones count: nothing is averaged.
        """
        return self._best_weights or (None if last_ones_count else self._mean)

    def _say_epoch(self):
        name, n_epochs = self._progress.name, self.options.epochs
        self._progress.say(f"{name}, epoch {self._epoch + 1} of {n_epochs}")

    def _watch(self, scores, weights):
        """Keep the weights if they are the best, and see whether there may be better ones."""
        # where the network counts nothing yet, only its own loss says whether it learns
        loss = scores.get("val_loss_with_linear", 0.0), scores["val_loss"]
        if loss < self._best_loss:
            self._best_loss, self.best_epoch = loss, self._epoch
            self._best_weights = deepcopy(weights())
        self.ended = self._epoch - (self.best_epoch or self._epoch) >= self.options.patience

    def _average(self, weights):
        """Mean of the weights after each of the last epochs (Izmailov et al. 2018)."""
        self._n_in_mean += 1
        if self._mean is None:
            self._mean = deepcopy(weights)
            return
        for mean, array in zip(arrays_of(self._mean), arrays_of(weights), strict=True):
            mean += (array - mean) * np.float32(1 / self._n_in_mean)

    def _validation_scores(self, weights):
        """Cross-entropy and accuracy on held-out documents: of the network, and of both parts.

        Those of both parts are of the documents that can be judged.
        """
        data = self.validation
        with np.errstate(all="ignore"):  # that training diverges is said once, as an error
            logits = Forward(self.architecture, weights, self.known).logits(data.ids)
            scores = self._scores(data, logits, "")
        if data.beside is not None and np.isfinite(scores["val_loss"]):
            factors = factors_of(data, logits, self.architecture)
            self._is_useless = factors == LINEAR_ALONE
            some = judged(data.beside, logits)
            if some.any():
                both = factors.sum(data.beside, logits)[some]
                scores |= self._scores(data.take(some), both, "_with_linear")
        return scores

    def _scores(self, data, logits, suffix):
        output = self.architecture.output
        losses = mean_cross_entropy(data.targets, logits, output)[0]
        weights = data.weights / data.weights.sum()
        right = hits(data.targets, logits, output)
        scores = {"val_loss": losses @ weights, "val_accuracy": right @ weights}
        return {name + suffix: float(score) for name, score in scores.items()}


def factors_of(documents, network_logits, architecture):
    """What network and linear part count for, by documents that neither has seen."""
    arrays = documents.beside, network_logits, documents.targets, documents.weights
    return part_factors(*arrays, architecture.output == "softmax")
