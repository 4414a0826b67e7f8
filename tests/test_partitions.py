"""Predictions of the partitions of dask.bag and dask.dataframe.

Searches on real clusters, with workers that die, are in `lost_workers`.
"""

from functools import partial

import numpy as np
import pandas as pd
import pytest
from corpora import topic_texts
from sklearn.pipeline import make_pipeline

from sklearn_textcnn import TextCNNClassifier, TextVectorizerTransformer

pytest.importorskip("distributed")
from dask import bag

# So many that joblib sends the rows of a split to a worker by themselves, as it does from 1 kB on.
TEXTS, LABELS = topic_texts(240)
LABELS[::7] = "sport"  # so that the scores are not all the same
NEW_TEXTS, _ = topic_texts(60, seed=1)
SMALL = {
    "embedding_dim": 8,
    "kernel_sizes": (1, 2),
    "filters": 8,
    "epochs": 4,
    "batch_size": 16,
    "learning_rate": 0.03,
    "random_state": 0,
}


def pipeline(**parameters):
    return make_pipeline(TextVectorizerTransformer(), TextCNNClassifier(**SMALL | parameters))


@pytest.fixture(scope="module")
def model():
    return pipeline().fit(TEXTS, LABELS)


def answers(model, texts):
    """What a partition is asked: any iterable of texts, an empty one as well."""
    texts = list(texts)
    return model.predict(texts).tolist() if texts else []


# 7 partitions of 60 documents; threads: one model for all of them at the same time
@pytest.mark.parametrize("scheduler", ["threads", "synchronous"])
def test_partitions_of_a_bag(model, scheduler):
    documents = bag.from_sequence(NEW_TEXTS, npartitions=7)
    found = documents.map_partitions(partial(answers, model)).compute(scheduler=scheduler)
    assert found == model.predict(NEW_TEXTS).tolist()


def test_partitions_of_a_bag_that_a_filter_has_emptied(model):
    short = [text for text in NEW_TEXTS if len(text) < 25]
    assert 0 < len(short) < 30
    in_order = sorted(NEW_TEXTS, key=len)  # so that the last partitions lose all of theirs
    documents = bag.from_sequence(in_order, npartitions=7).filter(lambda text: len(text) < 25)
    found = documents.map_partitions(partial(answers, model)).compute(scheduler="threads")
    assert found == model.predict(sorted(short, key=len)).tolist()


def test_partitions_of_a_frame(model):
    pytest.importorskip("pyarrow")
    import dask.dataframe as dd

    frame = pd.DataFrame({"text": NEW_TEXTS}, index=np.arange(60)[::-1])
    partitions = dd.from_pandas(frame, npartitions=4, sort=False)

    def label(part):
        return pd.Series(answers(model, part["text"]), index=part.index, dtype=object)

    labels = partitions.map_partitions(label, meta=(None, object))
    expected = pd.Series(model.predict(NEW_TEXTS), index=frame.index, dtype=object)
    pd.testing.assert_series_equal(labels.compute(scheduler="threads"), expected)
    kept = partitions[partitions["text"].str.len() < 25]
    found = kept.map_partitions(label, meta=(None, object)).compute(scheduler="threads")
    pd.testing.assert_series_equal(found, expected[frame["text"].str.len() < 25])
