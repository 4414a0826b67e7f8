"""`explain_pipeline`: explanations of texts as they are written."""

import sys

import numpy as np
from sklearn.pipeline import Pipeline

from sklearn_textcnn._text import Documents
from sklearn_textcnn.inspection._offsets import find_tokens
from sklearn_textcnn.vectorizer import TextVectorizerTransformer


def explain_pipeline(pipeline, texts, target=None):
    """Divide a logit of each text among its n-grams, and show the texts as they are written.

    Parameters
    ----------
    pipeline : sklearn.pipeline.Pipeline
        Fitted, with a `TextVectorizerTransformer`, and a `TextCNNClassifier` or
        `NgramLinearClassifier` at the end. Steps between the two must leave the ids as they are.
        What steps in front of the vectorizer make of the texts is shown in their place.
    texts : iterable of str, of length n_documents
        Documents, as the pipeline takes them.
    target : object, default=None
        The class whose logit is explained; at multi-label the number of the label. None: for each
        text the most probable one.

    Returns
    -------
    list of Explanation
        One for each text. Tokens are there as they are written, those too that the vocabulary does
        not hold. Where it is not certain which places of a text they come from (a `tokenizer` or
        `preprocessor` of your own that changes words), ``text`` and ``offsets`` are None, and
        tokens are as the vectorizer makes them.

    Raises
    ------
    TypeError
        If there is no pipeline of such steps.
    ValueError
        If a step between vectorizer and classifier changes ids, and for texts that the pipeline
        refuses.

    See Also
    --------
    sklearn_textcnn.TextCNNClassifier.explain : Explains ids.

    Examples
    --------
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn_textcnn import TextCNNClassifier, TextVectorizerTransformer
    >>> from sklearn_textcnn.inspection import explain_pipeline
    >>> texts = ["a fine film", "what a fine day", "a dull film", "such a dull day"] * 10
    >>> labels = ["good", "good", "bad", "bad"] * 10
    >>> pipe = make_pipeline(
    ...     TextVectorizerTransformer(), TextCNNClassifier(epochs=10, random_state=0)
    ... )
    >>> (explanation,) = explain_pipeline(pipe.fit(texts, labels), ["A FINE Werckmeister film"])
    >>> explanation.target
    'good'
    >>> explanation.tokens
    ['A', 'FINE', 'Werckmeister', 'film']
    """
    before, vectorizer, between, classifier = _steps(pipeline)
    for _, step in before:
        texts = step.transform(texts)
    documents = Documents(texts).take(sys.maxsize)
    X = ids = vectorizer.transform(documents)
    for name, step in between:
        X = step.transform(X)
        if not np.array_equal(np.asarray(X), np.asarray(ids)):
            raise ValueError(
                f"Steps between the vectorizer and the classifier must leave ids as they are, but "
                f"{name!r} changes them, so that nothing says which tokens they stand for. Call "
                "explain of the classifier with its output."
            )
    explanations = classifier.explain(X, target)
    analyze = vectorizer.build_analyzer()
    for document, explanation in zip(documents, explanations, strict=True):
        _show_as_written(explanation, vectorizer, document, list(analyze(document)))
    return explanations


def _steps(pipeline):
    """Steps in front of the vectorizer, the vectorizer, those behind it, the classifier."""
    if not isinstance(pipeline, Pipeline):
        raise TypeError(
            "pipeline must be a sklearn.pipeline.Pipeline of a TextVectorizerTransformer and a "
            f"classifier of this package, got {type(pipeline).__name__}. The best_estimator_ of a "
            "search is one."
        )
    *steps, (_, classifier) = pipeline.steps
    is_vectorizer = [isinstance(step, TextVectorizerTransformer) for _, step in steps]
    if sum(is_vectorizer) != 1 or not hasattr(classifier, "top_ngrams"):
        names = ", ".join(type(step).__name__ for _, step in pipeline.steps)
        raise TypeError(
            "pipeline must have one TextVectorizerTransformer, and a TextCNNClassifier or "
            f"NgramLinearClassifier at the end; got the steps {names}."
        )
    place = is_vectorizer.index(True)
    before, between = (
        [(name, step) for name, step in some if step not in (None, "passthrough")]
        for some in (steps[:place], steps[place + 1 :])
    )
    return before, steps[place][1], between, classifier


def _show_as_written(explanation, vectorizer, document, tokens):
    """Put the tokens of a document, and their places in it, into its explanation."""
    n_cut = len(tokens) - len(explanation.tokens)
    if n_cut < 0:  # an analyzer that is not the same twice
        return
    explanation.n_cut = n_cut
    explanation.cut_at_start = at_start = vectorizer.keep == "tail"
    read = slice(n_cut, None) if at_start else slice(len(tokens) - n_cut)
    explanation.tokens = tokens[read]
    if isinstance(document, bytes) and not callable(vectorizer.analyzer):
        document = document.decode("utf-8")
    if not isinstance(document, str):
        return
    text = str.__str__(document)
    places = find_tokens(vectorizer, text, tokens)
    if places is not None:
        explanation.text, explanation.offsets = text, places[read]
        as_written = [text[start:stop] for start, stop in places[read]]
        explanation.tokens = [a or b for a, b in zip(as_written, tokens[read], strict=True)]
