"""
Stacked, one-hot and tutorial networks
======================================

The default network has one layer of convolutions of three widths over an embedding. Its
parameters make other networks of it, from that of Keras' tutorials to convolutions over one-hot
words. What NumPy does not train, Keras does, without a change to the script.
"""

# %%
# Five networks
# -------------
# All are networks alone, without a linear part beside them, and small enough for a short page.
# :data:`~sklearn_textcnn.presets.KERAS_TUTORIAL` holds the parameters of a well-known network.

import time

import matplotlib.pyplot as plt
from sklearn.model_selection import train_test_split

from sklearn_textcnn import TextCNNClassifier, TextVectorizerTransformer, presets
from sklearn_textcnn.datasets import load_docstrings

texts, labels = load_docstrings(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(
    texts, labels, train_size=1000, test_size=2000, stratify=labels, random_state=0
)
vectorizer = TextVectorizerTransformer(min_df=2)
ids = vectorizer.fit_transform(X_train)
ids_test = vectorizer.transform(X_test)

shared = {"linear_ngrams": 0, "filters": 64, "learning_rate": 0.003, "epochs": 8, "random_state": 0}
networks = {
    "one layer": TextCNNClassifier(**shared),
    "one-hot words": TextCNNClassifier(embedding_dim=None, **shared),
    "two layers": TextCNNClassifier(conv_layers=2, kernel_sizes=3, **shared),
    "Keras' tutorials": TextCNNClassifier(**presets.KERAS_TUTORIAL, random_state=0),
    "the same, by Keras": TextCNNClassifier(
        **presets.KERAS_TUTORIAL, engine="keras", random_state=0
    ),
}

# %%
# Training
# --------

rows = []
for name, network in networks.items():
    began = time.perf_counter()
    network.fit(ids, y_train)
    seconds = time.perf_counter() - began
    rows.append((name, network.score(ids_test, y_test), seconds, network.n_iter_))
    print("{:20s} accuracy {:.3f}, {:4.1f} seconds, {} epochs".format(*rows[-1]))

# %%
# NumPy trains every network of one layer of convolutions with max pooling, over an embedding or
# over one-hot words. Stacked layers are for Keras, which builds and traces a model before each
# fit. ``engine="keras"`` makes it train any network. Where no dropout draws, as in the
# tutorials, both engines take the same steps, and what differs in the end comes from rounding.

figure, axes = plt.subplots(1, 2, figsize=(8, 3.2), sharey=True, layout="constrained")
names, accuracies, seconds, _ = zip(*rows, strict=True)
axes[0].bar_label(axes[0].barh(names, accuracies, color="#0072b2"), fmt="%.3f", padding=3)
axes[1].bar_label(axes[1].barh(names, seconds, color="#e69f00"), fmt="%.1f", padding=3)
axes[0].set(title="Accuracy", xlim=(0, 1))
axes[1].set(title="Seconds in training")
axes[1].margins(x=0.15)
axes[0].invert_yaxis()
plt.show()

# %%
# The Keras model
# ---------------
# Whoever trained it, a network leaves as a plain Keras model. This is the tutorials' network,
# layer by layer.

keras_model = networks["Keras' tutorials"].to_keras()
for layer in keras_model.layers:
    print(f"{layer.__class__.__name__:22s} {layer.count_params():9,} weights")

# %%
# Neither a second layer nor a dense one pays on texts as short as these. What pays is a linear
# part (:doc:`/gallery/inside/parts`) or word vectors (:doc:`/gallery/labels/few_labels`).
