"""Ids of a known vocabulary may have any number of columns; nothing else may stand beside ids."""

import numpy as np
import pandas as pd
import pytest
from classifiers import CLASSES, IDS, NEW_CLASSES, NEW_IDS, small
from sklearn.compose import ColumnTransformer
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.pipeline import make_pipeline

from sklearn_textcnn import (
    NgramLinearClassifier,
    TextCNNClassifier,
    TextVectorizerTransformer,
    TokenIds,
)

VOCABULARY = tuple(f"w{i}" for i in range(48))
TINY = {"epochs": 1, "filters": 2, "embedding_dim": 2, "random_state": 0}
SPACES = {"vocabulary": {"vocabulary": VOCABULARY}, "hashed": {"n_ids": 50}}


def wider(ids, n=5):
    return np.pad(np.asarray(ids), ((0, 0), (0, n)))


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("classifier", [small(), NgramLinearClassifier(random_state=0)])
def test_wider_and_narrower_ids_of_the_same_space(classifier, space):
    def ids_of(array):
        return TokenIds(array, **SPACES[space])

    classifier.fit(ids_of(IDS), CLASSES)
    width = IDS.shape[1]
    assert classifier.n_features_in_ == width
    expected = classifier.predict_proba(NEW_IDS)
    np.testing.assert_array_equal(classifier.predict_proba(ids_of(wider(NEW_IDS))), expected)
    # words beyond the width of the training documents are read
    longer = wider(NEW_IDS)
    longer[:, width:] = NEW_IDS[::-1, :5]
    assert not np.allclose(classifier.predict_proba(ids_of(longer)), expected, atol=1e-3)
    cut = NEW_IDS[:, : width - 3]
    np.testing.assert_array_equal(
        classifier.predict_proba(ids_of(cut)), classifier.predict_proba(wider(cut, 3))
    )
    for other in (wider(NEW_IDS), cut):  # of which nobody knows what their ids mean
        with pytest.raises(ValueError, match=f"expecting {width} features"):
            classifier.predict(other)


def test_going_on_and_validating_with_another_width():
    ids, longer = (TokenIds(array, VOCABULARY) for array in (IDS, wider(IDS)))
    new = TokenIds(wider(NEW_IDS, 7), VOCABULARY)
    same, other = (small(linear_ngrams=0) for _ in range(2))
    same.fit(ids, CLASSES, X_val=TokenIds(NEW_IDS, VOCABULARY), y_val=NEW_CLASSES)
    other.fit(ids, CLASSES, X_val=new, y_val=NEW_CLASSES)
    assert same.history_ == other.history_
    same.partial_fit(ids, CLASSES)
    other.partial_fit(longer, CLASSES)
    np.testing.assert_array_equal(same.predict_proba(ids), other.predict_proba(ids))


def test_a_pipeline_reads_what_is_longer_than_every_training_document():
    texts = ["great", "awful", "really great", "really awful"] * 10
    model = make_pipeline(
        TextVectorizerTransformer(), TextCNNClassifier(filters=8, epochs=10, random_state=0)
    ).fit(texts, ["pos", "neg"] * 20)
    new = ["I think it was great", "I think it was awful"]
    assert model.predict(new).tolist() == ["pos", "neg"]
    cut = ["I think it was", "I think it was"]
    assert not np.allclose(model.predict_proba(new), model.predict_proba(cut), atol=1e-3)


FRAME = pd.DataFrame(
    {"text": ["great film", "great day", "awful film", "awful day"] * 3, "stars": [5, 4, 2, 1] * 3}
)


def test_columns_of_numbers_beside_those_of_tokens():
    columns = ColumnTransformer(
        [("ids", TextVectorizerTransformer(max_length=4), "text")], remainder="passthrough"
    ).set_output(transform="pandas")
    frame = columns.fit_transform(FRAME)
    assert [*frame.columns[:2], frame.columns[-1]] == [
        "ids__token_0", "ids__token_1", "remainder__stars"]  # fmt: skip
    y = [1, 1, 0, 0] * 3
    for classifier in (TextCNNClassifier(**TINY), NgramLinearClassifier()):
        with pytest.raises(ValueError, match=r"'remainder__stars' beside token ids: .*Stacking"):
            classifier.fit(frame, y)
        classifier.fit(frame.iloc[:, :-1], y)


def test_columns_named_like_words_are_counts():
    counter = CountVectorizer()
    counts = counter.fit_transform(FRAME["text"]).toarray()
    frame = pd.DataFrame(counts, columns=counter.get_feature_names_out())
    with pytest.raises(ValueError, match=r"'awful' and 'day'.* TextVectorizerTransformer"):
        TextCNNClassifier(**TINY).fit(frame, [1, 1, 0, 0] * 3)
    TextCNNClassifier(**TINY).fit(frame.to_numpy(), [1, 1, 0, 0] * 3)
    numbered = frame.rename(columns={name: f"place {i}" for i, name in enumerate(frame)})
    TextCNNClassifier(**TINY).fit(numbered, [1, 1, 0, 0] * 3)
