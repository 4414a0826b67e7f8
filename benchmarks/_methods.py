"""The methods of `accuracy.py`: each trains on some rows of a corpus."""

import re
from functools import cache, lru_cache, partial
from itertools import product
from typing import Any, NamedTuple

import keras
import numpy as np
from _common import seconds
from _encoder import sentence_encoder, sentence_model
from _fasttext import FastText
from _linear import LINEAR, tuned
from joblib import Parallel, delayed
from scikeras.wrappers import KerasClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline

from sklearn_textcnn import (
    NgramLinearClassifier,
    TextCNNClassifier,
    TextVectorizerTransformer,
    WordVectors,
)

GLOVE = WordVectors("glove-6b-50d")


class Trained(NamedTuple):
    """A model, the seconds of its fit without the search before it, and what the search chose.

    `before` are the seconds that something in front of the model takes for a document.
    """

    model: Any
    seconds: float
    chosen: str | None = None
    before: float = 0.0


def fitted(model, X, y, chosen=None):
    return Trained(model, seconds(lambda: model.fit(X, y)), chosen)


def ours(corpus, rows, seed, **params):
    classifier = TextCNNClassifier(**params, random_state=seed)
    model = make_pipeline(TextVectorizerTransformer(), classifier)
    return fitted(model, corpus.texts[rows], corpus.labels[rows])


def linear_part(corpus, rows, seed):
    model = make_pipeline(TextVectorizerTransformer(), NgramLinearClassifier(random_state=seed))
    return fitted(model, corpus.texts[rows], corpus.labels[rows])


def ours_glove(corpus, rows, seed, **params):
    return ours(corpus, rows, seed, word_vectors=GLOVE, **params)


def ours_distilled(corpus, rows, seed, **params):
    """On vectors that an encoder made of the words of the training documents, or of these."""
    make = params.pop("make")
    vectors, _ = distilled(make, corpus, rows.tobytes())
    params = {"embedding_mode": "static"} | params
    return ours(corpus, rows, seed, word_vectors=vectors, **params)


@lru_cache(maxsize=64)
def distilled(make, corpus, rows):
    """Vectors from training documents, whose rows are given as bytes, and the seconds it took."""
    made = []
    time = seconds(lambda: made.append(make(corpus.texts[np.frombuffer(rows, dtype=int)])))
    return made[0], time


def words_alone(texts):
    return WordVectors.from_encoder(
        sentence_encoder(), TextVectorizerTransformer().fit(texts).vocabulary_
    )


def in_context(texts):
    return WordVectors.from_context(sentence_model(), texts, analyzer=TextVectorizerTransformer())


def encoder(corpus, rows, seed):
    """The encoder itself and logistic regression, tuned within the training documents."""
    embeddings, time = embedded(corpus)
    grid = {"C": [0.3, 1, 3, 10, 30, 100]}
    search = GridSearchCV(LogisticRegression(max_iter=2000), grid, cv=corpus.splitter(3), n_jobs=2)
    X, y = np.array([embeddings[text] for text in corpus.texts[rows]]), corpus.labels[rows]
    search.fit(X, y, groups=corpus.groups(rows))
    model = OnEmbeddings(search.best_estimator_, embeddings)
    chosen = f"C={search.best_params_['C']:g}"
    return Trained(model, search.refit_time_ + time * len(rows), chosen, time)


@cache
def embedded(corpus):
    """What the encoder makes of each document, and the seconds a document takes."""
    texts, made = list(dict.fromkeys(corpus.texts)), []
    time = seconds(lambda: made.append(sentence_encoder()(texts)))
    return dict(zip(texts, made[0], strict=True)), time / len(texts)


class OnEmbeddings:
    """A classifier of texts whose embeddings have been made already."""

    def __init__(self, classifier, embeddings):
        self.classifier, self.embeddings = classifier, embeddings
        self.classes_ = classifier.classes_

    def predict(self, X):
        return self.classes_[self.predict_proba(X).argmax(axis=1)]

    def predict_proba(self, X):
        return self.classifier.predict_proba(np.array([self.embeddings[text] for text in X]))


def tutorial(corpus, rows, seed):
    """The network of the Keras tutorials, behind scikeras, with about as many epochs as there."""
    keras.utils.set_random_seed(seed)
    binary = len(np.unique(corpus.labels)) == 2
    network = KerasClassifier(
        tutorial_network,
        n_ids=None,
        optimizer="adam",
        loss="binary_crossentropy" if binary else "sparse_categorical_crossentropy",
        batch_size=32,
        epochs=5 if binary else 10,  # it overfits early; many classes take longer
        verbose=0,
    )
    return fitted(PaddedIds(network), corpus.texts[rows], corpus.labels[rows])


def tutorial_network(n_ids, meta):
    layers, n_classes = keras.layers, meta["n_classes_"]
    two = n_classes == 2
    return keras.Sequential(
        [
            keras.Input(meta["X_shape_"][1:], dtype="int32"),
            layers.Embedding(n_ids, 128),
            layers.Conv1D(128, 5, activation="relu"),
            layers.GlobalMaxPooling1D(),
            layers.Dense(10 if two else 64, activation="relu"),
            layers.Dense(1 if two else n_classes, activation="sigmoid" if two else "softmax"),
        ]
    )


class PaddedIds:
    """A network on ids that are padded to the longest training document, of 256 tokens at most.

    A single document of 645 tokens makes docstrings, most of which have 11, take half an hour; 20ng
    would have 12,000 columns.
    """

    def __init__(self, network):
        self.network = network
        self.vectorizer = TextVectorizerTransformer(max_length=256)

    def fit(self, X, y):
        ids = self.vectorizer.fit_transform(X)
        self.network.set_params(n_ids=ids.n_ids)
        self.network.fit(np.asarray(ids), y)

    def predict(self, X):
        return self.network.predict(np.asarray(self.vectorizer.transform(X)))


def linear(name, corpus, rows, seed):
    X, y = corpus.texts[rows], corpus.labels[rows]
    pipeline, chosen = tuned(name, X, y, corpus.splitter(3), corpus.groups(rows))
    return fitted(pipeline, X, y, chosen)


def words(text):
    """Lower case, punctuation apart and all on one line, as in fastText's tutorial."""
    return " ".join(re.findall(r"\w+|[^\w\s]", text.lower()))


# one thread: several give another model every time
OneThreadFastText = partial(FastText, words, wordNgrams=2, thread=1)


def fast_text(corpus, rows, seed):
    X, y = corpus.texts[rows], corpus.labels[rows]
    X_train, X_inner, y_train, y_inner = train_test_split(X, y, test_size=0.2, random_state=0)
    grid = list(product((0.1, 0.5, 1.0), (5, 25)))

    def score(lr, epoch):
        model = OneThreadFastText(lr=lr, epoch=epoch)
        model.fit(X_train, y_train)
        return accuracy_score(y_inner, model.predict(X_inner))

    # threads do: fastText lets go of the interpreter while it trains
    scores = Parallel(n_jobs=-1, prefer="threads")(delayed(score)(*params) for params in grid)
    lr, epoch = grid[int(np.argmax(scores))]
    return fitted(OneThreadFastText(lr=lr, epoch=epoch), X, y, f"lr={lr:g}, epoch={epoch}")


OURS, LINEAR_PART, ENCODER = "ours", "linear part alone", "sentence encoder + LogisticRegression"


def name_of(vectors, alone=False):
    """The row of a kind of vectors, with both parts or of the network alone."""
    name = "network alone" if alone else OURS
    return name if vectors == "random" else f"{name} + {vectors}"


GLOVE_VECTORS = ("glove static", "glove multichannel")
DISTILLED, IN_CONTEXT = "words distilled alone", "distilled in context"
WIDER = "the same, 150 filters of 1 to 4 tokens"
VECTORS = {
    "random": ours,
    "glove static": partial(ours_glove, embedding_mode="static"),
    "glove multichannel": partial(ours_glove, embedding_mode="multichannel"),
    DISTILLED: partial(ours_distilled, make=words_alone),
    IN_CONTEXT: partial(ours_distilled, make=in_context),
    WIDER: partial(ours_distilled, make=in_context, kernel_sizes=(1, 2, 3, 4), filters=150),
}
METHODS = {
    **{name_of(vectors): method for vectors, method in VECTORS.items()},
    LINEAR_PART: linear_part,
    **{
        name_of(vectors, alone=True): partial(VECTORS[vectors], linear_ngrams=0)
        for vectors in ("random", "glove static", DISTILLED, IN_CONTEXT, WIDER)
    },
    ENCODER: encoder,
    "scikeras, tutorial network": tutorial,
    **{name: partial(linear, name) for name in LINEAR},
    "fastText": fast_text,
}
# without a random start, or with one that does not matter
DETERMINISTIC = {*LINEAR, "fastText", ENCODER}
SMALL = {f"small: {name}": name for name in (OURS, *LINEAR)}
