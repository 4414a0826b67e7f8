"""`Explanation` and `NGram`: what `explain` returns."""

from dataclasses import dataclass, fields

import numpy as np

from sklearn_textcnn.inspection._batches import SOURCES
from sklearn_textcnn.inspection._html import as_html

N_SHOWN = 10  # n-grams that are printed


@dataclass(frozen=True)
class NGram:
    """Tokens in a row, and what they add to the logit.

    Parameters
    ----------
    start, stop : int
        The tokens are ``explanation.tokens[start:stop]``.
    text : str
        The tokens, with spaces in between; from `explain_pipeline` as they are written.
    contribution : float
        What the n-gram adds to the logit, what its part of the model counts for included.
    source : {"network", "linear"}
        The part of the model that it comes from.

    See Also
    --------
    Explanation : Has a list of them.

    Examples
    --------
    >>> from sklearn_textcnn.inspection import NGram
    >>> NGram(start=1, stop=3, text="fine film", contribution=0.8, source="network").text
    'fine film'
    """

    start: int
    stop: int
    text: str
    contribution: float
    source: str


@dataclass(eq=False, repr=False)
class Explanation:
    """The logit of a document as a sum over its n-grams.

    ``bias`` and the contributions of all ``ngrams`` add up to ``logit``. An explanation prints as
    text, and a notebook shows it as the document in colors.

    Parameters
    ----------
    tokens : list of str
        Tokens of the document, "[UNK]" if unknown, "#17" if only the id is known; from
        `explain_pipeline` as they are written.
    target : object
        The class whose logit it is; at multi-label the number of the label.
    logit : float
        The number that is divided: as `decision_function` has it. For ``classes_[0]`` of two it is
        the negative.
    bias : float
        What no n-gram adds: the intercepts.
    ngrams : list of NGram
        All n-grams that add something, by falling absolute contribution. Each is there once for
        each part of the model.
    token_weights : ndarray of shape (n_tokens,)
        Contributions of the n-grams divided equally among their tokens. With `bias` they, too, add
        up to the logit.
    probabilities : dict of object to float
        Probability of each class, or of each label.
    text : str or None, default=None
        The document as it is written, from `explain_pipeline`. None where it is not known which
        places in it the tokens come from.
    offsets : list of tuple of int or None, default=None
        Token ``i`` is ``text[slice(*offsets[i])]``.
    n_cut : int, default=0
        Tokens of the document that were not read, as they are beyond `max_length`.
    cut_at_start : bool, default=False
        Whether these are the first tokens of the document, not the last ones.

    See Also
    --------
    sklearn_textcnn.TextCNNClassifier.explain : Makes explanations of ids.
    explain_pipeline : Makes explanations of texts.

    Examples
    --------
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn_textcnn import NgramLinearClassifier, TextVectorizerTransformer
    >>> from sklearn_textcnn.inspection import explain_pipeline
    >>> texts = ["a fine film", "what a fine day", "a dull film", "such a dull day"] * 10
    >>> labels = ["good", "good", "bad", "bad"] * 10
    >>> pipe = make_pipeline(TextVectorizerTransformer(), NgramLinearClassifier(random_state=0))
    >>> (explanation,) = explain_pipeline(pipe.fit(texts, labels), ["Such a fine film!"])
    >>> explanation.target
    'good'
    >>> explanation.ngrams[0].text
    'fine'
    >>> total = explanation.bias + sum(ngram.contribution for ngram in explanation.ngrams)
    >>> abs(total - explanation.logit) < 1e-4
    True
    """

    tokens: list
    target: object
    logit: float
    bias: float
    ngrams: list
    token_weights: np.ndarray
    probabilities: dict
    text: str | None = None
    offsets: list | None = None
    n_cut: int = 0
    cut_at_start: bool = False

    @classmethod
    def _of(cls, known, later, place):
        """Explanation of one document whose other fields are written out when they are asked for.

        Writing out those of a thousand documents takes longer than finding them.
        """
        explanation = cls.__new__(cls)
        vars(explanation).update(known, _later=later, _place=place)
        return explanation

    def __getattr__(self, name):
        # only of what is not there yet
        if name not in Later.FIELDS or "_later" not in vars(self):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        value = getattr(self._later, name)(self)
        setattr(self, name, value)
        return value

    def __getstate__(self):
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def by_part(self):
        """What each part of the model adds to the logit.

        Returns
        -------
        dict of str to float
            Of "network" and "linear", as far as they add anything, and of "bias".

        Examples
        --------
        >>> from sklearn_textcnn import NgramLinearClassifier, TextVectorizerTransformer
        >>> texts = ["a fine film", "what a fine day", "a dull film", "such a dull day"] * 10
        >>> labels = ["good", "good", "bad", "bad"] * 10
        >>> ids = TextVectorizerTransformer().fit_transform(texts)
        >>> classifier = NgramLinearClassifier(random_state=0).fit(ids, labels)
        >>> (explanation,) = classifier.explain(ids[:1])
        >>> sorted(explanation.by_part())
        ['bias', 'linear']
        """
        parts = {
            source: sum(ngram.contribution for ngram in self.ngrams if ngram.source == source)
            for source in SOURCES
            if any(ngram.source == source for ngram in self.ngrams)
        }
        return parts | {"bias": self.bias}

    def to_frame(self):
        """The n-grams as a table.

        Returns
        -------
        pandas.DataFrame
            A row for each n-gram, by falling absolute contribution, with the columns "text",
            "contribution", "source", "start" and "stop". Its ``attrs`` hold target, logit and bias.

        Raises
        ------
        ImportError
            If pandas is not installed.

        Examples
        --------
        >>> from sklearn_textcnn import NgramLinearClassifier, TextVectorizerTransformer
        >>> texts = ["a fine film", "what a fine day", "a dull film", "such a dull day"] * 10
        >>> labels = ["good", "good", "bad", "bad"] * 10
        >>> ids = TextVectorizerTransformer().fit_transform(texts)
        >>> classifier = NgramLinearClassifier(random_state=0).fit(ids, labels)
        >>> frame = classifier.explain(ids[:1])[0].to_frame()
        >>> frame["text"].tolist()[:1], frame.attrs["target"]
        (['fine'], 'good')
        """
        try:
            import pandas as pd
        except ImportError as error:
            raise ImportError(
                "to_frame needs pandas, which is not installed: pip install pandas. The attribute "
                "ngrams holds the same as a list."
            ) from error
        columns = ["text", "contribution", "source", "start", "stop"]
        frame = pd.DataFrame(
            {name: [getattr(ngram, name) for ngram in self.ngrams] for name in columns}
        )
        frame.attrs = {"target": self.target, "logit": self.logit, "bias": self.bias}
        return frame

    def __str__(self):
        parts = self.by_part()
        terms = " ".join(f"{value:+.2f} ({name})" for name, value in parts.items())
        probability = self.probabilities.get(self.target, np.nan)
        of = f"{self.target!r}, probability {probability:.2f}"
        lines = [f"{of}: logit {self.logit:+.2f} = {terms}"]
        width = max((len(ngram.source) for ngram in self.ngrams), default=0)
        lines += [
            f"  {ngram.contribution:+.3f}  {ngram.source:{width}}  {ngram.text!r}"
            for ngram in self.ngrams[:N_SHOWN]
        ]
        if len(self.ngrams) > N_SHOWN:
            rest = sum(ngram.contribution for ngram in self.ngrams[N_SHOWN:])
            lines.append(f"  {rest:+.3f}  {len(self.ngrams) - N_SHOWN} other n-grams")
        if self.n_cut:
            lines.append(f"  {self.n_cut} tokens beyond max_length were not read")
        return "\n".join(lines)

    def __repr__(self):
        shown = [f"{ngram.text!r} {ngram.contribution:+.2f}" for ngram in self.ngrams[:3]]
        more = ", ..." if len(self.ngrams) > 3 else ""
        ngrams = f": {', '.join(shown)}{more}" if shown else ""
        return f"<{type(self).__name__} of {self.target!r}, logit {self.logit:+.2f}{ngrams}>"

    def _repr_html_(self):
        return as_html(self)


class Later:
    """What is known of several documents, to write out the `FIELDS` of their explanations.

    Parameters
    ----------
    ids : ndarray of shape (n, T)
    name : callable
        Id -> text.
    windows : Windows
    values : ndarray of shape (n, n_windows)
        What each window adds.
    labels : list of n_classes objects
    probabilities : ndarray of shape (n, n_classes)
    """

    FIELDS = "tokens", "ngrams", "token_weights", "probabilities"

    def __init__(self, ids, name, windows, values, labels, probabilities):
        self._ids, self._name, self._windows, self._values = ids, name, windows, values
        self._labels, self._probabilities = labels, probabilities

    def tokens(self, explanation):
        ids = self._ids[explanation._place]
        return list(map(self._name, ids[ids != 0].tolist()))

    def ngrams(self, explanation):
        sources, starts, stops, values = self._spans(explanation)
        order = np.argsort(-np.abs(values), kind="stable")
        columns = (column[order].tolist() for column in (sources, starts, stops, values))
        text, firsts, ends = _joined(explanation)
        return [
            NGram(start, stop, text[firsts[start] : ends[stop - 1]], value, SOURCES[source])
            for source, start, stop, value in zip(*columns, strict=True)
        ]

    def token_weights(self, explanation):
        _, starts, stops, values = self._spans(explanation)
        sizes = stops - starts
        firsts = np.cumsum(sizes) - sizes
        tokens = np.repeat(starts - firsts, sizes) + np.arange(sizes.sum())
        n_tokens = np.count_nonzero(self._ids[explanation._place])
        return np.bincount(tokens, np.repeat(values / sizes, sizes), n_tokens)

    def probabilities(self, explanation):
        probabilities = self._probabilities[explanation._place].tolist()
        return dict(zip(self._labels, probabilities, strict=True))

    def _spans(self, explanation):
        known = vars(explanation)
        if "_spans" not in known:  # n-grams and weights are made of the same
            place = explanation._place
            known["_spans"] = self._windows.spans(place, self._values[place])
        return known["_spans"]


def _joined(explanation):
    """All tokens as one text, and where each starts and stops in it.

    There are spaces in between, or none where the document has none.
    """
    tokens, offsets = explanation.tokens, explanation.offsets
    pieces, firsts, ends, n = [], [], [], 0
    for i, token in enumerate(tokens):
        if i and (offsets is None or offsets[i][0] > offsets[i - 1][1]):
            pieces.append(" ")
            n += 1
        pieces.append(token)
        firsts.append(n)
        n += len(token)
        ends.append(n)
    return "".join(pieces), firsts, ends
