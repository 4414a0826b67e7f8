"""Word vectors distilled from an encoder that reads documents: `WordVectors.from_context`."""

import os
import pickle
import subprocess
import sys
import tracemalloc
import warnings
from collections import Counter

import numpy as np
import pandas as pd
import pytest
from sklearn.decomposition import PCA

from sklearn_textcnn import TextCNNClassifier, TextVectorizerTransformer, WordVectors
from sklearn_textcnn._encoders import reader_for
from sklearn_textcnn.word_vectors import rows_for_ids

os.environ["HF_HUB_OFFLINE"] = "1"  # read when huggingface_hub is imported

N_DIMENSIONS = 6
DOCUMENTS = [
    "a good film .",
    "not a good film , a bad one .",
    "",
    "so so",
    "a good film .",
    "bad , bad , bad",
    "one word less is good",
]
TOKENS = [document.split() for document in DOCUMENTS]
DISTINCT = tuple(dict.fromkeys(token for tokens in TOKENS for token in tokens))


def vector(token):
    rng = np.random.default_rng(list(token.encode()))
    return rng.standard_normal(N_DIMENSIONS) * np.arange(1, N_DIMENSIONS + 1) + 3


def encoder():
    """A function that makes of a token something about it and its neighbours."""
    calls = []

    def encode(documents):
        assert isinstance(documents, list)
        calls.append(documents)
        out = []
        for tokens in documents:
            vectors = np.array([vector(token) for token in tokens])
            neighbours = np.roll(vectors, 1, axis=0) + np.roll(vectors, -1, axis=0)
            out.append(vectors + 0.3 * neighbours + 0.1 * np.arange(len(tokens))[:, np.newaxis])
        return out

    encode.calls = calls
    return encode


def means(read, documents):
    """The mean of each token over its occurrences, one by one."""
    states = {}
    for tokens in documents:
        if tokens:
            for token, state in zip(tokens, read(tokens), strict=True):
                states.setdefault(token, []).append(state)
    return np.array([np.mean(states[token], axis=0) for token in states])


def similarities(rows):
    """What is left of vectors whose axes may be turned."""
    return rows @ rows.T


def expected_similarities(matrix, n_components):
    matrix = matrix / np.linalg.norm(matrix, axis=1, keepdims=True)
    rows = PCA(n_components, svd_solver="full").fit_transform(matrix)
    return similarities(rows * 0.3 / rows.std())


def assert_holds(vectors, matrix, n_components=None, atol=1e-5):
    rows, found = vectors.lookup(vectors.tokens)
    assert found.all()
    assert rows.shape[1] == vectors.n_components
    expected = expected_similarities(matrix, n_components or vectors.n_components)
    np.testing.assert_allclose(similarities(rows), expected, atol=atol)


def read_alone(encode):
    return lambda tokens: encode([tokens])[0]


# What the vectors are


@pytest.mark.parametrize("batch_size", [1, 9, 4096])
def test_vectors_are_means_over_occurrences(batch_size):
    vectors = WordVectors.from_context(encoder(), TOKENS, batch_size=batch_size)
    assert vectors.tokens == DISTINCT
    assert vectors.n_components == N_DIMENSIONS
    assert_holds(vectors, means(read_alone(encoder()), TOKENS))
    rows, _ = vectors.lookup(DISTINCT)
    np.testing.assert_allclose(rows.mean(axis=0), 0.0, atol=1e-6)
    np.testing.assert_allclose(rows.std(), 0.3, rtol=1e-5)


def test_vectors_are_the_same_every_time():
    first, second = (WordVectors.from_context(encoder(), TOKENS) for _ in range(2))
    assert first == second
    assert pickle.loads(pickle.dumps(first)) == first


def test_the_length_of_states_does_not_count():
    def longer(documents):
        return [states * 7 for states in encoder()(documents)]

    rows, _ = WordVectors.from_context(longer, TOKENS).lookup(DISTINCT)
    expected, _ = WordVectors.from_context(encoder(), TOKENS).lookup(DISTINCT)
    np.testing.assert_allclose(rows, expected, atol=1e-5)


def test_a_token_may_have_a_mean_of_zero():
    def encode(documents):
        table = {"a": [0, 0], "b": [1, 0], "c": [0, 1]}
        return [[table[token] for token in tokens] for tokens in documents]

    rows, _ = WordVectors.from_context(encode, [["a", "b", "c"]]).lookup(["a", "b", "c"])
    assert np.isfinite(rows).all()


def test_frequent_tokens_are_averaged_exactly():
    # One by one, float32 sums of so many numbers are off in the fourth digit.
    def encode(documents):
        table = {"a": [1.1, 0.3], "b": [1.1, 0.3], "c": [0.0, 1.0]}
        return [[table[token] for token in tokens] for tokens in documents]

    documents = [["a"] * n for n in range(1, 600)]
    rows, _ = WordVectors.from_context(encode, [*documents, ["b", "c"]]).lookup(["a", "b"])
    np.testing.assert_allclose(rows[0], rows[1], atol=2e-6)


def test_n_components():
    vectors = WordVectors.from_context(encoder(), TOKENS, 3)
    assert vectors.n_components == 3
    assert_holds(vectors, means(read_alone(encoder()), TOKENS), 3)
    assert WordVectors.from_context(encoder(), TOKENS, None).n_components == N_DIMENSIONS
    assert WordVectors.from_context(encoder(), [["a", "b", "c"]]).n_components == 2


# What is read


def test_analyzer_may_be_a_vectorizer_or_its_analyzer():
    texts = ["A good FILM!", "not a film", b"so, so"]
    vectorizer = TextVectorizerTransformer(stop_words=["not"])
    encode = encoder()
    vectors = WordVectors.from_context(encode, texts, analyzer=vectorizer)
    assert vectors.tokens == ("a", "good", "film", "!", "so", ",")
    assert not hasattr(vectorizer, "vocabulary_")
    assert encode.calls == [[["a", "good", "film", "!"], ["so", ",", "so"], ["a", "film"]]]
    again = WordVectors.from_context(encode, texts, analyzer=vectorizer.build_analyzer())
    assert again == vectors
    fitted = TextVectorizerTransformer(stop_words=["not"], max_features=2, max_length=1)
    with pytest.warns(UserWarning, match="max_length=1 cuts"):
        fitted.fit(texts)
    assert WordVectors.from_context(encode, texts, analyzer=fitted) == vectors
    cased = WordVectors.from_context(encode, texts[:1], analyzer=str.split)
    assert cased.tokens == ("A", "good", "FILM!")


@pytest.mark.parametrize(
    "convert",
    [
        iter,
        tuple,
        np.array,
        lambda texts: np.array(texts, dtype=object)[:, np.newaxis],
        pd.Series,
        lambda texts: pd.DataFrame({"text": texts}),
    ],
    ids=["generator", "tuple", "array", "column", "Series", "frame"],
)
def test_documents_may_be_any_collection(convert):
    def from_context(documents):
        vectorizer = TextVectorizerTransformer()
        return WordVectors.from_context(encoder(), documents, analyzer=vectorizer)

    assert from_context(convert(DOCUMENTS)) == from_context(DOCUMENTS)


def test_words_of_documents_without_labels_have_a_vector():
    labelled, others = ["a good film", "a bad film"] * 5, ["a lovely film", "so so"]
    vectorizer = TextVectorizerTransformer()
    vectors = WordVectors.from_context(encoder(), [*labelled, *others], analyzer=vectorizer)
    vectorizer.set_params(vocabulary=vectors.tokens)
    classifier = TextCNNClassifier(word_vectors=vectors, embedding_mode="static", epochs=1)
    classifier.fit(vectorizer.fit_transform(labelled), [0, 1] * 5)
    assert rows_for_ids(vectors, vectors.tokens, len(vectors) + 2)[1][2:].all()
    assert (vectorizer.transform(["a lovely film"])[0][:3] > 1).all()
    assert classifier.coverage_["tokens"] == 1.0


def test_equal_documents_are_read_once_and_count_as_often():
    encode = encoder()
    WordVectors.from_context(encode, TOKENS)
    read = [tokens for call in encode.calls for tokens in call]
    distinct = {tuple(tokens) for tokens in TOKENS if tokens}
    assert len(read) == len(distinct) < len([tokens for tokens in TOKENS if tokens])
    assert set(map(tuple, read)) == distinct


def test_batches_are_of_similar_length_and_not_too_large():
    rng = np.random.default_rng(0)
    documents = [[f"t{i}" for i in rng.integers(0, 50, n)] for n in rng.integers(1, 30, 100)]
    encode = encoder()
    WordVectors.from_context(encode, documents, batch_size=64)
    sizes = [[len(tokens) for tokens in call] for call in encode.calls]
    read = [size for batch in sizes for size in batch]
    assert read == sorted(read, reverse=True)
    assert all(len(batch) * max(batch) <= 64 for batch in sizes)
    assert all(
        (len(batch) + 1) * max(batch) > 64 for batch in sizes[:-1]
    )  # and no smaller than need be
    encode = encoder()
    WordVectors.from_context(encode, documents, batch_size=1)
    assert {len(call) for call in encode.calls} == {1}


def test_long_documents_are_read_in_windows():
    documents = [[f"t{i % 17}" for i in range(n)] for n in (10, 3, 4, 7)]
    encode = encoder()
    vectors = WordVectors.from_context(encode, documents, window=4)
    windows = [tokens[i : i + 4] for tokens in documents for i in range(0, len(tokens), 4)]
    read = [tokens for call in encode.calls for tokens in call]
    assert sorted(read) == sorted(windows)
    assert_holds(vectors, means(read_alone(encoder()), windows))


def test_memory_is_that_of_a_batch_and_of_the_distinct_tokens():
    n_dimensions, n_documents, n_tokens = 256, 1500, 20
    rng = np.random.default_rng(0)
    documents = [
        [f"t{i}" for i in row] for row in rng.integers(0, 40, (n_documents, n_tokens)).tolist()
    ]
    table = {f"t{i}": rng.standard_normal(n_dimensions).astype(np.float32) for i in range(40)}

    def encode(documents):
        return [np.stack([table[token] for token in tokens]) for tokens in documents]

    WordVectors.from_context(encode, documents[:2], batch_size=400)  # imports
    tracemalloc.start()
    try:
        WordVectors.from_context(encode, documents, batch_size=400)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    all_states = 4 * n_documents * n_tokens * n_dimensions  # bytes
    batch = 4 * 400 * n_dimensions
    assert peak < 6 * batch + 200 * n_documents < all_states / 8


def test_progress_bar(bars):
    WordVectors.from_context(encoder(), TOKENS, batch_size=8)
    assert bars == []
    documents = [["a", "b", "c"], ["d", "e", "f"], ["a", "b"]]
    WordVectors.from_context(encoder(), documents, batch_size=3, verbose=1)
    (bar,) = bars
    assert bar.texts[0] == "tokenising, 0 of 3 documents"
    assert bar.texts[-3:] == [
        *("tokenising, 3 of 3 documents", "splitting words into pieces", "reading documents")
    ]
    tokenising, reading = np.array([0, 1, 2, 3]) / 3, np.array([3, 6, 8]) / 8
    expected = np.append(0.05 * tokenising, 0.05 + 0.95 * reading)
    np.testing.assert_allclose(bar.shares, expected)


def test_a_function_needs_no_deep_learning():
    code = """
import sys
from sklearn_textcnn import WordVectors
encode = lambda documents: [[[len(t), len(d)] for t in d] for d in documents]
WordVectors.from_context(encode, [["a", "bc"], ["a"]])
print([name for name in ("torch", "transformers", "sentence_transformers") if name in sys.modules])
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (run.stdout.strip(), run.stderr) == ("[]", "")


# What is refused


def returning(value):
    return lambda documents: value


def per_document(make):
    return lambda documents: [make(tokens) for tokens in documents]


@pytest.mark.parametrize(
    ("encoder", "settings", "message"),
    [
        (3, {}, "encoder must be a SentenceTransformer, .*got int"),
        (("model", "tokenizer"), {}, r"a pair of a transformers model .*got \(str, str\)"),
        (encoder(), {"layer": 2}, "layer goes with a transformers model, got layer=2"),
        (encoder(), {"n_components": 0}, "n_components must be a whole .*above 0, got 0"),
        (encoder(), {"batch_size": None}, "batch_size must be a whole .*got None"),
        (encoder(), {"batch_size": 2.0}, r"batch_size must be a whole .*got 2\.0"),
        (encoder(), {"window": True}, "window must be a whole .*got True"),
        (encoder(), {"analyzer": "word"}, "analyzer must be a vectorizer.*got 'word'"),
        (encoder(), {"analyzer": 3}, "analyzer must be a vectorizer.*got int"),
        (
            encoder(),
            {"analyzer": TextVectorizerTransformer},
            r"got the class TextVectorizerTransformer. Pass TextVectorizerTransformer\(\)",
        ),
        (returning(3), {}, "must return a list of arrays, got int"),
        (returning([]), {}, "an array for each of the 5 documents, got 0"),
        (returning([[[1.0]]] * 6), {}, "an array for each of the 5 documents, got 6"),
        (
            per_document(lambda tokens: np.ones((min(len(tokens), 8), 4))),
            {},
            r"shape \(9, n_dimensions\) for a document of 9 tokens, got shape \(8, 4\)\. If it "
            "cuts long documents, set window",
        ),
        (per_document(lambda tokens: np.ones(len(tokens))), {}, r"n_dimensions\) .*shape \(9,\)"),
        (per_document(lambda tokens: np.ones((len(tokens), 0))), {}, r"got shape \(9, 0\)"),
        (
            per_document(lambda tokens: np.ones((len(tokens), len(tokens)))),
            {},
            r"shape \(5, 9\) for a document of 5 tokens, got shape \(5, 5\)",
        ),
        (per_document(lambda tokens: [["x"]]), {}, "arrays of numbers, got list"),
        (per_document(lambda tokens: np.full((len(tokens), 2), np.nan)), {}, "finite .*got NaN"),
        (per_document(lambda tokens: np.ones((len(tokens), 2))), {}, "encoder must tell tokens"),
    ],
)
def test_refusals(encoder, settings, message):
    with pytest.raises(ValueError, match=message):
        WordVectors.from_context(encoder, TOKENS, **settings)


@pytest.mark.parametrize(
    ("documents", "settings", "message"),
    [
        ("a good film", {}, "documents must be an iterable of documents, got str"),
        (3, {}, "documents must be an iterable of documents, got int"),
        ([], {}, "at least 2 distinct tokens, got 0 in 0 documents"),
        (["", ""], {"analyzer": str.split}, "at least 2 distinct tokens, got 0 in 2 documents"),
        ([["a", "a"]], {}, "at least 2 distinct tokens, got 1 in 1 documents"),
        ({1: ["a"], 2: ["b"]}, {}, r"got dict\. Pass list\(documents\.values\(\)\)"),
        (Counter(["a b", "c d"]), {"analyzer": str.split}, r"got Counter\. Pass list"),
        ({"a b", "c d"}, {"analyzer": str.split}, r"got set\. Pass a list"),
        ([["a", "b"], {"a": 1}], {}, "row 1: documents must be lists of tokens .*got dict"),
        ([["a", "b"], {"a"}], {}, "row 1: documents must be lists of tokens .*got set"),
        (["a", "b"], {}, "row 0: documents must be lists of tokens .*got str. .*pass the vector"),
        ([["a"], 3], {}, "row 1: documents must be lists of tokens .*got int"),
        ([["a"], [["b"]]], {}, "row 1: unhashable"),
        ([["a"], ["b", 3]], {}, r"the tokens of documents must be strings, got 3 \(int\)"),
        (
            ["a film", None],
            {"analyzer": TextVectorizerTransformer()},
            "row 1: Documents must be strings .*got None",
        ),
        (pd.DataFrame({"a": ["x"], "b": ["y"]}), {"analyzer": str.split}, r"got shape \(1, 2\)"),
        (np.array("a b"), {"analyzer": str.split}, r"got shape \(\)"),
    ],
)
def test_refused_documents(documents, settings, message):
    with pytest.raises(ValueError, match=message):
        WordVectors.from_context(encoder(), documents, **settings)


def test_parameters_are_checked_before_documents_are_read():
    documents = iter(TOKENS)
    for settings in ({"layer": 2}, {"batch_size": 0}, {"analyzer": 3}):
        with pytest.raises(ValueError, match=next(iter(settings))):
            WordVectors.from_context(encoder(), documents, **settings)
    assert next(documents) == TOKENS[0]


def test_missing_sentence_transformers(monkeypatch):
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(ImportError, match=r"encoder='x/y' needs .*sklearn-textcnn\[encoder\]"):
        WordVectors.from_context("x/y", TOKENS)


# Models of transformers, tiny and with random weights

PIECES = "[PAD] [UNK] [CLS] [SEP] [MASK] a good film bad so , . not ##s ##er one wo ##rd".split()
MORE = [
    *TOKENS,
    ["films", "gooder", "word", "films", "."],
    ["nothing", "known", "here", "!"],
    ["\ufe0f", "good", "\u200b", "film"],
]
N_LAYERS = 3


@pytest.fixture(scope="module")
def transformers():
    pytest.importorskip("torch")
    return pytest.importorskip("transformers")


@pytest.fixture(scope="module")
def folder(transformers, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokenizer")
    (folder / "vocab.txt").write_text("\n".join(PIECES), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def tokenizer(transformers, folder):
    return transformers.BertTokenizerFast.from_pretrained(folder)


def make_model(transformers, kind="Bert", **settings):
    import torch

    torch.manual_seed(0)
    settings = {
        "vocab_size": len(PIECES),
        "hidden_size": 8,
        "num_hidden_layers": N_LAYERS,
        "num_attention_heads": 2,
        "intermediate_size": 16,
        "max_position_embeddings": 24,
        "initializer_range": 0.5,
        **settings,
    }
    config = getattr(transformers, f"{kind}Config")(**settings)
    return getattr(transformers, f"{kind}Model")(config).eval()


@pytest.fixture
def model(transformers):
    return make_model(transformers)


def read_by_words(model, tokenizer, layer):
    """What a layer makes of pre-split words, one document at a time and without padding."""
    import torch

    def read(tokens):
        inputs = tokenizer(tokens, is_split_into_words=True, return_tensors="pt")
        with torch.no_grad():
            states = model(**inputs, output_hidden_states=True).hidden_states[layer][0].numpy()
        words = np.array([-1 if word is None else word for word in inputs.word_ids()])
        return [states[words == i].mean(axis=0) for i in range(len(tokens))]

    return read


def with_something_in_every_place(documents):
    """The tokenizer makes nothing of an invisible character: it is to be read as unknown."""
    invisible = {"\ufe0f": "unknown0", "\u200b": "unknown1"}
    return [[invisible.get(token, token) for token in tokens] for tokens in documents]


@pytest.mark.parametrize("batch_size", [10, 4096])
@pytest.mark.parametrize("layer", [0, 1, 2, 3])
def test_a_model_reads_words_in_pieces(model, tokenizer, layer, batch_size):
    vectors = WordVectors.from_context((model, tokenizer), MORE, layer=layer, batch_size=batch_size)
    read = read_by_words(model, tokenizer, layer)
    assert_holds(vectors, means(read, with_something_in_every_place(MORE)), atol=1e-4)


def test_a_token_is_the_mean_of_its_pieces(model, tokenizer):
    # Normalising hides this from the vectors: a token has as many pieces everywhere.
    documents = [["a", "films", "gooder"], ["word"]]
    tokens = ["a", "films", "gooder", "word"]
    reader = reader_for((model, tokenizer), 2, None)
    assert reader.prepare(tokens).tolist() == [1, 2, 2, 2]
    states = reader.read([np.array([0, 1, 2]), np.array([3])])
    read = read_by_words(model, tokenizer, 2)
    expected = [state for document in documents for state in read(document)]
    np.testing.assert_allclose(states, expected, atol=1e-5)


def test_the_default_layer_is_half_way(transformers, model, tokenizer):
    def from_context(model, **settings):
        return WordVectors.from_context((model, tokenizer), MORE, **settings)

    assert from_context(model) == from_context(model, layer=2)
    flat = make_model(transformers, num_hidden_layers=1)
    assert from_context(flat) == from_context(flat, layer=1)


def test_later_layers_are_not_computed(model, tokenizer):
    calls = []
    for i, layer in enumerate(model.encoder.layer):
        layer.register_forward_hook(lambda *_, i=i: calls.append(i))
    WordVectors.from_context((model, tokenizer), MORE, layer=1)
    assert set(calls) == {0}


def test_a_model_stays_as_it_was(model, tokenizer):
    import torch

    def snapshot():
        return {
            "training": [module.training for module in model.modules()],
            "hooks": [len(module._forward_pre_hooks) for module in model.modules()],
            "modules": list(model.modules()),
            "gradients": [weight.requires_grad for weight in model.parameters()],
            "config": model.config.to_dict(),
        }

    model.train()
    model.encoder.layer[1].eval()
    weights = {name: weight.clone() for name, weight in model.state_dict().items()}
    before = snapshot()
    for layer in (1, 3):
        vectors = WordVectors.from_context((model, tokenizer), MORE, layer=layer)
        assert snapshot() == before
        # in training mode dropout would have changed the states
        read = read_by_words(model.eval(), tokenizer, layer)
        assert_holds(vectors, means(read, with_something_in_every_place(MORE)), atol=1e-4)
        model.train()
        model.encoder.layer[1].eval()
    assert all(torch.equal(weights[name], weight) for name, weight in model.state_dict().items())

    def fail(*_):
        raise RuntimeError("out of memory")

    handle = model.encoder.layer[0].register_forward_hook(fail)
    with pytest.raises(RuntimeError, match="out of memory"):
        WordVectors.from_context((model, tokenizer), MORE, layer=1)
    handle.remove()
    assert snapshot() == before


@pytest.mark.parametrize("kind", ["Albert", "Roberta", "DistilBert"])
def test_models_are_built_in_different_ways(transformers, tokenizer, kind):
    settings = {
        # the same layer several times: it cannot be stopped at one of them
        "Albert": {"embedding_size": 8},
        # its positions begin behind the id of padding, and depend on it
        "Roberta": {"pad_token_id": 0},
        # its settings have names of their own
        "DistilBert": {"dim": 8, "n_layers": N_LAYERS, "n_heads": 2, "hidden_dim": 16},
    }[kind]
    model = make_model(transformers, kind, **settings)
    documents = [tokens for tokens in TOKENS if tokens]
    vectors = WordVectors.from_context((model, tokenizer), documents, layer=2)
    states = means(read_by_words(model, tokenizer, 2), documents)
    assert_holds(vectors, states, atol=1e-4)


def test_the_encoder_of_an_encoder_and_decoder_is_taken(transformers, tokenizer):
    import torch

    torch.manual_seed(0)
    config = transformers.T5Config(
        vocab_size=len(PIECES), d_model=8, d_ff=16, d_kv=4, num_layers=3, num_heads=2
    )
    model = transformers.T5Model(config).eval()
    vectors = WordVectors.from_context((model, tokenizer), TOKENS, layer=2)
    read = read_by_words(model.encoder, tokenizer, 2)
    tokenizer_inputs = tokenizer.model_input_names
    tokenizer.model_input_names = ["input_ids", "attention_mask"]
    try:
        assert_holds(vectors, means(read, TOKENS), atol=1e-4)
    finally:
        tokenizer.model_input_names = tokenizer_inputs


@pytest.mark.parametrize("window", [None, 7])
def test_a_model_reads_all_of_a_long_document(model, tokenizer, window):
    words = ["good", "films", "word", ",", "gooder", "so"]
    documents = [[words[(i * i) % 6] for i in range(60)], ["a", "good", "film"], ["so"] * 50]
    vectors = WordVectors.from_context((model, tokenizer), documents, window=window)
    windows, longest = [], window or 20  # 24 positions, two special pieces, two for RoBERTa
    for tokens in documents:
        windows.append([])
        room = longest
        for token in tokens:
            size = len(tokenizer(token, add_special_tokens=False)["input_ids"])
            if size > room:
                windows.append([])
                room = longest
            windows[-1].append(token)
            room -= size
    assert max(map(len, windows)) <= longest
    assert_holds(vectors, means(read_by_words(model, tokenizer, 2), windows), atol=1e-4)


def test_a_token_longer_than_a_window_is_cut(model, tokenizer):
    long, other = "a" + "s" * 50, "a" + "s" * 19
    vectors = WordVectors.from_context((model, tokenizer), [["so", long, "film"], [other, "bad"]])
    rows, _ = vectors.lookup([long, other])
    assert np.isfinite(rows).all()
    np.testing.assert_allclose(rows[0], rows[1], atol=1e-5)


def test_the_window_is_no_longer_than_what_a_tokenizer_says(transformers, model, folder):
    tokenizer = transformers.BertTokenizerFast.from_pretrained(folder, model_max_length=10)
    documents = [["a", "good", "film", "so", "bad"] * 5]
    vectors = WordVectors.from_context((model, tokenizer), documents)
    assert vectors == WordVectors.from_context((model, tokenizer), documents, window=8)
    with pytest.raises(ValueError, match=r"window must not exceed the 8 word pieces .*got 9"):
        WordVectors.from_context((model, tokenizer), documents, window=9)


def test_odd_characters_have_finite_vectors(model, tokenizer):
    odd = ["", " ", "\x00", "\ufe0f", "\u200d", "\ud83d", "\U0001f600", "\ufffd"]
    rows, _ = WordVectors.from_context((model, tokenizer), [["good", *odd, "film"]]).lookup(odd)
    assert np.isfinite(rows).all()
    together = WordVectors.from_context((model, tokenizer), [["a", "\ufe0f"], ["a", "zzz"], ["so"]])
    rows, _ = together.lookup(["\ufe0f", "zzz"])
    np.testing.assert_allclose(rows[0], rows[1], atol=1e-5)


def test_half_precision(model, tokenizer):
    import torch

    model.bfloat16()
    rows, _ = WordVectors.from_context((model, tokenizer), MORE).lookup(DISTINCT)
    assert rows.dtype == np.float32
    assert np.isfinite(rows).all()
    assert next(model.parameters()).dtype == torch.bfloat16


def test_sentence_transformers(transformers, model, tokenizer, folder, tmp_path):
    sentence_transformers = pytest.importorskip("sentence_transformers")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # 6 has them elsewhere
        from sentence_transformers.models import Pooling, StaticEmbedding, Transformer

    model.save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    transformer = Transformer(str(tmp_path / "model"), max_seq_length=12)
    sentences = sentence_transformers.SentenceTransformer(
        modules=[transformer, Pooling(8)], device="cpu"
    )
    vectors = WordVectors.from_context(sentences, MORE)
    assert vectors == WordVectors.from_context((model, tokenizer), MORE, window=10)
    sentences.save(str(tmp_path / "sentences"))
    assert WordVectors.from_context(tmp_path / "sentences", MORE) == vectors
    with pytest.raises(ValueError, match=r"window must not exceed the 10 .*got 11"):
        WordVectors.from_context(sentences, MORE, window=11)
    static = StaticEmbedding(tokenizer.backend_tokenizer, embedding_dim=4)
    static = sentence_transformers.SentenceTransformer(modules=[static], device="cpu")
    with pytest.raises(ValueError, match=r"around a transformers model.*got SentenceTransformer"):
        WordVectors.from_context(static, MORE)


@pytest.mark.parametrize("layer", [-1, 4, 1.0, True, "middle"])
def test_refused_layers(model, tokenizer, layer):
    message = f"layer must be a whole number from 0, .*to 3, .*got {layer!r}"
    with pytest.raises(ValueError, match=message):
        WordVectors.from_context((model, tokenizer), TOKENS, layer=layer)


def test_refused_models(model, tokenizer):
    with pytest.raises(ValueError, match=r"got BertModel alone. Pass \(model, tokenizer\)"):
        WordVectors.from_context(model, TOKENS)
    with pytest.raises(ValueError, match=r"got \(BertTokenizer\w*, BertModel\)"):
        WordVectors.from_context((tokenizer, model), TOKENS)
