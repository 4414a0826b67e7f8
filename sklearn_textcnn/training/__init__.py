"""Training with Keras on TensorFlow: the only room that imports tensorflow, keras or scikeras."""

from sklearn_textcnn.training._quiet import tensorflow_chatter_withheld

with tensorflow_chatter_withheld():
    import keras
    import scikeras  # noqa: F401
    import tensorflow as tf

    from sklearn_textcnn.training._quiet import limit_threads_in_worker

    limit_threads_in_worker(tf)
    if keras.backend.backend() == "tensorflow":
        tf.constant(0.0) + 0.0  # the first operation makes TensorFlow describe the machine

if keras.backend.backend() != "tensorflow":
    raise ImportError(
        "TextCNNClassifier trains with Keras on TensorFlow, but Keras runs on "
        f"{keras.backend.backend()!r} here. Set the environment variable "
        "KERAS_BACKEND=tensorflow before Keras is imported, or change 'backend' in keras.json. "
        "Predicting with a fitted classifier works on any backend."
    )
