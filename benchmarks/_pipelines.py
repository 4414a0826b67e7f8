"""The two trained pipelines of `predict.py` and `cold_start.py`."""

import numpy as np
from _common import load_corpus
from _networks import scikeras_textcnn, textcnn
from sklearn.pipeline import make_pipeline

from sklearn_textcnn import TextVectorizerTransformer


def trained_on_mr(arguments):
    """Ours and scikeras behind the same vectorizer, trained on MR for one epoch.

    Returns
    -------
    texts, labels : ndarray of shape (n_documents,)
    ids : TokenIds of shape (n_documents, n_tokens)
    pipelines : dict of str to Pipeline
    """
    texts, labels = load_corpus(arguments.data, "mr/all", 500 if arguments.quick else None)
    vectorizer = TextVectorizerTransformer()
    ids = vectorizer.fit_transform(texts)
    classifiers = {
        "ours": textcnn(epochs=1, random_state=0).fit(ids, labels),
        "scikeras": scikeras_textcnn(ids.n_ids, 2).fit(np.asarray(ids), labels),
    }
    pipelines = {name: make_pipeline(vectorizer, c) for name, c in classifiers.items()}
    return texts, labels, ids, pipelines
