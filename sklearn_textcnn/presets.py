"""Parameters of `TextCNNClassifier` for well-known networks, as plain dicts.

Examples
--------
>>> from sklearn_textcnn import TextCNNClassifier, presets
>>> kim = TextCNNClassifier(**presets.KIM_2014)
>>> shorter = TextCNNClassifier(**presets.KERAS_TUTORIAL | {"epochs": 3})
"""

__all__ = ["KERAS_TUTORIAL", "KIM_2014"]

# Nothing of what this package adds to a network and its training.
_ALONE = {"linear_ngrams": 0, "token_dropout": 0.0, "average": 0.0}

#: The network of Kim (2014), "Convolutional Neural Networks for Sentence Classification", EMNLP.
#: As it stands, the variant CNN-rand; with `word_vectors` and `embedding_mode` CNN-static,
#: CNN-non-static and CNN-multichannel. A tenth of the documents decides which of 25 epochs is best.
KIM_2014 = _ALONE | {
    "embedding_dim": 300,
    "kernel_sizes": (3, 4, 5),
    "filters": 100,
    "dropout": 0.5,
    "max_norm": 3.0,
    "optimizer": "adadelta",
    "learning_rate": 1.0,
    "batch_size": 50,
    "epochs": 25,
    "early_stopping": True,
    "validation_fraction": 0.1,
    "patience": 25,
}

#: The network of many Keras tutorials: ``Embedding``, ``Conv1D(128, 5, activation="relu")``,
#: ``GlobalMaxPooling1D``, ``Dense(64, activation="relu")``, ``Dense(n_classes,
#: activation="softmax")``, trained by Adam.
KERAS_TUTORIAL = _ALONE | {
    "embedding_dim": 128,
    "kernel_sizes": 5,
    "filters": 128,
    "hidden_units": 64,
    "dropout": 0.0,
    "optimizer": "adam",
    "learning_rate": 0.001,
    "batch_size": 32,
    "epochs": 10,
}
