"""
Probabilities that can be believed
==================================

A model that says 0.9 should be right nine times out of ten. Networks that have met their
training documents many times are surer than that. This page measures it, and shows what the
weights of the two parts do about it.
"""

# %%
# Three classifiers
# -----------------
# Is a docstring of NumPy or of another package? The network alone gives the probabilities of
# its last layer. The full model scales its logits by what documents have shown that the network
# was not trained on. The third is the network inside scikit-learn's ``CalibratedClassifierCV``,
# which trains it for each fold and learns two numbers from the documents that were left out.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.calibration import CalibratedClassifierCV, CalibrationDisplay
from sklearn.metrics import accuracy_score, brier_score_loss, log_loss
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline

from sklearn_textcnn import TextCNNClassifier, TextVectorizerTransformer
from sklearn_textcnn.datasets import load_docstrings

corpus = load_docstrings()
y = corpus.target == corpus.target_names.index("numpy")
X_train, X_test, y_train, y_test = train_test_split(
    corpus.data, y, train_size=2000, test_size=4000, stratify=y, random_state=0
)
alone = make_pipeline(
    TextVectorizerTransformer(),
    TextCNNClassifier(filters=60, linear_ngrams=0, epochs=15, random_state=0),
)
models = {
    "network alone": alone,
    "both parts": make_pipeline(
        TextVectorizerTransformer(),
        TextCNNClassifier(filters=60, epochs=15, random_state=0),
    ),
    "network, calibrated": CalibratedClassifierCV(alone, method="sigmoid", cv=2),
}
for model in models.values():
    model.fit(X_train, y_train)

# %%
# Log loss
# --------
# Accuracy counts who is right. Log loss and Brier score also count how sure a wrong answer was.
# Confidence is the mean of the probability of what was predicted; it should be as high as the
# accuracy.

print(f"{'':20s}accuracy  confidence  log loss  Brier score")
answers = {}
for name, model in models.items():
    rows = model.predict_proba(X_test)
    answers[name] = rows[:, 1]
    values = (
        accuracy_score(y_test, rows[:, 1] > 0.5),
        rows.max(axis=1).mean(),
        log_loss(y_test, rows),
        brier_score_loss(y_test, rows[:, 1]),
    )
    print("{:20s}{:8.3f} {:11.3f} {:9.3f} {:12.3f}".format(name, *values))

# %%
# The calibration curve
# ---------------------
# Documents are sorted by what the model says, and cut into groups of equal size. A group on the
# diagonal holds as many documents of NumPy as the model says it does.

figure, (upper, lower) = plt.subplots(
    2, 1, figsize=(6, 6), height_ratios=[3, 1], sharex=True, layout="constrained"
)
colors = ["#e69f00", "#0072b2", "#009e73"]
for (name, probabilities), color, marker in zip(answers.items(), colors, "so^", strict=True):
    CalibrationDisplay.from_predictions(
        y_test,
        probabilities,
        n_bins=8,
        strategy="quantile",
        name=name,
        ax=upper,
        color=color,
        marker=marker,
    )
    lower.hist(
        probabilities, bins=np.linspace(0, 1, 21), histtype="step", color=color, linewidth=1.5
    )
upper.set(title="What is said and what is so", xlabel="", ylabel="share of NumPy")
lower.set(yscale="log", xlabel="probability of NumPy", ylabel="documents")
plt.show()
