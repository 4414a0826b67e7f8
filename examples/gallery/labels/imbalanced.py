"""
A rare class: weights and thresholds
====================================

One docstring in forty comes from ``joblib``. A model that never says so is right 97 times out
of 100 and of no use. Two things help: to weight the classes in training, and to choose a
threshold for the probability.
"""

# %%
# Rare documents
# --------------
# Accuracy says nothing here; balanced accuracy is the mean of the recall of both classes.

import matplotlib.pyplot as plt
from sklearn.metrics import (
    PrecisionRecallDisplay,
    balanced_accuracy_score,
    f1_score,
    precision_score,
    recall_score,
)
from sklearn.model_selection import TunedThresholdClassifierCV, train_test_split
from sklearn.pipeline import make_pipeline

from sklearn_textcnn import TextCNNClassifier, TextVectorizerTransformer
from sklearn_textcnn.datasets import load_docstrings

corpus = load_docstrings()
is_rare = corpus.target == corpus.target_names.index("joblib")
X_train, X_test, y_train, y_test = train_test_split(
    corpus.data, is_rare, train_size=4000, stratify=is_rare, random_state=0
)
print(f"{y_train.sum()} of {len(y_train)} training documents are of the rare class")

# %%
# Three models
# ------------
# ``class_weight="balanced"`` counts a mistake about a rare document as much more than one about
# a frequent one. ``TunedThresholdClassifierCV`` leaves the training as it is and searches, in
# cross-validation, for the threshold that gives the best balanced accuracy.


def text_cnn(class_weight=None):
    return make_pipeline(
        TextVectorizerTransformer(),
        TextCNNClassifier(filters=60, epochs=4, class_weight=class_weight, random_state=0),
    )


models = {
    "as it is": text_cnn(),
    "class_weight": text_cnn("balanced"),
    "tuned threshold": TunedThresholdClassifierCV(text_cnn(), scoring="balanced_accuracy", cv=2),
}
scorers = [precision_score, recall_score, f1_score, balanced_accuracy_score]
scores = {}
print(f"{'':16s}precision  recall     F1  balanced accuracy")
for name, model in models.items():
    predicted = model.fit(X_train, y_train).predict(X_test)
    scores[name] = [scorer(y_test, predicted) for scorer in scorers]
    print("{:16s}{:9.2f} {:7.2f} {:6.2f} {:18.2f}".format(name, *scores[name]))
print(f"the threshold is {models['tuned threshold'].best_threshold_:.2f}")

# %%
# Precision and recall
# --------------------
# The curve of a model shows all its thresholds, the dot the one it answers with. To move along
# a curve costs no training.

figure, ax = plt.subplots(figsize=(6.4, 4.6), layout="constrained")
for name, color in [("as it is", "#0072b2"), ("class_weight", "#e69f00")]:
    PrecisionRecallDisplay.from_estimator(
        models[name], X_test, y_test, ax=ax, name=name, curve_kwargs={"color": color}
    )
for (name, (precision, recall, *_)), color, marker in zip(
    scores.items(), ["#0072b2", "#e69f00", "#009e73"], "osD", strict=True
):
    ax.plot(recall, precision, marker, color=color, markersize=9, label=f"answers {name}")
ax.set(title="joblib among four other packages", xlim=(0, 1.02), ylim=(0, 1.02), aspect="auto")
ax.set(xlabel="Recall", ylabel="Precision")
ax.legend(loc="lower left", fontsize="small")
plt.show()
