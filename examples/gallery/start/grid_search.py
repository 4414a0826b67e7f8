"""
Grid search over both steps
===========================

Parameters of the vectorizer and of the network can be searched together, as the two are steps
of one pipeline. The name of the step and two underscores go in front of the name of the
parameter.
"""

# %%
# The pipeline and the grid
# -------------------------
# Are capital letters of use, and how wide should the windows be? The network is searched alone,
# ``linear_ngrams=0``, since a linear part would hide much of the difference. Few filters and
# epochs keep a search short; the best values are mostly those of a longer training.

import tempfile

import matplotlib.pyplot as plt
import numpy as np
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline

from sklearn_textcnn import TextCNNClassifier, TextVectorizerTransformer
from sklearn_textcnn.datasets import load_docstrings

texts, labels = load_docstrings(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(
    texts, labels, train_size=1200, test_size=2000, stratify=labels, random_state=0
)
classifier = TextCNNClassifier(
    embedding_dim=64, filters=60, learning_rate=0.004, epochs=8, linear_ngrams=0, random_state=0
)
lowercase = [True, False]
kernel_sizes = [1, (1, 2, 3), (3, 4, 5), (5, 6, 7)]
grid = {
    "textvectorizertransformer__lowercase": lowercase,
    "textcnnclassifier__kernel_sizes": kernel_sizes,
}

# %%
# With ``memory``, candidates that share a vectorizer share its ids as well: each text is
# tokenized once for each fold and vectorizer.

with tempfile.TemporaryDirectory() as folder:
    model = make_pipeline(TextVectorizerTransformer(), classifier, memory=folder)
    search = GridSearchCV(model, grid, cv=2).fit(X_train, y_train)
for name, value in search.best_params_.items():
    print(f"{name}: {value}")

# %%
# The whole grid
# --------------
# The parameters are in alphabetical order in ``cv_results_``, so the scores can be given the
# shape of the grid.

scores = search.cv_results_["mean_test_score"].reshape(len(kernel_sizes), len(lowercase)).T
figure, ax = plt.subplots(figsize=(6.4, 3), layout="constrained")
image = ax.imshow(scores, cmap="cividis", aspect="auto")
for (row, column), score in np.ndenumerate(scores):
    dark = score < (scores.min() + scores.max()) / 2
    ax.text(column, row, f"{score:.3f}", ha="center", va="center", color="w" if dark else "k")
ax.set(title="Accuracy in cross-validation", xlabel="kernel_sizes", ylabel="lowercase")
ax.set_xticks(range(len(kernel_sizes)), kernel_sizes)
ax.set_yticks(range(len(lowercase)), lowercase)
figure.colorbar(image)
plt.show()

# %%
# The best candidate, once more with both parts
# ---------------------------------------------
# What the search found goes into the full model: ``set_params`` takes the parameters as the
# search gives them.

best = search.best_estimator_.set_params(memory=None)
print(f"network alone  {best.score(X_test, y_test):.3f}")
best.set_params(textcnnclassifier__linear_ngrams=2).fit(X_train, y_train)
print(f"both parts     {best.score(X_test, y_test):.3f}")

# %%
# ``examples/halving_random_search.py`` goes through a larger space by successive halving, and
# :doc:`/user_guide/searching` says what makes a search cheap.
