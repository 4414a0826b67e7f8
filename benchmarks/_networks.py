"""The network of the benchmarks: ours, and the same in Keras, alone and wrapped by scikeras.

Ours is measured without Keras, so Keras and scikeras are imported where they are used.
"""

from sklearn_textcnn import TextCNNClassifier

NETWORK = {"embedding_dim": 128, "kernel_sizes": (3, 4, 5), "filters": 100, "dropout": 0.5}
# The same network as in the other libraries, and nothing that comes by default beside it
ALONE = {"linear_ngrams": 0, "token_dropout": 0.0, "average": 0.0}
BATCH_SIZE = 50
ADAM = {"optimizer": "adam", "learning_rate": 0.001}


def textcnn(**params):
    """Our classifier with that network."""
    return TextCNNClassifier(**{**NETWORK, **ALONE, "batch_size": BATCH_SIZE, **ADAM, **params})


def keras_network(n_ids, n_outputs, filters=NETWORK["filters"]):
    """That network in plain Keras layers, with a sigmoid for one output and a softmax for more."""
    import keras

    layers = keras.layers
    ids = keras.Input((None,), dtype="int32")
    embedded = layers.Embedding(n_ids, NETWORK["embedding_dim"])(ids)  # (n, T, dim)
    pooled = [
        layers.GlobalMaxPooling1D()(layers.Conv1D(filters, k, activation="relu")(embedded))
        for k in NETWORK["kernel_sizes"]
    ]
    features = layers.Dropout(NETWORK["dropout"])(layers.Concatenate()(pooled))  # (n, features)
    activation = "sigmoid" if n_outputs == 1 else "softmax"
    return keras.Model(ids, layers.Dense(n_outputs, activation=activation)(features))


def scikeras_textcnn(n_ids, n_classes, **params):
    """That network behind scikeras, the way its documentation does it."""
    from scikeras.wrappers import KerasClassifier

    loss = "binary_crossentropy" if n_classes == 2 else "sparse_categorical_crossentropy"
    params = {"filters": NETWORK["filters"], "epochs": 1, **params}
    return KerasClassifier(
        model=_network_for_scikeras,
        n_ids=n_ids,
        loss=loss,
        optimizer=ADAM["optimizer"],
        optimizer__learning_rate=ADAM["learning_rate"],
        metrics=["accuracy"],
        batch_size=BATCH_SIZE,
        verbose=0,
        **params,
    )


def _network_for_scikeras(n_ids, filters, meta):
    return keras_network(n_ids, 1 if meta["n_classes_"] == 2 else meta["n_classes_"], filters)
