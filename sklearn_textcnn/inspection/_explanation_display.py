"""`ExplanationDisplay`: a document in colors, and bars of what its n-grams and parts add."""

import re

import numpy as np

from sklearn_textcnn.inspection._axes import axes_for, import_pyplot, rgb, signed_bars
from sklearn_textcnn.inspection._html import AGAINST, FAINTEST, FOR, opacities
from sklearn_textcnn.inspection._pipeline import explain_pipeline
from sklearn_textcnn.inspection._writing import (
    ELLIPSIS,
    Writer,
    base_direction,
    direction,
    mirrored,
    shortened,
    visual_order,
)

WIDTH = 9.0  # of a new figure, in inches
SPACE = 0.36  # between words, in sizes of the font
LINE_HEIGHT = 1.75  # in sizes of the font
SMALLEST = 5.0  # points
MOST_LINES = 40


class ExplanationDisplay:
    """An explanation: the document with its tokens colored, its strongest n-grams, and the parts.

    Blue n-grams and tokens add to the logit of the target, vermilion ones with dashed lines take
    from it.

    Parameters
    ----------
    explanation : Explanation

    Attributes
    ----------
    axes_ : ndarray of shape (3,) of matplotlib Axes
        Of the text, of the n-grams and of the parts.
    figure_ : matplotlib Figure
    bars_ : matplotlib BarContainer
        Bars of the n-grams, the strongest first.
    part_bars_ : matplotlib BarContainer
        Bars of what the parts of the model add.
    texts_ : list of matplotlib Text
        The words of the document.

    See Also
    --------
    ExplanationDisplay.from_explanation : Draws an explanation.
    ExplanationDisplay.from_pipeline : Explains a text and draws that.
    Explanation : Shows itself in colors in a notebook.

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("Agg")
    >>> from sklearn_textcnn import NgramLinearClassifier, TextVectorizerTransformer
    >>> from sklearn_textcnn.inspection import ExplanationDisplay
    >>> texts = ["a fine film", "what a fine day", "a dull film", "such a dull day"] * 10
    >>> labels = ["good", "good", "bad", "bad"] * 10
    >>> ids = TextVectorizerTransformer().fit_transform(texts)
    >>> classifier = NgramLinearClassifier(random_state=0).fit(ids, labels)
    >>> display = ExplanationDisplay(classifier.explain(ids[:1])[0]).plot(n_ngrams=3)
    >>> display.axes_[1].get_yticklabels()[0].get_text()
    'fine'
    """

    def __init__(self, explanation):
        self.explanation = explanation

    @classmethod
    def from_explanation(cls, explanation, *, ax=None, **plot_kw):
        """Draw an explanation.

        Parameters
        ----------
        explanation : Explanation
            One of those that `explain` or `explain_pipeline` return.
        ax : matplotlib Axes or array-like of Axes, default=None
            See `plot`.
        **plot_kw : dict
            Other parameters of `plot`.

        Returns
        -------
        ExplanationDisplay

        Examples
        --------
        >>> import matplotlib
        >>> matplotlib.use("Agg")
        >>> from sklearn_textcnn import NgramLinearClassifier, TextVectorizerTransformer
        >>> from sklearn_textcnn.inspection import ExplanationDisplay
        >>> texts = ["a fine film", "what a fine day", "a dull film", "such a dull day"] * 10
        >>> labels = ["good", "good", "bad", "bad"] * 10
        >>> ids = TextVectorizerTransformer().fit_transform(texts)
        >>> classifier = NgramLinearClassifier(random_state=0).fit(ids, labels)
        >>> (explanation,) = classifier.explain(ids[:1])
        >>> display = ExplanationDisplay.from_explanation(explanation)
        >>> [text.get_text() for text in display.texts_]
        ['a', 'fine', 'film']
        """
        if not hasattr(explanation, "ngrams"):
            hint = ": pass one of the list" if isinstance(explanation, list) else ""
            raise TypeError(
                f"explanation must be an Explanation, got {type(explanation).__name__}{hint}."
            )
        return cls(explanation).plot(ax, **plot_kw)

    @classmethod
    def from_pipeline(cls, pipeline, text, target=None, *, ax=None, **plot_kw):
        """Explain a text and draw that.

        Parameters
        ----------
        pipeline : sklearn.pipeline.Pipeline
            See `explain_pipeline`.
        text : str
            One document.
        target : object, default=None
            The class whose logit is explained. None: the most probable one.
        ax : matplotlib Axes or array-like of Axes, default=None
            See `plot`.
        **plot_kw : dict
            Other parameters of `plot`.

        Returns
        -------
        ExplanationDisplay

        Examples
        --------
        >>> import matplotlib
        >>> matplotlib.use("Agg")
        >>> from sklearn.pipeline import make_pipeline
        >>> from sklearn_textcnn import NgramLinearClassifier, TextVectorizerTransformer
        >>> from sklearn_textcnn.inspection import ExplanationDisplay
        >>> texts = ["a fine film", "what a fine day", "a dull film", "such a dull day"] * 10
        >>> labels = ["good", "good", "bad", "bad"] * 10
        >>> pipe = make_pipeline(TextVectorizerTransformer(), NgramLinearClassifier(random_state=0))
        >>> display = ExplanationDisplay.from_pipeline(pipe.fit(texts, labels), "A FINE day!")
        >>> [text.get_text() for text in display.texts_]
        ['A', 'FINE', 'day', '!']
        """
        import_pyplot()
        if not isinstance(text, str | bytes):
            raise TypeError(f"text must be one document, a string; got {type(text).__name__}.")
        (explanation,) = explain_pipeline(pipeline, [text], target)
        return cls.from_explanation(explanation, ax=ax, **plot_kw)

    def plot(self, ax=None, *, n_ngrams=10, max_characters=40):
        """Draw the explanation.

        Parameters
        ----------
        ax : matplotlib Axes or array-like of 3 Axes, default=None
            One: all is drawn in its place. Three: for the text, the n-grams and the parts. None: a
            new figure, as high as the text needs. Where there is not enough room the letters get
            smaller, and at last the text ends in an ellipsis.
        n_ngrams : int, default=10
            Most n-grams that are drawn; what the others add together is written below.
        max_characters : int, default=40
            Longer n-grams are shortened in their middle.

        Returns
        -------
        ExplanationDisplay
            The display itself.

        Examples
        --------
        >>> import matplotlib
        >>> matplotlib.use("Agg")
        >>> from sklearn_textcnn import NgramLinearClassifier, TextVectorizerTransformer
        >>> from sklearn_textcnn.inspection import ExplanationDisplay
        >>> texts = ["a fine film", "what a fine day", "a dull film", "such a dull day"] * 10
        >>> labels = ["good", "good", "bad", "bad"] * 10
        >>> ids = TextVectorizerTransformer().fit_transform(texts)
        >>> classifier = NgramLinearClassifier(random_state=0).fit(ids, labels)
        >>> display = ExplanationDisplay(classifier.explain(ids[:1])[0]).plot(n_ngrams=2)
        >>> len(display.bars_)
        2
        """
        plt = import_pyplot()
        explanation = self.explanation
        words = _words(explanation)
        labels, values, left = _ngrams(explanation, n_ngrams, max_characters)
        head = _head(explanation)
        writer = Writer([*(word.text for word in words), *labels, head])
        points = plt.rcParams["font.size"]
        measured = _measured(words, writer, points, plt.rcParams["figure.dpi"])
        lines = _lines(measured, (WIDTH - 0.4) * 72)
        heights = (
            (min(len(lines), MOST_LINES) * LINE_HEIGHT) * points / 72 + 0.1,
            0.24 * max(len(values), 5) + 0.5,
        )
        self.figure_, self.axes_ = _three_axes(ax, heights)
        on_text, on_ngrams, on_parts = self.axes_
        self.bars_ = signed_bars(on_ngrams, labels, values, writer)
        on_ngrams.set_title("N-grams that add most", fontsize="medium", loc="left")
        parts = explanation.by_part() | {"logit": explanation.logit}
        self.part_bars_ = signed_bars(on_parts, parts, list(parts.values()), writer)
        on_parts.axhline(len(parts) - 1.5, color="0.5", linewidth=0.8)
        on_parts.set_title("Parts of the model", fontsize="medium", loc="left")
        for axes, bars in ((on_ngrams, self.bars_), (on_parts, self.part_bars_)):
            axes.bar_label(bars, fmt=_number, padding=3, fontsize="small")
            axes.margins(x=0.25)
            axes.tick_params(labelsize="small")
        on_ngrams.set_xlabel(f"adds to the logit{left}", fontsize="small")
        on_parts.set_xlabel("adds to the logit", fontsize="small")
        # as thick as those beside them
        on_parts.set_ylim(max(len(values), len(parts)) - 0.4, -0.6)
        on_text.set_axis_off()
        on_text.set_title(writer(head), fontsize="medium", loc="left", **writer.style)
        # only then it is known how wide the axes are; of a subfigure the whole is drawn
        self.figure_.canvas.figure.draw_without_rendering()
        self.texts_ = _write(on_text, measured, writer, points, _is_right_to_left(explanation))
        return self


class _Word:
    """A token, or what is written between two.

    Parameters
    ----------
    text : str
    strength : float
        How much it adds, beside the token that adds most; 0: no color.
    is_faint : bool
        Whether the classifier has not read it.
    """

    def __init__(self, text, strength=0.0, is_faint=False):
        self.text, self.strength, self.is_faint = text, strength, is_faint


def _words(explanation):
    """The document as words and the spaces between them."""
    weights = np.asarray(explanation.token_weights, dtype=float)
    largest = np.abs(weights).max(initial=0)
    shares = weights / largest if largest else weights
    shares[np.abs(shares) <= FAINTEST] = 0
    tokens = list(zip(explanation.tokens, shares.tolist(), strict=True))
    if explanation.text is None or explanation.offsets is None:
        words = []
        for token, share in tokens:
            words += [_Word(token, share), _Word(" ")]
        return words[:-1]
    text, words, end = explanation.text, [], 0
    cut, at_start = bool(explanation.n_cut), explanation.cut_at_start
    for (token, share), (start, stop) in zip(tokens, explanation.offsets, strict=True):
        words += _between(text[end:start], cut and at_start and not end)
        words += [_Word(token, share)] if stop > start else []
        end = stop
    return words + _between(text[end:], cut and not at_start)


def _between(text, is_faint):
    return [
        _Word(" " if piece.isspace() else piece, is_faint=is_faint)
        for piece in re.findall(r"\s+|\S+", text)
    ]


def _head(explanation):
    probability = explanation.probabilities.get(explanation.target)
    sure = "" if probability is None else f", probability {probability:.3f}"
    cut = f"; {explanation.n_cut:,} tokens were not read" if explanation.n_cut else ""
    name = shortened(str(explanation.target), 40)
    return f"{name}: logit {_number(explanation.logit)}{sure}{cut}"


def _number(value):
    return f"{value:+.2f}".replace("-", "\N{MINUS SIGN}")


def _ngrams(explanation, n, max_characters):
    """Labels and values of the bars, and what is to be said of the other n-grams."""
    shown, left = explanation.ngrams[:n], explanation.ngrams[n:]
    are_several = len({ngram.source for ngram in explanation.ngrams}) > 1
    labels = [
        shortened(ngram.text, max_characters) + (f" ({ngram.source})" if are_several else "")
        for ngram in shown
    ]
    values = [ngram.contribution for ngram in shown]
    if not left:
        return labels, values, ""
    rest = _number(sum(ngram.contribution for ngram in left))
    others = "1 other" if len(left) == 1 else f"{len(left):,} others"
    return labels, values, f"; {others}: {rest}"


def _three_axes(ax, heights):
    """Axes of the text above those of the bars."""
    if ax is not None and not hasattr(ax, "plot"):
        return axes_for(ax, 3, 1, None)
    # the text has the whole width, the parts have a third of it
    figure, (top, bottom) = axes_for(
        ax, 2, 1, (WIDTH, sum(heights) + 0.5), height_ratios=list(heights)
    )
    bottom.set_axis_off()
    grid = bottom.get_subplotspec().subgridspec(1, 2, width_ratios=[2, 1])
    bottom.remove()
    return figure, np.array([top, *(figure.add_subplot(place) for place in grid)], dtype=object)


def _is_right_to_left(explanation):
    text = explanation.text
    return base_direction(" ".join(explanation.tokens) if text is None else text) == "R"


def _measured(words, writer, points, dpi):
    """Words with the width of each, in points, at a size of the font."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    # letters are set to whole pixels, so that words are not equally wide at each resolution
    canvases = [FigureCanvasAgg(Figure(dpi=one)) for one in (72, dpi)]
    widths = {"": 0.0, " ": SPACE * points}
    for text in {writer(word.text) for word in words} - set(widths):
        texts = [c.figure.text(0, 0, text, fontsize=points, **writer.style) for c in canvases]
        widths[text] = max(t.get_window_extent().width * 72 / t.figure.dpi for t in texts)
        for one in texts:
            one.remove()
    return [(word, widths[writer(word.text)]) for word in words]


def _lines(measured, width):
    """Lines of (word, width) that are not wider than `width`, broken at spaces if they can be."""
    lines, line, room = [], [], width
    for run in _runs(measured):
        wide = sum(size for _, size in run)
        if wide > room and line and wide <= width:
            lines.append(line)
            line, room = [], width
        for word, size in run:
            if size > room and line:
                lines.append(line)
                line, room = [], width
            if line or word.text != " ":
                line.append((word, size))
                room -= size
    return [*lines, line] if line else lines


def _runs(measured):
    """What is written without a space in between."""
    run = []
    for word, size in measured:
        if word.text == " ":
            yield from ([run] if run else [])
            yield [(word, size)]
            run = []
        else:
            run.append((word, size))
    if run:
        yield run


def _write(ax, measured, writer, points, right_to_left):
    """Write the words on axes, as large as they fit; return their texts."""
    box = ax.get_window_extent()
    to_points = 72 / ax.figure.dpi
    width, height = box.width * to_points, box.height * to_points
    ax.set(xlim=(0, width), ylim=(height, 0))
    while True:
        lines = _lines(measured, width)
        if len(lines) * LINE_HEIGHT * points <= height + 1 or points <= SMALLEST:
            break
        smaller = max(points - 0.5, SMALLEST)
        measured = [(word, size * smaller / points) for word, size in measured]
        points = smaller
    n_lines = max(int((height + 1) // (LINE_HEIGHT * points)), 1)
    if len(lines) > n_lines:
        lines = lines[:n_lines]
        lines[-1] = [*lines[-1][:-1], (_Word(ELLIPSIS), points)]
    texts = []
    for i, line in enumerate(lines):
        middle = (i + 0.5) * LINE_HEIGHT * points
        directions = [direction(word.text) for word, _ in line]
        order, is_mirrored = visual_order(directions, "R" if right_to_left else "L")
        x = width - sum(size for _, size in line) if right_to_left else 0
        for place in order:
            word, size = line[place]
            if word.strength:
                _color(ax, word.strength, x, size, middle, points)
            if word.text != " ":
                faint = {"alpha": 0.6} if word.is_faint else {}
                style = writer.style | {"fontsize": points, "va": "center_baseline"} | faint
                seen = writer(word.text)
                if is_mirrored[place] and not directions[place]:
                    seen = mirrored(seen)
                texts.append((i, place, ax.text(x, middle, seen, **style)))
            x += size
    return [text for *_, text in sorted(texts, key=lambda one: one[:2])]


def _color(ax, strength, x, width, middle, points):
    """Lay the color of a word under it."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Rectangle

    color, line = (rgb(FOR), "-") if strength > 0 else (rgb(AGAINST), (0, (2, 1)))
    half = 0.72 * points
    shade, underline = ((*color, opacity) for opacity in opacities(abs(strength)))
    # add_patch and plot look for limits of the axes, which takes most of the time
    ax.add_artist(Rectangle((x, middle - half), width, 2 * half, facecolor=shade, edgecolor="none"))
    ends = [x, x + width], [middle + half] * 2
    style = {"color": underline, "linestyle": line, "linewidth": 1.6}
    ax.add_artist(Line2D(*ends, solid_capstyle="butt", **style))
