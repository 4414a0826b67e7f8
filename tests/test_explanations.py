"""Explanations add up to the logits, and name the tokens that made them."""

import copy
import pickle
from dataclasses import asdict, fields, is_dataclass, replace

import numpy as np
import pytest
from classifiers import DATA, VECTORS, both_count, small
from networks import KNOWN, N_IDS, all_architectures, awkward_ids, random_weights
from sklearn.exceptions import NotFittedError

from sklearn_textcnn import NgramLinearClassifier, TokenIds
from sklearn_textcnn.inspection import Explanation, NGram, _batches
from sklearn_textcnn.inspection._network import NetworkReading
from sklearn_textcnn.network.forward import Forward

ARCHITECTURES = all_architectures()
ACTIVATIONS = {"relu": lambda x: np.maximum(x, 0), "tanh": np.tanh, "linear": lambda x: x}
VOCABULARY = tuple(f"t{token}" for token in range(2, N_IDS))


def total(explanation):
    return explanation.bias + sum(ngram.contribution for ngram in explanation.ngrams)


def logits_of(model, X, targets):
    """The logit of a target for each document, by hand."""
    logits = model.decision_function(X).astype(float)
    if logits.ndim == 1:
        return np.where(np.array(targets) == model.classes_[1], logits, -logits)
    places = [model.classes_.tolist().index(target) for target in targets]
    return logits[np.arange(len(logits)), places]


def explained(model, X, target=None):
    """Explanations, which must add up and hold n-grams of the documents only."""
    explanations = model.explain(X, target)
    logits = logits_of(model, X, [e.target for e in explanations])
    close = {"rtol": 1e-5, "atol": 1e-4}
    np.testing.assert_allclose([e.logit for e in explanations], logits, **close)
    np.testing.assert_allclose([total(e) for e in explanations], logits, **close)
    by_token = [e.token_weights.sum() + e.bias for e in explanations]
    np.testing.assert_allclose(by_token, logits, **close)
    answers = zip(np.asarray(X), model.predict_proba(X), explanations, strict=True)
    for row, probabilities, e in answers:
        assert len(e.tokens) == len(e.token_weights) == np.count_nonzero(row)
        assert list(e.probabilities) == model.classes_.tolist()
        np.testing.assert_allclose(list(e.probabilities.values()), probabilities, atol=1e-5)
        sizes = [abs(ngram.contribution) for ngram in e.ngrams]
        assert sizes == sorted(sizes, reverse=True)
        keys = [(ngram.start, ngram.stop, ngram.source) for ngram in e.ngrams]
        assert len(set(keys)) == len(keys)
        weights = np.zeros(len(e.tokens))
        for ngram in e.ngrams:
            assert 0 <= ngram.start < ngram.stop <= len(e.tokens)
            assert ngram.text == " ".join(e.tokens[ngram.start : ngram.stop])
            size = ngram.stop - ngram.start
            weights[ngram.start : ngram.stop] += ngram.contribution / size
        np.testing.assert_allclose(e.token_weights, weights, atol=1e-9)
    return explanations


@pytest.fixture(scope="module")
def three():
    return both_count(small().fit(*DATA["three"]))


# --- sums


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_windows_of_every_network_add_up_to_its_logits(name):
    a = ARCHITECTURES[name]
    forward, ids = Forward(a, random_weights(a), KNOWN), awkward_ids()
    reading, logits = NetworkReading(forward, ids), forward.logits(ids)
    np.testing.assert_allclose(reading.logits, logits, rtol=1e-5, atol=1e-5)
    for output in range(a.n_outputs):
        values, rest = reading.contributions(np.full(len(ids), output))
        sums = values.sum(axis=1) + rest
        np.testing.assert_allclose(sums, logits[:, output], rtol=1e-5, atol=1e-4)
        assert not values[0].any()  # a document without tokens


@pytest.fixture(scope="module")
def with_linear_parts():
    """Classifiers by number of outputs, whose network is exchanged in the test below."""
    rng = np.random.default_rng(0)
    ids = rng.integers(2, N_IDS, (40, 6)).astype(np.int32)
    y = {1: ids[:, 0] % 2, 3: ids[:, 0] % 3, 4: (ids[:, :4] % 2)}
    return {n: small(epochs=1).fit(TokenIds(ids, VOCABULARY), y[n]) for n in y}


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_both_parts_of_every_classifier_add_up(name, with_linear_parts):
    a = ARCHITECTURES[name]
    model = copy.copy(with_linear_parts[a.n_outputs])
    model._architecture, model._weights, model._known = asdict(a), random_weights(a), KNOWN
    model._factors = 0.9, 0.4, 1.7
    ids = TokenIds(awkward_ids(), VOCABULARY)
    found = explained(model, ids)
    assert {ngram.source for e in found for ngram in e.ngrams} == {"network", "linear"}
    explained(model, ids, model.classes_[0])
    assert found[0].ngrams == []
    assert found[0].tokens == []


@pytest.mark.parametrize("kind", DATA)
@pytest.mark.parametrize("linear_ngrams", [0, 1, 2])
def test_fitted_classifiers_add_up(kind, linear_ngrams):
    X, y = DATA[kind]
    model = both_count(small(linear_ngrams=linear_ngrams, epochs=2).fit(X, y))
    found = explained(model, X[:50])
    sources = {"network", "linear"} if linear_ngrams else {"network"}
    assert {ngram.source for e in found for ngram in e.ngrams} == sources
    longest = max(
        n.stop - n.start
        for e in found
        for n in e.ngrams
        if n.source == "linear" or not linear_ngrams
    )
    assert longest == (linear_ngrams or 2)


@pytest.mark.parametrize("embedding_mode", ["static", "non-static", "multichannel"])
@pytest.mark.parametrize("as_mapping", [False, True])
def test_word_vectors(embedding_mode, as_mapping):
    X, y = DATA["three"]
    vectors, ids = VECTORS, X
    if as_mapping:
        ids = TokenIds(X, [f"t{token}" for token in range(2, X.max() + 1)])
        vectors = {f"t{token}": VECTORS[token] for token in range(2, X.max() + 1)}
    model = small(word_vectors=vectors, embedding_mode=embedding_mode, epochs=1).fit(ids, y)
    explained(both_count(model), ids[:40])


@pytest.mark.slow
@pytest.mark.parametrize(
    "parameters",
    [
        {"pooling": "average"},
        {"pooling": "max+average", "embedding_dim": None},
        {"conv_layers": 2, "pool_size": 2, "activation": "tanh"},
        {"hidden_units": (6, 5)},
    ],
    ids=str,
)
def test_networks_that_keras_trained(parameters):
    X, y = DATA["three"]
    explained(both_count(small(**{"epochs": 1} | parameters).fit(X, y)), X[:40])


def test_linear_classifier_alone():
    for X, y in DATA.values():
        explained(NgramLinearClassifier(random_state=0).fit(X, y), X[:40])


def test_linear_contributions_are_shares_of_the_documented_formula():
    ids = np.array([[2, 3, 2, 4, 2], [5, 3, 4, 0, 0]] * 4)
    model = NgramLinearClassifier(random_state=0).fit(ids, [0, 1] * 4)
    names = model.get_feature_names_out().tolist()
    counts = {"#2": 3, "#3": 1, "#4": 1, "#2 #3": 1, "#3 #2": 1, "#2 #4": 1, "#4 #2": 1}
    frequencies = np.array([1 + np.log(counts[n]) if n in counts else 0 for n in names])
    shares = frequencies * model.coef_[0] / np.linalg.norm(model.idf_ * frequencies)
    (found,) = model.explain(ids[:1], 1)
    assert found.bias == pytest.approx(model.intercept_[0])
    by_text = {}
    for ngram in found.ngrams:
        by_text.setdefault(ngram.text, []).append(ngram.contribution)
    assert {text: len(values) for text, values in by_text.items()} == counts
    for text, values in by_text.items():
        np.testing.assert_allclose(values, shares[names.index(text)] / counts[text], rtol=1e-4)


# --- who made them: oracles that know nothing of look-ups


def windows_by_loops(a, weights, row):
    """What each window of one document adds to the first logit, in the order of the reading."""
    table = np.concatenate(weights["tables"], axis=1).astype(float)
    factors = weights["dense_kernels"][0][:, 0].astype(float)
    added, counts = [], row != 0
    for i, (k, n) in enumerate(zip(a.kernel_sizes, a.filters, strict=True)):
        x = np.zeros((len(row), n))
        for t in np.flatnonzero(counts):
            x[t] = weights["biases"][i][0]
            for j in range(min(k, len(row) - t)):
                if row[t + j] and a.one_hot:
                    x[t] += table[row[t + j], a.columns[i]].reshape(k, n)[j]
                elif row[t + j]:
                    x[t] += table[row[t + j]] @ weights["kernels"][i][0][j]
        x = ACTIVATIONS[a.activation](x) * counts[:, None]
        for kind in a.pooling.split("+"):
            own, factors, values = factors[:n], factors[n:], np.zeros(len(row))
            if kind == "average":
                values = x @ own / max(counts.sum(), 1)
            elif counts.any():
                for f in range(n):
                    # the activation may make equals of what differs, the first of which counts
                    winner = max(np.flatnonzero(counts), key=lambda t: (x[t, f], -t))
                    values[winner] += own[f] * x[winner, f]
            added.append(values)
    return np.concatenate(added)


FLAT = [name for name, a in ARCHITECTURES.items() if a.conv_layers == 1 and not a.hidden_units]


@pytest.mark.parametrize("name", FLAT)
def test_windows_are_those_that_loops_find(name):
    a, ids = ARCHITECTURES[name], awkward_ids()
    weights = random_weights(a)
    values, _ = NetworkReading(Forward(a, weights, KNOWN), ids).contributions(np.zeros(12, int))
    expected = [windows_by_loops(a, weights, row) for row in ids]
    np.testing.assert_allclose(values, expected, atol=1e-4)


STACKS = [(1, 2), (2, 1), (2, 2), (2, 3), (3, 2)]


def small_stack(conv_layers, pool_size, **changes):
    settings = {"conv_layers": conv_layers, "pool_size": pool_size, "hidden_units": ()}
    settings |= {"kernel_sizes": (2,), "filters": (1,), "activation": "linear", "pooling": "max"}
    a = replace(next(iter(ARCHITECTURES.values())), **settings | changes)
    return replace(a, n_outputs=1, output="sigmoid")


@pytest.mark.parametrize(("conv_layers", "pool_size"), STACKS)
def test_positions_read_just_the_tokens_of_their_windows(conv_layers, pool_size):
    """The tokens whose exchange can change a position of the last convolution."""
    a = small_stack(conv_layers, pool_size, kernel_sizes=(3,), activation="tanh", filters=(2,))
    forward, rng, n = Forward(a, random_weights(a), KNOWN), np.random.default_rng(0), 24

    def positions(ids):
        (sums,) = forward.sums_by_size(ids)
        return forward.activations(0, sums, ids != 0)[0]

    ids = rng.integers(2, N_IDS, (300, n)).astype(np.int32)
    before, reads = positions(ids), []
    for token in range(n):
        changed = ids.copy()
        changed[:, token] = rng.integers(2, N_IDS, 300)
        reads.append((positions(changed) != before).any(axis=(0, 2)))
    reading = NetworkReading(forward, ids[:1])
    for position, tokens in enumerate(np.array(reads).T):
        window = slice(reading.starts[position], min(reading.stops[position], n))
        np.testing.assert_array_equal(np.flatnonzero(tokens), np.arange(n)[window])


@pytest.mark.parametrize(("conv_layers", "pool_size"), STACKS)
def test_what_stands_outside_of_the_winning_window_cannot_lower_the_logit(conv_layers, pool_size):
    a = small_stack(conv_layers, pool_size)
    weights, rng = random_weights(a), np.random.default_rng(0)
    weights["dense_kernels"][0][:] = 1
    forward = Forward(a, weights, KNOWN)
    ids = rng.integers(2, N_IDS, (20, 19)).astype(np.int32)
    reading = NetworkReading(forward, ids)
    values, _ = reading.contributions(np.zeros(20, int))
    is_lower = []
    for row, logit, added in zip(ids, reading.logits, values, strict=True):
        (window,) = np.flatnonzero(added)  # of one filter there is one winner
        others = rng.integers(2, N_IDS, (60, 19)).astype(np.int32)
        inside = slice(reading.starts[window], reading.stops[window])
        kept = others.copy()
        kept[:, inside] = row[inside]
        assert (forward.logits(kept) > logit - 1e-5).all()
        lost = np.tile(row, (60, 1))
        lost[:, inside] = others[:, inside]
        is_lower.append((forward.logits(lost) < logit - 1e-4).any())
    assert np.mean(is_lower) > 0.5


def test_a_filter_that_relu_silences_adds_nothing():
    a = replace(small_stack(1, 2), activation="relu", filters=(3,))
    weights = random_weights(a)
    weights["biases"][0][0][:] = -1e3
    values, rest = NetworkReading(Forward(a, weights, KNOWN), awkward_ids()).contributions(
        np.zeros(12, int)
    )
    assert not values.any()
    np.testing.assert_array_equal(rest, weights["dense_biases"][0][0])


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("hidden_units", [(7,), (6, 5)])
def test_hidden_layers_are_shared_out_by_integrated_gradients(activation, hidden_units):
    a = replace(small_stack(1, 2), activation=activation, hidden_units=hidden_units, filters=(4,))
    forward, ids = Forward(a, random_weights(a), KNOWN), awkward_ids()
    features = forward.features(ids).astype(float)

    def logits(x):
        for kernel, bias in forward.dense[:-1]:
            x = ACTIVATIONS[activation](x @ kernel + bias)
        return (x @ forward.dense[-1][0] + forward.dense[-1][1])[:, 0]

    # a fine path, and slopes from differences
    expected, step = np.zeros_like(features), 1e-5
    path = (np.arange(500) + 0.5) / 500
    for f in range(4):
        shift = step * np.eye(4)[f]
        slopes = [logits(features * t + shift) - logits(features * t - shift) for t in path]
        expected[:, f] = features[:, f] * np.mean(slopes, axis=0) / (2 * step)
    reading = NetworkReading(forward, ids)
    slopes, rest = reading._slopes(np.zeros(len(ids), int))
    np.testing.assert_allclose(slopes * features, expected, atol=0.03 * np.abs(expected).max())
    np.testing.assert_allclose((slopes * features).sum(axis=1) + rest, logits(features), atol=1e-2)
    np.testing.assert_allclose(rest, logits(np.zeros_like(features)))


# --- what is reported


def test_windows_that_hang_over_the_end_hold_the_tokens_of_the_document_only():
    X, y = DATA["two"]
    model = small(kernel_sizes=(3, 4, 5), linear_ngrams=0, activation="tanh").fit(X, y)
    alone, short = explained(model, np.pad([[2, 0, 0], [2, 3, 0]], ((0, 0), (0, X.shape[1] - 3))))
    assert [(n.start, n.stop, n.text) for n in alone.ngrams] == [(0, 1, "#2")]
    assert {(n.start, n.stop) for n in short.ngrams} == {(0, 2), (1, 2)}
    assert {n.text for n in short.ngrams} == {"#2 #3", "#3"}


def test_padding_inside_of_a_document_is_none_of_its_tokens(three):
    width = three.n_features_in_
    ids = np.zeros((1, width), dtype=int)
    ids[0, [1, 3, 4]] = 2, 5, 6
    (found,) = explained(three, ids)
    assert found.tokens == ["#2", "#5", "#6"]
    assert {n.text for n in found.ngrams} <= {"#2", "#2 #5", "#5", "#5 #6", "#6"}
    # the network reads the padding between them, and there is no such pair
    assert not [n for n in found.ngrams if n.text == "#2 #5"]


def test_parts_that_count_for_nothing_are_left_out():
    model = small(epochs=1).fit(*DATA["three"])
    X = DATA["three"][0][:20]
    for factors, source in (((1.0, 0.0, 1.0), "linear"), ((0.0, 0.7, 1.2), "network")):
        model._factors = factors
        assert {n.source for e in explained(model, X) for n in e.ngrams} == {source}


def test_what_the_parts_count_for_is_in_the_contributions(three):
    X = DATA["three"][0][:5]
    alone = three.linear_.explain(X, 1)
    for both, linear in zip(three.explain(X, 1), alone, strict=True):
        of_part = {n.text: n.contribution for n in both.ngrams if n.source == "linear"}
        expected = {n.text: 0.9 * n.contribution for n in linear.ngrams}
        assert of_part == pytest.approx(expected)
        assert both.by_part()["linear"] == pytest.approx(0.9 * (linear.logit - linear.bias))
        assert sum(both.by_part().values()) == pytest.approx(both.logit)


@pytest.mark.parametrize("kind", DATA)
def test_target_is_the_most_probable_class(kind):
    X, y = DATA[kind]
    model = both_count(small(epochs=2).fit(X, y))
    targets = [e.target for e in model.explain(X[:30])]
    if kind == "several":
        assert targets == model.decision_function(X[:30]).argmax(axis=1).tolist()
    else:
        assert targets == model.predict(X[:30]).tolist()


def test_the_first_of_two_classes_has_the_negative_logit():
    X, y = DATA["two"]
    model = both_count(small(epochs=2).fit(X, np.array(["no", "yes"])[y]))
    no, yes = explained(model, X[:1], "no")[0], explained(model, X[:1], "yes")[0]
    assert (no.target, yes.target) == ("no", "yes")
    assert no.logit == -yes.logit == pytest.approx(-model.decision_function(X[:1])[0])
    assert no.bias == -yes.bias
    np.testing.assert_array_equal(no.token_weights, -yes.token_weights)


def test_names_of_tokens():
    rows = np.array([[2, 3, 1], [3, 2, 2]] * 4)
    y = [0, 1] * 4
    named = NgramLinearClassifier().fit(TokenIds(rows, ["good", "bad", "rest"]), y)
    assert named.explain(rows[:1])[0].tokens == ["good", "bad", "[UNK]"]
    hashed = NgramLinearClassifier().fit(TokenIds(rows, n_ids=100), y)
    assert hashed.explain(rows[:1])[0].tokens == ["#2", "#3", "[UNK]"]
    # ids that fit did not know, and tokens that only the documents know
    assert named.explain([[2, 77, 0]])[0].tokens == ["good", "#77"]
    plain = NgramLinearClassifier().fit(rows, y)
    assert plain.explain(TokenIds(rows, ["a", "b"])[:1])[0].tokens == ["a", "b", "[UNK]"]


def test_ids_that_the_network_does_not_know_are_read_as_unknown(three):
    ids = np.array(DATA["three"][0][:3])
    ids[:, 0] = 999
    explained(three, ids)


def test_explanations_do_not_depend_on_batches(three, monkeypatch):
    """Of other documents, their order and trailing padding."""
    rng = np.random.default_rng(0)
    ids = np.array(DATA["three"][0][:60])
    ids[np.arange(ids.shape[1]) >= rng.integers(0, ids.shape[1] + 1, 60)[:, None]] = 0
    together = three.explain(ids)
    monkeypatch.setattr(_batches, "BLOCK_VALUES", 500)
    for row, one, apart in zip(ids, together, three.explain(ids), strict=True):
        (alone,) = three.explain(row[None])
        for other in (alone, apart):
            assert one.tokens == other.tokens
            assert one.logit == pytest.approx(other.logit, abs=1e-6)
            places = [(n.start, n.stop, n.source) for n in sorted(one.ngrams, key=str)]
            assert places == [(n.start, n.stop, n.source) for n in sorted(other.ngrams, key=str)]
            np.testing.assert_allclose(one.token_weights, other.token_weights, atol=1e-6)


def test_explanations_are_dataclasses_that_can_be_pickled_and_copied(three):
    ids = TokenIds(DATA["three"][0][:2], [f"t{i}" for i in range(60)])
    found = three.explain(ids)[0]
    assert is_dataclass(found)
    assert is_dataclass(NGram)
    names = [field.name for field in fields(found)]
    assert names[:4] == ["tokens", "target", "logit", "bias"]
    assert names[4:7] == ["ngrams", "token_weights", "probabilities"]
    for other in (pickle.loads(pickle.dumps(found)), copy.deepcopy(found), copy.copy(found)):
        assert type(other) is Explanation
        assert other.ngrams == found.ngrams
        assert other.tokens == found.tokens
        assert other.probabilities == found.probabilities
    assert asdict(found)["ngrams"][0]["source"] == found.ngrams[0].source
    assert len(pickle.dumps(found)) < 10_000  # nothing of the model or of other documents
    with pytest.raises(AttributeError, match="no attribute 'grams'"):
        _ = found.grams


@pytest.mark.parametrize("kind", DATA)
def test_top_ngrams_are_sums_over_the_documents(kind):
    X, y = DATA[kind]
    model = both_count(small(epochs=2).fit(X, y))
    top = model.top_ngrams(X[:40], n=5)
    assert list(top) == model.classes_.tolist()
    for label, ngrams in top.items():
        sums = {}
        for e in model.explain(X[:40], label):
            for ngram in e.ngrams:
                sums[ngram.text] = sums.get(ngram.text, 0) + ngram.contribution
        best = sorted(sums.values(), reverse=True)[:5]
        assert [value for _, value in ngrams] == pytest.approx(best)
        assert [sums[text] for text, _ in ngrams] == pytest.approx(best)


def test_top_ngrams_leaves_out_what_adds_nothing():
    X, y = DATA["three"]
    model = NgramLinearClassifier(ngrams=1, random_state=0).fit(X, y)
    for ngrams in model.top_ngrams(X, n=10**6).values():
        assert min(value for _, value in ngrams) > 0
    nothing = model.top_ngrams(np.zeros_like(X))
    assert nothing == {0: [], 1: [], 2: []}


# --- refusals


def test_a_target_that_is_no_class_is_refused(three):
    X = DATA["three"][0][:2]
    with pytest.raises(ValueError, match=r"target holds labels .* 7.*classes are 0, 1, 2"):
        three.explain(X, 7)
    with pytest.raises(ValueError, match="not among the classes: 'sport'"):
        three.explain(X, "sport")
    with pytest.raises(ValueError, match="one class for all documents"):
        three.explain(X, [0, 1])


@pytest.mark.parametrize("n", [0, -1, 2.5, "3"])
def test_a_number_of_ngrams_that_is_none_is_refused(n, three):
    with pytest.raises(ValueError, match="n must be an integer from 1 on"):
        three.top_ngrams(DATA["three"][0], n)


@pytest.mark.parametrize("method", ["explain", "top_ngrams"])
def test_documents_are_refused_as_in_prediction(method, three):
    with pytest.raises(NotFittedError):
        getattr(small(), method)([[2, 3]])
    with pytest.raises(ValueError, match="put TextVectorizerTransformer in front"):
        getattr(three, method)(["a text"])
    other = NgramLinearClassifier().fit(TokenIds([[2], [3]] * 4, ["a", "b"]), [0, 1] * 4)
    with pytest.raises(ValueError, match="another vocabulary"):
        getattr(other, method)(TokenIds([[2]], ["c", "d"]))
