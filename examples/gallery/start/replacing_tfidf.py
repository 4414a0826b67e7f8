"""
Replacing TF-IDF in a script
============================

Many scripts classify text by TF-IDF and a linear support vector machine. Two lines change, all
the rest stays: splits, scores, searches, learning curves. This page compares both on the same
documents, and :class:`~sklearn_textcnn.NgramLinearClassifier`, the linear part alone, with
them.
"""

# %%
# Before and after
# ----------------

import matplotlib.pyplot as plt
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.metrics import log_loss
from sklearn.model_selection import LearningCurveDisplay, ShuffleSplit, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.svm import LinearSVC

from sklearn_textcnn import NgramLinearClassifier, TextCNNClassifier, TextVectorizerTransformer
from sklearn_textcnn.datasets import load_docstrings

texts, labels = load_docstrings(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(
    texts, labels, train_size=2000, test_size=2000, stratify=labels, random_state=0
)

before = make_pipeline(
    TfidfVectorizer(ngram_range=(1, 2)),
    LinearSVC(),
)
after = make_pipeline(
    TextVectorizerTransformer(),
    TextCNNClassifier(epochs=5, random_state=0),
)
print(f"before  {before.fit(X_train, y_train).score(X_test, y_test):.3f}")
print(f"after   {after.fit(X_train, y_train).score(X_test, y_test):.3f}")

# %%
# ``LinearSVC`` has no ``predict_proba``. Here probabilities come with every fit, and no
# calibration has to be put around it.

print(f"log loss {log_loss(y_test, after.predict_proba(X_test)):.3f}")

# %%
# How much text does each need?
# -----------------------------
# ``LearningCurveDisplay`` fits every model to more and more documents. The linear part takes a
# fraction of a second. The network is worth its time where the uppermost curve is clearly above
# it; where both run together, words and word pairs tell the classes apart, and :doc:`the linear
# part alone </user_guide/linear>` will do.

models = {
    "TfidfVectorizer + LinearSVC": before,
    "NgramLinearClassifier": make_pipeline(
        TextVectorizerTransformer(), NgramLinearClassifier(random_state=0)
    ),
    "TextCNNClassifier": after,
}
figure, ax = plt.subplots(figsize=(6.4, 4.2), layout="constrained")
for model, style in zip(models.values(), ["-", "-", "--"], strict=True):
    LearningCurveDisplay.from_estimator(
        model,
        texts,
        labels,
        train_sizes=[250, 1000, 2000],
        cv=ShuffleSplit(2, train_size=2000, test_size=2000, random_state=0),
        score_type="test",
        std_display_style=None,
        ax=ax,
        line_kw={"marker": "o", "linestyle": style},
    )
ax.set(title="Accuracy on 2,000 other documents", xlabel="training documents", ylabel="accuracy")
ax.legend([*models])
plt.show()
