"""
Why did it predict this?
========================

A logit of the text CNN is a sum: each filter names the window that fired it, and the linear
part adds up words and word pairs. So an explanation needs no second model. It is the sum
itself, sorted.
"""

# %%
# A model
# -------
# Without stop words the strongest n-grams are words of content.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline

from sklearn_textcnn import TextCNNClassifier, TextVectorizerTransformer
from sklearn_textcnn.datasets import load_docstrings
from sklearn_textcnn.inspection import ExplanationDisplay, TopNgramsDisplay, explain_pipeline

corpus = load_docstrings()
labels = np.array(corpus.target_names)[corpus.target]
X_train, X_test, y_train, y_test = train_test_split(
    corpus.data, labels, train_size=3000, stratify=labels, random_state=0
)
model = make_pipeline(
    TextVectorizerTransformer(stop_words="english"),
    TextCNNClassifier(filters=60, epochs=10, random_state=0),
)
print(f"accuracy {model.fit(X_train, y_train).score(X_test, y_test):.3f}")

# %%
# One document
# ------------
# :func:`~sklearn_textcnn.inspection.explain_pipeline` divides the logit of the predicted class
# among the n-grams of a text. A notebook, and this page, show it as the text in colors.

sentences = [
    "Fit a ridge regression with built-in cross-validation of the penalty.",
    "Max pooling layer for images, with channels last.",
    "Find a root of a scalar function on an interval by bisection.",
]
ridge, pooling, root = explain_pipeline(model, sentences)
ridge

# %%
# Printed, it is a list of n-grams. Each is there once for each part of the model that has a say
# in it.

print(pooling)

# %%
# It is exact: contributions and bias add up to the logit.

total = pooling.bias + sum(ngram.contribution for ngram in pooling.ngrams)
print(f"sum {total:.4f}, logit {pooling.logit:.4f}")

# %%
# ``ExplanationDisplay`` draws the same as a picture for a paper or a report.

display = ExplanationDisplay.from_explanation(root)
plt.show()

# %%
# Another class
# -------------
# ``target`` asks why not: what speaks for and against a class that was not predicted?

(against,) = explain_pipeline(model, sentences[2:], target="numpy")
print(against)

# %%
# A mistake
# ---------
# Explanations are of most use where the model is wrong. This is the wrong answer it is surest
# of.

probabilities = model.predict_proba(X_test)
wrong = model.predict(X_test) != y_test
surest = np.argmax(np.where(wrong, probabilities.max(axis=1), 0))
print("The true class is", y_test[surest])
explain_pipeline(model, [X_test[surest]])[0]

# %%
# All documents together
# ----------------------
# The n-grams of many documents, by what they add to each class in sum. Where single words tell
# the classes apart, single words stand on top.

TopNgramsDisplay.from_estimator(model, X_test[:1000], n=8)
plt.show()

# sphinx_gallery_thumbnail_number = 1
