"""
What each part of the model adds
================================

A text CNN has a linear model of words and word pairs beside it. How much each of the two counts
is learned from documents that neither has seen. This page takes the model apart.
"""

# %%
# Two parts, two weights
# ----------------------
# The logits of each part are multiplied by its weight and added. ``part_weights_`` has the
# weights. Both parts read the same ids, a :class:`~sklearn_textcnn.TokenIds` array, which the
# vectorizer makes once here.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split

from sklearn_textcnn import TextCNNClassifier, TextVectorizerTransformer
from sklearn_textcnn.datasets import load_docstrings

corpus = load_docstrings()
labels = np.array(corpus.target_names)[corpus.target]
texts, new_texts, y, y_new = train_test_split(
    corpus.data, labels, train_size=2000, test_size=2500, stratify=labels, random_state=0
)
vectorizer = TextVectorizerTransformer()
X = vectorizer.fit_transform(texts)
X_new = vectorizer.transform(new_texts)

both = TextCNNClassifier(epochs=10, random_state=0).fit(X, y)
for part, weight in both.part_weights_.items():
    print(f"{part:8s} {weight:.2f}")

# %%
# Each part alone
# ---------------
# ``linear_`` is the fitted linear part, a classifier of its own. ``linear_ngrams=0`` is the
# network alone.

network = TextCNNClassifier(linear_ngrams=0, epochs=10, random_state=0).fit(X, y)
models = {"linear part": both.linear_, "network": network, "both": both}
accuracy = {name: model.score(X_new, y_new) for name, model in models.items()}
loss = {name: log_loss(y_new, model.predict_proba(X_new)) for name, model in models.items()}
print("             accuracy  log loss")
for name in models:
    print(f"{name:12s} {accuracy[name]:8.3f} {loss[name]:9.3f}")

# %%
# On this corpus single words say most, and the linear part does nearly all of the work.
# Accuracy hardly tells the whole from its better part. Log loss tells a little more, as it sees
# how sure the right answers are.
#
# Where they differ
# -----------------
# Each part alone is right about documents that the other one is wrong about. That is what there
# is to be gained from having both.

right = {name: model.predict(X_new) == y_new for name, model in models.items()}
groups = {
    "both are right": right["linear part"] & right["network"],
    "only the linear part": right["linear part"] & ~right["network"],
    "only the network": ~right["linear part"] & right["network"],
    "neither": ~right["linear part"] & ~right["network"],
}
figure, ax = plt.subplots(figsize=(6.4, 3.2), layout="constrained")
counts = np.array([members.sum() for members in groups.values()])
kept = np.array([right["both"][members].sum() for members in groups.values()])
ax.barh([*groups], kept, color="#0072b2", label="the model is right")
bars = ax.barh([*groups], counts - kept, left=kept, color="#e69f00", label="the model is wrong")
ax.bar_label(bars, [f"{a} of {b}" for a, b in zip(kept, counts, strict=True)], padding=4)
ax.invert_yaxis()
ax.set(title="Who is right about 2,500 new documents", xlabel="documents", xlim=(0, len(y_new)))
ax.legend(loc="lower right")
plt.show()

# %%
# A network that counts for little here may count for more elsewhere: with :doc:`pretrained word
# vectors </gallery/labels/few_labels>`, or where the order of words decides. The :doc:`user
# guide </user_guide/parts>` says how the weights are learned and what to do if the network's is
# 0.
