import numpy as np
import pytest
from networks import N_IDS, all_architectures, architecture, awkward_ids, random_weights
from scipy.special import expit, softmax

from sklearn_textcnn.inference.forward import Forward

ARCHITECTURES = dict(all_architectures())


@pytest.fixture(scope="module")
def tf():
    import sklearn_textcnn.training  # noqa: F401  (quietly)

    return pytest.importorskip("tensorflow")


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_trained_network_and_plain_twin_agree_with_numpy(name, tf):
    from sklearn_textcnn.training.network import TextCNN, plain_keras_model

    a = ARCHITECTURES[name]
    weights, ids = random_weights(a), awkward_ids()
    expected = Forward(a, weights).logits(ids)
    network = TextCNN(a, N_IDS + 3)
    network.load(weights)
    np.testing.assert_allclose(network(ids).numpy(), expected, rtol=1e-4, atol=1e-5)
    twin = plain_keras_model(a, weights, N_IDS, multilabel=False, dropout=0.5)
    probabilities = expit(expected) if a["n_outputs"] == 1 else softmax(expected, axis=1)
    np.testing.assert_allclose(twin(ids).numpy(), probabilities, atol=1e-5)


# what an activation does is the same on every input side
@pytest.mark.parametrize(
    "name", [n for n in ARCHITECTURES if "linear" not in n or n.startswith("trained")]
)
def test_gradients_are_those_of_the_plain_twin(name, tf):
    """Fused look-ups against Keras' layers: the same loss, the same change of every weight."""
    import keras

    from sklearn_textcnn.training.batches import BatchMaker
    from sklearn_textcnn.training.network import TextCNN, plain_keras_model

    a = ARCHITECTURES[name]
    weights, ids = random_weights(a), awkward_ids()
    targets = np.random.default_rng(0).random((len(ids), a["n_outputs"])).astype(np.float32)
    network = TextCNN(a, N_IDS)
    network.load(weights)
    tokens, index = BatchMaker(N_IDS, max(a["kernel_sizes"]))(ids)
    with tf.GradientTape() as tape:
        logits = network.logits(network.trained_rows(tf.constant(tokens)), tokens, index)
        loss = tf.reduce_sum((logits - targets) ** 2)
    variables = [v.value for v in network.trainable_variables]
    moved = TextCNN(a, N_IDS)
    moved.load(weights)
    gradients = tape.gradient(loss, variables)
    for variable, gradient in zip(moved.trainable_variables, gradients, strict=True):
        gradient = tf.convert_to_tensor(gradient).numpy()
        if variable is moved.trained:
            gradient[0] = 0
        variable.assign(gradient)
    ours = moved.export(N_IDS)

    twin = plain_keras_model(a, weights, N_IDS, multilabel=True, dropout=0.0)
    logit_layer = twin.layers[-1]
    logit_layer.activation = keras.activations.linear
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum((twin(ids) - targets) ** 2)
    twin_gradients = tape.gradient(loss, [v.value for v in twin.trainable_variables])
    theirs = [tf.convert_to_tensor(g).numpy() for g in twin_gradients]
    if a["trained_dim"]:
        theirs[0] = _without_padding(theirs[0])
        np.testing.assert_allclose(ours["embeddings"][-1], theirs[0], rtol=1e-3, atol=1e-4)
    kernels, biases = ours["kernels"], ours["biases"]
    if name.startswith("one-hot"):
        # the twin has a table per offset, and in the rows of the first one the bias, whose
        # gradient is theirs together
        theirs = [_without_padding(g) if g.shape[0] == N_IDS else g for g in theirs]
        for stack, (bias, *_) in zip(kernels, biases, strict=True):
            np.testing.assert_allclose(bias, stack[0][0].sum(axis=0), rtol=1e-3, atol=1e-4)
        kernels = [[*stack[0], *stack[1:]] for stack in kernels]
        biases = [stack[1:] for stack in biases]
    flat = [w for stack in kernels for w in stack]
    flat += [b for stack in biases for b in stack]
    flat += ours["dense_kernels"] + ours["dense_biases"]
    rest = theirs[1:] if a["trained_dim"] else theirs
    # Keras orders the layers by depth, so match by shape and value
    assert len(rest) == len(flat)
    for mine in flat:
        match = next(
            i
            for i, other in enumerate(rest)
            if other.shape == mine.shape and np.allclose(other, mine, rtol=1e-3, atol=1e-4)
        )
        rest.pop(match)


def _without_padding(table):
    """A gradient without the row of padding, which is not trained."""
    return np.concatenate([np.zeros_like(table[:1]), table[1:]])


def test_export_returns_what_was_loaded(tf):
    from sklearn_textcnn.training.network import TextCNN

    for a in ARCHITECTURES.values():
        weights = random_weights(a)
        network = TextCNN(a, N_IDS + 7)
        network.load(weights)
        exported = network.export(N_IDS)
        assert exported.keys() == weights.keys()
        for name, arrays in weights.items():
            for mine, theirs in zip(exported[name], arrays, strict=True):
                for x, y in zip(mine, theirs, strict=True):
                    np.testing.assert_array_equal(x, y)


def test_output_norms_are_limited(tf):
    from sklearn_textcnn.training.network import TextCNN

    a = architecture()
    weights = random_weights(a)
    weights["dense_kernels"][0][:, 0] *= 100
    weights["dense_kernels"][0][:, 1] = 0
    network = TextCNN(a, N_IDS)
    network.load(weights)
    network.settings["max_norm"].assign(np.inf)
    network.limit_norms()
    before = network.export(N_IDS)["dense_kernels"][0]
    np.testing.assert_array_equal(before, weights["dense_kernels"][0])
    network.settings["max_norm"].assign(3.0)
    network.limit_norms()
    after = network.export(N_IDS)["dense_kernels"][0]
    assert np.linalg.norm(after[:, 0]) == pytest.approx(3, rel=1e-5)
    np.testing.assert_array_equal(after[:, 1:], before[:, 1:])


def test_network_restores_from_its_config(tf):
    """A user's ModelCheckpoint callback saves the network that is trained."""
    from sklearn_textcnn.training.network import TextCNN

    a = architecture(hidden_units=(4,))
    again = TextCNN.from_config(TextCNN(a, N_IDS).get_config())
    again.load(random_weights(a))
    expected = Forward(a, random_weights(a)).logits(awkward_ids())
    np.testing.assert_allclose(again(awkward_ids()).numpy(), expected, atol=1e-5)
