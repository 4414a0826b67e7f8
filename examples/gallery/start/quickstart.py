"""
Quickstart: from raw text to predictions
========================================

Two steps make a classifier of texts: a vectorizer, which turns each document into a row of
token ids, and a text CNN, which reads the ids. Together they are a pipeline like any other of
scikit-learn.
"""

# %%
# The corpus
# ----------
# Each document is the first paragraph of a docstring, and its label is the package that it
# comes from. Half of the documents are held out.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.metrics import ConfusionMatrixDisplay, classification_report
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline

from sklearn_textcnn import TextCNNClassifier, TextVectorizerTransformer
from sklearn_textcnn.datasets import load_docstrings

corpus = load_docstrings()
labels = np.array(corpus.target_names)[corpus.target]
X_train, X_test, y_train, y_test = train_test_split(
    corpus.data, labels, train_size=0.5, stratify=labels, random_state=0
)
for text, label in zip(X_train[:3], y_train[:3], strict=True):
    print(f"{label}: {text[:80]}")

# %%
# Fit and predict
# ---------------
# Labels may be strings. There is nothing to tune before a first fit.

model = make_pipeline(TextVectorizerTransformer(), TextCNNClassifier(random_state=0))
model.fit(X_train, y_train)

# %%
# ``joblib`` has the fewest documents, and the lowest recall.

predicted = model.predict(X_test)
print(classification_report(y_test, predicted))

# %%
# Which packages are mistaken for each other? Each row of the matrix adds up to 1.

figure, ax = plt.subplots(figsize=(5.5, 4.6), layout="constrained")
ConfusionMatrixDisplay.from_predictions(
    y_test, predicted, normalize="true", values_format=".2f", cmap="Blues", ax=ax
)
ax.set(title="Share of the documents of each package", xlabel="predicted", ylabel="package")
plt.show()

# %%
# New sentences
# -------------
# The pipeline takes raw text, and says how sure it is.

sentences = [
    "Fit a ridge regression with built-in cross-validation of the penalty.",
    "Max pooling layer for images, with channels last.",
    "Find a root of a scalar function on an interval by bisection.",
]
for sentence, row in zip(sentences, model.predict_proba(sentences), strict=True):
    best = row.argmax()
    print(f"{model.classes_[best]:8s} {row[best]:.2f}  {sentence}")
