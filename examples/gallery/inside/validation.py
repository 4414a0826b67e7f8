"""
Validation documents of your own, and early stopping
====================================================

With ``early_stopping=True`` a part of the documents is held out, and training stops when their
loss no longer falls. Which documents these are may matter: docstrings of one file resemble each
other, and a random split puts some of them on either side. This page hands over validation
documents of its own, through a pipeline.
"""

# %%
# Whole files are held out
# ------------------------
# ``GroupShuffleSplit`` keeps the docstrings of a file together, in training, validation or
# test.

import matplotlib.pyplot as plt
import numpy as np
import sklearn
from sklearn.model_selection import GroupShuffleSplit
from sklearn.pipeline import make_pipeline

from sklearn_textcnn import TextCNNClassifier, TextVectorizerTransformer
from sklearn_textcnn.datasets import load_docstrings
from sklearn_textcnn.inspection import TrainingHistoryDisplay

corpus = load_docstrings(["keras", "numpy", "sklearn"])
texts = np.array(corpus.data, dtype=object)
labels = np.array(corpus.target_names)[corpus.target]
files = np.array(corpus.filenames)


def split_by_file(which, test_size):
    """Return two sets of documents that have no file in common."""
    (parts,) = GroupShuffleSplit(1, test_size=test_size, random_state=0).split(
        which, groups=files[which]
    )
    return [which[part] for part in parts]


rest, test = split_by_file(np.arange(len(texts)), 0.3)
train, validation = split_by_file(rest, 0.2)
print(len(train), "to train on,", len(validation), "to validate on,", len(test), "to test on")

# %%
# The recipe
# ----------
# Three things make a pipeline take ``X_val`` and ``y_val``: routing is switched on, the
# classifier requests both, and the pipeline is told to vectorize ``X_val`` on the way.

sklearn.set_config(enable_metadata_routing=True)

classifier = TextCNNClassifier(
    filters=60, learning_rate=0.002, epochs=20, early_stopping=True, patience=3, random_state=0
).set_fit_request(X_val=True, y_val=True)
model = make_pipeline(TextVectorizerTransformer(), classifier, transform_input=["X_val"])
model.fit(texts[train], labels[train], X_val=texts[validation], y_val=labels[validation])

sklearn.set_config(enable_metadata_routing=False)

# %%
# What happened
# -------------
# ``history_`` has the scores of every epoch. The loss of the network alone and that of network
# and linear part together are both there; the latter decides.

fitted = model[-1]
print(f"epoch {fitted.best_epoch_} of {fitted.n_iter_} is kept")
TrainingHistoryDisplay.from_estimator(model)
plt.show()

# %%
# The accuracy on the validation documents of the epoch that is kept is a good guess at that on
# the test documents, which come from files that no training has seen.

kept = fitted.history_["val_accuracy_with_linear"][fitted.best_epoch_ - 1]
print(f"validation  {kept:.3f}")
print(f"test        {model.score(texts[test], labels[test]):.3f}")

# %%
# A random split of the same documents gives a rosier picture.

own = TextCNNClassifier(**classifier.get_params() | {"validation_fraction": 0.2})
split = make_pipeline(TextVectorizerTransformer(), own).fit(texts[rest], labels[rest])
kept = own.history_["val_accuracy_with_linear"][own.best_epoch_ - 1]
print(f"validation  {kept:.3f}")
print(f"test        {split.score(texts[test], labels[test]):.3f}")
