"""
Text beside other columns of a table
====================================

A text often comes with numbers and categories. A network of token ids cannot read these, so
each kind of column gets a classifier of its own, and scikit-learn's ``StackingClassifier``
learns how much each counts.
"""

# %%
# A table
# -------
# Besides its text, each docstring has a place, a source file: how deep its folder is, whether
# its name begins with an underscore, and how many underscores it has.

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import RandomForestClassifier, StackingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import recall_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline

from sklearn_textcnn import TextCNNClassifier, TextVectorizerTransformer
from sklearn_textcnn.datasets import load_docstrings

corpus = load_docstrings()
files = [name.split("/") for name in corpus.filenames]
table = pd.DataFrame(
    {
        "text": corpus.data,
        "depth": [len(parts) for parts in files],
        "private": [parts[-1].startswith("_") for parts in files],
        "underscores": [parts[-1].count("_") for parts in files],
    }
)
labels = np.array(corpus.target_names)[corpus.target]
table.head()

# %%
# A classifier for each kind of column
# ------------------------------------
# ``ColumnTransformer`` picks the columns. ``TextVectorizerTransformer`` takes one column of
# text, named by a string.

numbers = ["depth", "private", "underscores"]
of_text = make_pipeline(
    ColumnTransformer([("ids", TextVectorizerTransformer(), "text")]),
    TextCNNClassifier(filters=60, epochs=5, random_state=0),
)
of_numbers = make_pipeline(
    ColumnTransformer([("numbers", "passthrough", numbers)]),
    RandomForestClassifier(max_depth=6, random_state=0),
)

# %%
# The stack
# ---------
# It fits both, lets each answer for documents that it has not seen (``cv=2``), and fits a
# logistic regression to the answers.

stack = StackingClassifier(
    [("text", of_text), ("numbers", of_numbers)], LogisticRegression(max_iter=1000), cv=2
)
X_train, X_test, y_train, y_test = train_test_split(
    table, labels, train_size=2000, test_size=2500, stratify=labels, random_state=0
)
stack.fit(X_train, y_train)

# %%
# The fitted stack holds both, so each can be asked alone. The stack gave them numbers for
# labels, which are the places of the labels in ``classes_``.

answers = {
    name: stack.classes_[stack.named_estimators_[name].predict(X_test)]
    for name in ("text", "numbers")
}
answers["both"] = stack.predict(X_test)
for name, predicted in answers.items():
    print(f"{name:8s} {np.mean(predicted == y_test):.3f}")

# %%
# Which packages gain?

figure, ax = plt.subplots(figsize=(6.4, 3.6), layout="constrained")
places = np.arange(len(stack.classes_))
for i, (name, color) in enumerate(
    zip(answers, ["#56b4e9", "#e69f00", "#0072b2"], strict=True), start=-1
):
    recalls = recall_score(y_test, answers[name], average=None)
    ax.bar(places + 0.27 * i, recalls, width=0.25, color=color, label=name)
ax.set_xticks(places, stack.classes_)
ax.set(
    title="Share of the documents of each package that is found", ylabel="recall", ylim=(0, 1.15)
)
ax.legend(ncols=3, loc="upper left", fontsize="small")
plt.show()
