"""`TrainingHistoryDisplay` and `TopNgramsDisplay`: pictures in scikit-learn's manner."""

from math import ceil
from numbers import Integral

import numpy as np
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from sklearn_textcnn.inspection._axes import axes_for, import_pyplot, signed_bars
from sklearn_textcnn.inspection._writing import Writer, shortened

# (suffix of the name, label, color, line, marker): colors that differ for everybody
SERIES = (
    ("{}", "training", "#0072B2", "-", "o"),
    ("val_{}", "validation", "#D55E00", "--", "s"),
    ("val_{}_with_linear", "validation, with linear part", "#009E73", "-.", "^"),
)
SCORES = "loss", "accuracy"
MOST_MARKED = 40  # epochs with a marker each


class TrainingHistoryDisplay:
    """Loss and accuracy over the epochs of a fit.

    The first epoch is 1. The best one, whose weights early stopping keeps, and the last epochs,
    whose weights are averaged without it, are marked.

    Parameters
    ----------
    history : dict of str to list of float
        As ``history_`` of `TextCNNClassifier`: "loss", "accuracy", and with documents to validate
        on "val_loss", "val_accuracy", "val_loss_with_linear" and "val_accuracy_with_linear".
    best_epoch : int or None, default=None
        The epoch whose weights are kept.
    averaged : tuple of (int, int) or None, default=None
        First and last epoch whose weights are averaged.

    Attributes
    ----------
    axes_ : ndarray of shape (n_scores,) of matplotlib Axes
        One for the loss and one for the accuracy.
    figure_ : matplotlib Figure
    lines_ : dict of str to matplotlib Line2D
        The line of each series of the history that is drawn.

    See Also
    --------
    TrainingHistoryDisplay.from_estimator : Draws the history of a fitted classifier.
    sklearn_textcnn.TextCNNClassifier : Its ``history_`` is drawn.

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("Agg")
    >>> from sklearn_textcnn.inspection import TrainingHistoryDisplay
    >>> history = {"loss": [0.9, 0.5, 0.4], "val_loss": [0.8, 0.6, 0.7]}
    >>> display = TrainingHistoryDisplay(history, best_epoch=2).plot()
    >>> sorted(display.lines_)
    ['loss', 'val_loss']
    """

    def __init__(self, history, *, best_epoch=None, averaged=None):
        self.history = history
        self.best_epoch = best_epoch
        self.averaged = averaged

    @classmethod
    def from_estimator(cls, estimator, *, ax=None, **line_kw):
        """Draw the history of a fitted classifier.

        Parameters
        ----------
        estimator : TextCNNClassifier or Pipeline
            Fitted; a pipeline ends in a `TextCNNClassifier`.
        ax : matplotlib Axes or array-like of Axes, default=None
            See `plot`.
        **line_kw : dict
            See `plot`.

        Returns
        -------
        TrainingHistoryDisplay

        Examples
        --------
        >>> import matplotlib
        >>> matplotlib.use("Agg")
        >>> from sklearn.pipeline import make_pipeline
        >>> from sklearn_textcnn import TextCNNClassifier, TextVectorizerTransformer
        >>> from sklearn_textcnn.inspection import TrainingHistoryDisplay
        >>> texts = ["a fine film", "what a fine day", "a dull film", "such a dull day"] * 10
        >>> labels = ["good", "good", "bad", "bad"] * 10
        >>> pipe = make_pipeline(
        ...     TextVectorizerTransformer(),
        ...     TextCNNClassifier(epochs=4, linear_ngrams=0, random_state=0),
        ... )
        >>> display = TrainingHistoryDisplay.from_estimator(pipe.fit(texts, labels))
        >>> display.averaged
        (3, 4)
        """
        import_pyplot()
        classifier = _last_step(estimator)
        if not hasattr(classifier, "fit") or not hasattr(classifier, "early_stopping"):
            raise TypeError(
                "estimator must be a TextCNNClassifier, or a Pipeline that ends in one; got "
                f"{type(classifier).__name__}, which has no epochs."
            )
        check_is_fitted(classifier, "history_")
        display = cls(
            classifier.history_,
            best_epoch=classifier.best_epoch_,
            averaged=_averaged_epochs(classifier),
        )
        return display.plot(ax, **line_kw)

    def plot(self, ax=None, **line_kw):
        """Draw the history.

        Parameters
        ----------
        ax : matplotlib Axes or array-like of Axes, default=None
            One: both pictures are drawn in its place. As many as there are pictures: these. None: a
            new figure.
        **line_kw : dict
            For ``matplotlib.axes.Axes.plot``.

        Returns
        -------
        TrainingHistoryDisplay
            The display itself.

        Examples
        --------
        >>> import matplotlib
        >>> matplotlib.use("Agg")
        >>> import matplotlib.pyplot as plt
        >>> from sklearn_textcnn.inspection import TrainingHistoryDisplay
        >>> _, (left, right) = plt.subplots(1, 2)
        >>> history = {"loss": [0.9, 0.5, 0.4], "accuracy": [0.5, 0.7, 0.8]}
        >>> display = TrainingHistoryDisplay(history).plot([left, right])
        >>> display.lines_["accuracy"].axes is right
        True
        """
        known = self.history
        scores = [score for score in SCORES if score in known or f"val_{score}" in known]
        if not scores:
            raise ValueError(
                'history must hold "loss" or "accuracy", a number for each epoch; got '
                f"{sorted(self.history)}."
            )
        size = 4.6 * len(scores), 3.4
        self.figure_, self.axes_ = axes_for(ax, len(scores), len(scores), size)
        self.lines_ = {}
        for axes, score in zip(self.axes_, scores, strict=True):
            self._draw(axes, score, line_kw)
        if ax is None:
            handles = self.axes_[0].get_legend_handles_labels()
            place = {"loc": "outside lower center", "ncols": 3}
            self.figure_.legend(*handles, fontsize="small", frameon=False, **place)
        else:
            self.axes_[0].legend(fontsize="small")
        return self

    def _draw(self, ax, score, line_kw):
        from matplotlib.ticker import MaxNLocator

        n_epochs = max(map(len, self.history.values()))
        for pattern, label, color, line, marker in SERIES:
            values = self.history.get(name := pattern.format(score))
            if values is None:
                continue
            style = {"label": label, "color": color, "linestyle": line, "marker": marker}
            style |= {"markersize": 4 if n_epochs <= MOST_MARKED else 0} | line_kw
            # a stream may have been validated later than it began
            epochs = np.arange(n_epochs - len(values), n_epochs) + 1
            (self.lines_[name],) = ax.plot(epochs, values, **style)
        if self.averaged is not None:
            first, last = self.averaged
            label = f"weights averaged: epochs {first} to {last}"
            ax.axvspan(first - 0.5, last + 0.5, color="0.5", alpha=0.18, linewidth=0, label=label)
        if self.best_epoch is not None:
            label = f"weights kept: epoch {self.best_epoch}"
            ax.axvline(self.best_epoch, color="0.5", linestyle=":", linewidth=2, label=label)
        ax.set(xlabel="epoch", ylabel=score, xlim=(0.5, n_epochs + 0.5))
        ax.xaxis.set_major_locator(MaxNLocator("auto", integer=True, min_n_ticks=1))
        ax.spines[["top", "right"]].set_visible(False)


class TopNgramsDisplay:
    """The n-grams that add most to the logit of each class, as bars.

    Parameters
    ----------
    ngrams : dict of object to list of (str, float)
        For each class n-grams and what they add, as `top_ngrams` returns them.

    Attributes
    ----------
    axes_ : ndarray of shape (n_classes,) of matplotlib Axes
    figure_ : matplotlib Figure
    bars_ : dict of object to matplotlib BarContainer
        The bars of each class.

    See Also
    --------
    TopNgramsDisplay.from_estimator : Finds the n-grams of documents and draws them.
    TopNgramsDisplay.from_ngrams : Draws those that are given.
    sklearn_textcnn.TextCNNClassifier.top_ngrams : Finds the n-grams.

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("Agg")
    >>> from sklearn_textcnn.inspection import TopNgramsDisplay
    >>> ngrams = {"bad": [("dull", 9.0), ("such a dull", 4.0)], "good": [("fine", 8.0)]}
    >>> display = TopNgramsDisplay(ngrams).plot()
    >>> [float(bar.get_width()) for bar in display.bars_["bad"]]
    [9.0, 4.0]
    """

    def __init__(self, ngrams):
        self.ngrams = ngrams

    @classmethod
    def from_estimator(cls, estimator, X, *, n=10, classes=None, ax=None, **plot_kw):
        """Find the n-grams of documents that add most to each class, and draw them.

        Parameters
        ----------
        estimator : TextCNNClassifier, NgramLinearClassifier or Pipeline
            Fitted; a pipeline ends in one of the two.
        X : TokenIds, array-like of int, or iterable of str
            Documents, as the estimator takes them.
        n : int, default=10
            Most n-grams for each class.
        classes : array-like or None, default=None
            The classes to draw, in this order. None: all.
        ax : matplotlib Axes or array-like of Axes, default=None
            See `plot`.
        **plot_kw : dict
            Other parameters of `plot`.

        Returns
        -------
        TopNgramsDisplay

        Examples
        --------
        >>> import matplotlib
        >>> matplotlib.use("Agg")
        >>> from sklearn.pipeline import make_pipeline
        >>> from sklearn_textcnn import NgramLinearClassifier, TextVectorizerTransformer
        >>> from sklearn_textcnn.inspection import TopNgramsDisplay
        >>> texts = ["a fine film", "what a fine day", "a dull film", "such a dull day"] * 10
        >>> labels = ["good", "good", "bad", "bad"] * 10
        >>> pipe = make_pipeline(TextVectorizerTransformer(), NgramLinearClassifier(random_state=0))
        >>> display = TopNgramsDisplay.from_estimator(pipe.fit(texts, labels), texts, n=3)
        >>> [ax.get_title() for ax in display.axes_]
        ['bad', 'good']
        """
        import_pyplot()
        classifier = _last_step(estimator)
        if not hasattr(classifier, "top_ngrams"):
            raise TypeError(
                "estimator must be a TextCNNClassifier or NgramLinearClassifier, or a Pipeline "
                f"that ends in one; got {type(classifier).__name__}."
            )
        if isinstance(estimator, Pipeline) and len(estimator) > 1:
            X = estimator[:-1].transform(X)
        return cls.from_ngrams(classifier.top_ngrams(X, n), classes=classes, ax=ax, **plot_kw)

    @classmethod
    def from_ngrams(cls, ngrams, *, classes=None, ax=None, **plot_kw):
        """Draw n-grams.

        Parameters
        ----------
        ngrams : dict of object to list of (str, float)
            For each class n-grams and what they add, as `top_ngrams` returns them.
        classes : array-like or None, default=None
            The classes to draw, in this order. None: all.
        ax : matplotlib Axes or array-like of Axes, default=None
            See `plot`.
        **plot_kw : dict
            Other parameters of `plot`.

        Returns
        -------
        TopNgramsDisplay

        Examples
        --------
        >>> import matplotlib
        >>> matplotlib.use("Agg")
        >>> from sklearn_textcnn.inspection import TopNgramsDisplay
        >>> ngrams = {"bad": [("dull", 9.0), ("such a dull", 4.0)], "good": [("fine", 8.0)]}
        >>> display = TopNgramsDisplay.from_ngrams(ngrams, classes=["good"])
        >>> list(display.bars_)
        ['good']
        """
        if not isinstance(ngrams, dict) or not ngrams:
            raise ValueError(
                "ngrams must be a dict of class to list of (text, contribution), as top_ngrams "
                f"returns it, with at least one class; got {ngrams!r}."
            )
        if classes is not None:
            classes = np.asarray(classes).ravel().tolist()
            others = [label for label in classes if label not in ngrams]
            if others or not classes:
                raise ValueError(
                    f"classes must be some of {list(ngrams)}; got {others or classes}."
                )
            ngrams = {label: ngrams[label] for label in classes}
        return cls(ngrams).plot(ax, **plot_kw)

    def plot(self, ax=None, *, n_columns=None, max_characters=28, **bar_kw):
        """Draw the n-grams, a picture for each class.

        Bars of all classes have the same scale.

        Parameters
        ----------
        ax : matplotlib Axes or array-like of Axes, default=None
            One: all pictures are drawn in its place. One for each class: these. None: a new figure.
        n_columns : int or None, default=None
            Pictures beside each other. None: as many as there are classes, at most 4.
        max_characters : int, default=28
            Longer n-grams are shortened in their middle.
        **bar_kw : dict
            For ``matplotlib.axes.Axes.barh``.

        Returns
        -------
        TopNgramsDisplay
            The display itself.

        Examples
        --------
        >>> import matplotlib
        >>> matplotlib.use("Agg")
        >>> from sklearn_textcnn.inspection import TopNgramsDisplay
        >>> ngrams = {"bad": [("such a very dull story", 9.0)], "good": [("fine", 8.0)]}
        >>> display = TopNgramsDisplay(ngrams).plot(max_characters=20)
        >>> display.axes_[0].get_yticklabels()[0].get_text()
        'such a very … story'
        """
        import_pyplot()
        n = len(self.ngrams)
        n_columns = n_columns or (n if n <= 3 else 3 if n <= 9 else 4)
        longest = max(map(len, self.ngrams.values()))
        labels = {
            label: [shortened(text, max_characters) for text, _ in found]
            for label, found in self.ngrams.items()
        }
        titles = {label: shortened(str(label), 40) for label in labels}
        writer = Writer([*titles.values(), *(text for texts in labels.values() for text in texts)])
        n_rows = -(-n // n_columns)
        size = 3.4 * n_columns, n_rows * (0.19 * max(longest, 3) + 0.55) + 0.2
        self.figure_, self.axes_ = axes_for(ax, n, n_columns, size, sharex=True)
        self.bars_ = {}
        for i, (axes, label) in enumerate(zip(self.axes_, labels, strict=True)):
            values = [value for _, value in self.ngrams[label]]
            self.bars_[label] = signed_bars(axes, labels[label], values, writer, **bar_kw)
            # as thick in all pictures
            axes.set_ylim(longest - 0.4, -0.6)
            axes.tick_params(labelsize="small")
            if not values:
                axes.text(0.5, 0.5, "none", color="0.5", transform=axes.transAxes)
            axes.set_title(writer(titles[label]), fontsize="medium", **writer.style)
            if i + n_columns >= n:
                axes.set_xlabel("adds to the logit", fontsize="small")
            else:
                axes.tick_params(axis="x", labelbottom=False)
        return self


def _last_step(estimator):
    return estimator.steps[-1][1] if isinstance(estimator, Pipeline) else estimator


def _averaged_epochs(classifier):
    """First and last epoch whose weights were averaged; None where none were, or that is unknown.

    A fit is shorter than it was meant to be where the network counts nothing, and where a callback
    ends it: nothing is averaged then.
    """
    n_epochs, meant = classifier.n_iter_, classifier.epochs
    ended = n_epochs < meant if isinstance(meant, Integral) else bool(classifier.callbacks)
    is_idle = not classifier.part_weights_.get("network")
    averages_itself = getattr(classifier.optimizer, "use_ema", False)
    if classifier.early_stopping or ended or is_idle or averages_itself:
        return None
    n_averaged = ceil(classifier.average * n_epochs - 1e-9)
    return (n_epochs - n_averaged + 1, n_epochs) if n_averaged > 1 else None
