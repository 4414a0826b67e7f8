"""
Several labels per document
===========================

A document may be about several things at once. Given an indicator matrix, a column for each
label, the text CNN answers each label with a probability of its own, from one network that all
of them share.
"""

# %%
# Topics
# ------
# The folders of a source file say what it is about: ``sklearn/metrics/cluster`` holds metrics
# for clustering. The names of folders that many docstrings share, in one package or in several,
# become labels. Packages are labels too, so a document has one or more of them.

from collections import Counter

import matplotlib.pyplot as plt
import numpy as np
from sklearn.metrics import f1_score, label_ranking_average_precision_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MultiLabelBinarizer

from sklearn_textcnn import TextCNNClassifier, TextVectorizerTransformer
from sklearn_textcnn.datasets import load_docstrings

corpus = load_docstrings()
folders = [{part.strip("_") for part in name.split("/")[:-1]} for name in corpus.filenames]
counts = Counter(folder for names in folders for folder in names)
frequent = {name for name, count in counts.most_common(18) if name not in ("src", "lib", "core")}
binarizer = MultiLabelBinarizer()
Y = binarizer.fit_transform([names & frequent for names in folders])
names = binarizer.classes_
print(f"{Y.shape[1]} labels, {Y.sum(axis=1).mean():.2f} for a document")
X_train, X_test, Y_train, Y_test = train_test_split(
    corpus.data, Y, train_size=3000, test_size=2000, random_state=0
)

# %%
# Fit and predict
# ---------------
# Nothing else changes. ``predict`` returns an indicator matrix too, and ``predict_proba`` a
# column for each label; these do not add up to 1.

model = make_pipeline(TextVectorizerTransformer(), TextCNNClassifier(epochs=8, random_state=0)).fit(
    X_train, Y_train
)
probabilities = model.predict_proba(X_test)

# %%
# Twelve new documents, one in each row. The darker a square, the more probable is the label; a
# circle marks the labels that are true.

figure, ax = plt.subplots(figsize=(6.4, 5), layout="constrained")
image = ax.imshow(probabilities[:12], cmap="Blues", vmin=0, vmax=1, aspect="auto")
rows, columns = np.nonzero(Y_test[:12])
ax.scatter(columns, rows, s=70, facecolors="none", edgecolors="#d55e00", linewidths=2)
ax.set_xticks(range(len(names)), names, rotation=60, ha="right", rotation_mode="anchor")
ax.set_yticks(range(12), [text[:30] + " ..." for text in X_test[:12]])
figure.colorbar(image, label="probability")
plt.show()

# %%
# Scores
# ------
# Micro F1 counts all answers alike, macro F1 all labels, so rare ones weigh as much as frequent
# ones. Ranking precision asks whether the true labels of a document come first.

predicted = model.predict(X_test)
print(f"micro F1           {f1_score(Y_test, predicted, average='micro'):.3f}")
print(f"macro F1           {f1_score(Y_test, predicted, average='macro'):.3f}")
print(f"ranking precision  {label_ranking_average_precision_score(Y_test, probabilities):.3f}")

# %%
# A rare label need not be a hard one: words about signals are their own, while anything may be
# found among utilities.

f1 = f1_score(Y_test, predicted, average=None)
share = Y_train.mean(axis=0)
order = np.argsort(f1)
figure, ax = plt.subplots(figsize=(6.4, 4.4), layout="constrained")
bars = ax.barh([f"{names[j]} ({share[j]:.0%})" for j in order], f1[order], color="#0072b2")
ax.bar_label(bars, fmt="%.2f", padding=3)
ax.set(title="F1 of each label, and its share of the documents", xlabel="F1", xlim=(0, 1))
plt.show()
