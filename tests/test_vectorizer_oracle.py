"""What scikit-learn's tests ask of `CountVectorizer`, asked of `TextVectorizerTransformer`.

Tokens themselves are compared in `test_vectorizer.py`; here are real text, frequencies, limits of
frequency, and what one does with a vectorizer.
"""

import pickle
import unicodedata
from collections import Counter

import numpy as np
import pytest
from corpora import topic_texts
from numpy.testing import assert_array_equal
from scipy.sparse import csr_array
from sklearn.base import clone
from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS, CountVectorizer
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline

from sklearn_textcnn import NgramLinearClassifier, TextVectorizerTransformer
from sklearn_textcnn.datasets import load_docstrings

COUNT_VECTORIZER_PATTERN = r"(?u)\b\w\w+\b"
DEFAULT_PATTERN = TextVectorizerTransformer().token_pattern
RUSSIAN = [
    "Машинное обучение — обширный подраздел искусственного интеллекта,",
    "изучающий методы построения алгоритмов, способных обучаться.",
    "Обучение бывает разным; обучение не бывает лишним!",
]


@pytest.fixture(scope="module")
def real_texts():
    """Paragraphs of documentation: real words, code, punctuation, a few letters with accents."""
    return load_docstrings(["joblib", "tqdm"], shuffle=False).data + RUSSIAN


def counts_of(ids, vocabulary):
    """How often each token of the vocabulary stands in each document."""
    ids = np.asarray(ids)
    rows, columns = np.nonzero(ids > 1)
    values = np.ones(len(rows), dtype=int), (rows, ids[rows, columns] - 2)
    return csr_array(values, shape=(len(ids), len(vocabulary))).toarray()


def both(texts, **params):
    """Our counts and theirs, with the same order of columns, and the names of these."""
    ours, theirs = TextVectorizerTransformer(max_length=None, **params), CountVectorizer(**params)
    counts = counts_of(ours.fit_transform(texts), ours.vocabulary_)
    their_counts = theirs.fit_transform(texts).toarray()
    assert set(ours.vocabulary_) == set(theirs.vocabulary_)
    names = list(ours.vocabulary_)
    return counts, their_counts[:, [theirs.vocabulary_[name] for name in names]], names


@pytest.mark.parametrize("lowercase", [True, False])
@pytest.mark.parametrize("pattern", [DEFAULT_PATTERN, COUNT_VECTORIZER_PATTERN, r"\w+", r"\S+"])
def test_counts_and_document_frequencies_on_real_text(real_texts, pattern, lowercase):
    ours, theirs, _ = both(real_texts, token_pattern=pattern, lowercase=lowercase)
    assert min(ours.shape) > 300
    assert_array_equal(ours, theirs)
    assert_array_equal((ours > 0).sum(axis=0), (theirs > 0).sum(axis=0))


@pytest.mark.parametrize("analyzer", ["char", "char_wb"])
def test_counts_of_characters_on_real_text(real_texts, analyzer):
    ours, theirs, _ = both(real_texts, analyzer=analyzer)
    assert_array_equal(ours, theirs)


@pytest.mark.parametrize("min_df", [1, 2, 7, 0.01])
@pytest.mark.parametrize("max_df", [1.0, 0.3, 0.005, 40])
def test_limits_of_document_frequency_keep_the_same_tokens(real_texts, min_df, max_df):
    params = {"min_df": min_df, "max_df": max_df, "token_pattern": COUNT_VECTORIZER_PATTERN}
    ours, theirs = TextVectorizerTransformer(**params), CountVectorizer(**params)
    try:
        expected = set(theirs.fit(real_texts).vocabulary_)
    except ValueError:  # there are none
        with pytest.raises(ValueError, match=r"min_df=.* max_df="):
            ours.fit(real_texts)
    else:
        assert set(ours.fit(real_texts).vocabulary_) == expected


@pytest.mark.parametrize("n_tokens", [1, 3, 50])
def test_the_most_frequent_tokens_are_kept(real_texts, n_tokens):
    params = {"max_features": n_tokens, "token_pattern": COUNT_VECTORIZER_PATTERN}
    ours = TextVectorizerTransformer(max_length=None, **params).fit(real_texts)
    theirs = CountVectorizer(**params)
    their_totals = np.sort(np.ravel(theirs.fit_transform(real_texts).sum(axis=0)))[::-1]
    totals = counts_of(ours.transform(real_texts), ours.vocabulary_).sum(axis=0)
    # in falling order, and whichever of equally frequent ones are the last
    assert_array_equal(totals, their_totals)


def test_tokens_that_are_not_in_the_vocabulary_are_counted_as_unknown(real_texts):
    train, new = real_texts[::2], real_texts[1::2]
    ours = TextVectorizerTransformer(token_pattern=COUNT_VECTORIZER_PATTERN, min_df=3).fit(train)
    theirs = CountVectorizer(vocabulary=list(ours.vocabulary_))
    ids, analyze = np.asarray(ours.transform(new)), theirs.build_analyzer()
    assert_array_equal(counts_of(ids, ours.vocabulary_), theirs.transform(new).toarray())
    n_tokens = np.array([len(analyze(text)) for text in new])
    assert_array_equal(
        (ids == 1).sum(axis=1), n_tokens - np.ravel(theirs.transform(new).sum(axis=1))
    )
    assert (ids == 1).any()


def test_a_vocabulary_of_theirs_counts_as_theirs(real_texts):
    theirs = CountVectorizer(token_pattern=DEFAULT_PATTERN, max_features=200).fit(real_texts)
    names = theirs.get_feature_names_out()
    ours = TextVectorizerTransformer(vocabulary=names)
    assert_array_equal(
        counts_of(ours.transform(real_texts), names), theirs.transform(real_texts).toarray()
    )


def test_accents_of_every_letter_are_stripped_as_theirs():
    letters = [chr(code) for code in range(0x20, 0x3100) if unicodedata.category(chr(code)) != "Cs"]
    text = "|".join(letters)
    for form in ("unicode", "ascii"):
        for lowercase in (True, False):
            params = {"analyzer": "char", "strip_accents": form, "lowercase": lowercase}
            ours = TextVectorizerTransformer(**params).build_analyzer()
            assert list(ours(text)) == CountVectorizer(**params).build_analyzer()(text)


def test_stop_words_are_theirs_and_nothing_else_goes(real_texts):
    without = TextVectorizerTransformer(stop_words="english", max_length=None).fit(real_texts)
    whole = TextVectorizerTransformer(max_length=None).fit(real_texts)
    assert whole.vocabulary_.keys() - without.vocabulary_ == ENGLISH_STOP_WORDS & set(
        whole.vocabulary_
    )
    kept = [token for token in whole.vocabulary_ if token not in ENGLISH_STOP_WORDS]
    assert list(without.vocabulary_) == kept


def test_what_comes_back_has_the_same_tokens(real_texts):
    ours = TextVectorizerTransformer()
    ids = ours.fit_transform(real_texts)
    back = ours.inverse_transform(ids)
    expected = [Counter(ours.build_analyzer()(text)) for text in real_texts]
    assert [Counter(tokens.tolist()) for tokens in back] == expected
    # and read again, token by token, it gives the same ids
    again = TextVectorizerTransformer(analyzer=list)
    assert_array_equal(again.fit_transform(back), ids)
    assert again.vocabulary_ == ours.vocabulary_


def test_a_text_in_cyrillic_letters():
    """The words of one sentence are found wherever else they stand, in any case."""
    ours = TextVectorizerTransformer(token_pattern=COUNT_VECTORIZER_PATTERN)
    ids = np.asarray(ours.fit_transform(RUSSIAN))
    learning = ours.vocabulary_["обучение"]
    assert (ids == learning).sum(axis=1).tolist() == [1, 0, 2]
    assert learning == 2  # the most frequent one
    hashed = TextVectorizerTransformer(hash_buckets=2**20, token_pattern=COUNT_VECTORIZER_PATTERN)
    hashes = np.asarray(hashed.transform(RUSSIAN))
    assert hashes[0, 1] == hashes[2, 0] == hashes[2, 3]
    assert len(np.unique(hashes)) == len(np.unique(ids))


@pytest.mark.parametrize("vocabulary", [{"pizza", "beer", "tea"}, {"tea": 3, "beer": 2}])
def test_a_vocabulary_has_one_order_before_and_after_pickling_and_cloning(vocabulary):
    ours = TextVectorizerTransformer(vocabulary=vocabulary, max_length=4)
    ids = ours.transform(["tea beer pizza tea"])
    for other in (pickle.loads(pickle.dumps(ours)), clone(ours), clone(ours).fit(["beer"])):
        assert_array_equal(other.transform(["tea beer pizza tea"]), ids)
        assert other.transform([""]).vocabulary == ids.vocabulary


@pytest.mark.parametrize(
    "params", [{}, {"analyzer": "char_wb"}, {"stop_words": "english", "strip_accents": "unicode"}]
)
def test_a_pickled_analyzer_does_not_need_its_vectorizer(params):
    analyze = TextVectorizerTransformer(**params).build_analyzer()
    copied = pickle.loads(pickle.dumps(analyze))
    text = "The déjà-vu of A ROSE, is a rose!"
    assert list(copied(text)) == list(analyze(text))
    assert "".join(copied("rose")).strip() == "rose"


def test_an_analyzer_is_there_before_fit_and_follows_the_parameters():
    ours = TextVectorizerTransformer()
    assert ours.build_analyzer()("A Rose") == ["a", "rose"]
    assert ours.set_params(lowercase=False).build_analyzer()("A Rose") == ["A", "Rose"]
    assert not hasattr(ours, "vocabulary_")


def pipeline(**params):
    return make_pipeline(TextVectorizerTransformer(**params), NgramLinearClassifier(random_state=0))


def test_parameters_of_the_vectorizer_are_found_by_a_search():
    """Among settings that blot out what tells the classes apart."""
    texts, _ = topic_texts(90)
    texts = [text.upper() if i % 2 else text for i, text in enumerate(texts)]
    labels = np.where(np.arange(90) % 2, "shouted", "said")
    grid = {
        "textvectorizertransformer__lowercase": [True, False],
        "textvectorizertransformer__max_features": [1, None],
    }
    search = GridSearchCV(pipeline(), grid, cv=2).fit(texts, labels)
    best = {name.split("__")[1]: value for name, value in search.best_params_.items()}
    assert best == {"lowercase": False, "max_features": None}
    assert search.best_score_ > 0.95
    assert {"butter", "BUTTER"} <= search.best_estimator_[0].vocabulary_.keys()


def test_every_fold_learns_a_vocabulary_of_its_own():
    texts, labels = topic_texts(90)
    scores = cross_val_score(pipeline(), texts, labels, cv=3)
    assert scores.min() > 0.95
    # what is only in documents that are left out stays unknown
    ours = TextVectorizerTransformer().fit(["pizza and beer"])
    assert np.asarray(ours.transform(["pizza and tea"])).tolist() == [
        [ours.vocabulary_["pizza"], ours.vocabulary_["and"], 1]
    ]
