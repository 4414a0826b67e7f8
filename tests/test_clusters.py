"""Searches and predictions on a cluster: Dask's scheduler with two worker processes.

A worker that is lost is lost for good, or its nanny starts another in its place. Which fits ran on
which worker, and how often, must not be seen in what comes out. What is needed for that, the
documents and the rows of each split on both workers, is what the page "Scaling out" says.
"""

import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path
from uuid import uuid4

import joblib
import numpy as np
import pandas as pd
import pytest
from corpora import topic_texts
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.model_selection import (
    GridSearchCV,
    HalvingRandomSearchCV,
    StratifiedKFold,
    cross_val_score,
)
from sklearn.pipeline import make_pipeline

from sklearn_textcnn import TextCNNClassifier, TextVectorizerTransformer

pytest.importorskip("distributed")
from dask import bag
from distributed import Client, LocalCluster

ROOT = Path(__file__).parents[1]
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
RATES = {"textcnnclassifier__learning_rate": [0.001, 0.003, 0.01, 0.03]}


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


@pytest.fixture(scope="module")
def nannies(tmp_path_factory):
    """A client of two workers, each with a nanny that starts another if it dies."""
    folder = str(tmp_path_factory.mktemp("workers"))
    options = {"n_workers": 2, "threads_per_worker": 1, "local_directory": folder}
    with LocalCluster(dashboard_address=None, **options) as cluster, Client(cluster) as client:
        client.amm.stop()
        yield client


@pytest.fixture
def machines(tmp_path):
    """A client of two workers that nobody starts again."""
    options = "--no-nanny --nthreads 1 --no-dashboard --local-directory".split()
    options.append(str(tmp_path / "workers"))
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    workers = []
    with LocalCluster(n_workers=0, dashboard_address=None) as cluster, Client(cluster) as client:
        client.amm.stop()
        command = [sys.executable, "-m", "distributed.cli.dask_worker", client.scheduler.address]
        try:
            for _ in range(2):
                workers.append(
                    subprocess.Popen(
                        [*command, *options], env=environment, stderr=subprocess.DEVNULL
                    )
                )
            yield client
        finally:
            for worker in workers:
                worker.kill()
                worker.wait(timeout=30)


def two_pids(client):
    client.wait_for_workers(2, timeout=60)
    return pids(client)


def pids(client):
    return set(client.run(os.getpid).values())


def scorer(folder, last):
    """Accuracy. The worker that works out the `last` of so many scores dies instead, once."""
    here = os.getpid()

    def accuracy(model, texts, labels):
        score = model.score(texts, labels)
        if len(list(folder.iterdir())) + 1 >= last and os.getpid() != here:
            try:
                (folder / "killed").touch(exist_ok=False)
            except FileExistsError:
                pass
            else:
                (folder / "killed").write_text(str(os.getpid()))
                os.kill(os.getpid(), signal.SIGKILL)
        (folder / uuid4().hex).touch()
        return score

    return accuracy


SPLITS = list(StratifiedKFold(3, shuffle=True, random_state=0).split(TEXTS, LABELS))
TO_ALL = [TEXTS, LABELS, *(rows for split in SPLITS for rows in split)]


def search_of(kind):
    # the second round of halving has 120 documents, so few that their rows go with each fit
    halving = partial(HalvingRandomSearchCV, n_candidates=4, min_resources=60, factor=2)
    options = {"refit": False, "scoring": "accuracy"}
    if kind == "grid":
        return GridSearchCV(pipeline(linear_ngrams=0), RATES, cv=SPLITS, **options)
    options |= {"max_resources": 120, "random_state": 0}
    return halving(pipeline(linear_ngrams=0), RATES, cv=StratifiedKFold(3), **options)


def split_scores(search):
    results = search.cv_results_
    return np.array([results[f"split{i}_test_score"] for i in range(search.n_splits_)])


needs_kill = pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")


@pytest.mark.slow
@needs_kill
@pytest.mark.parametrize(
    ("kind", "cluster"), [("grid", "nannies"), ("grid", "machines"), ("halving", "nannies")]
)
def test_a_search_that_loses_a_worker(kind, cluster, tmp_path, request):
    serial = search_of(kind).fit(TEXTS, LABELS)
    assert len(np.unique(split_scores(serial))) > 3
    client = request.getfixturevalue(cluster)
    before = two_pids(client)
    seen = tmp_path / "seen"
    seen.mkdir()
    search = search_of(kind).set_params(scoring=scorer(seen, 6))
    with joblib.parallel_config("dask", client=client, scatter=TO_ALL):
        search.fit(TEXTS, LABELS)
    killed = int((seen / "killed").read_text())
    assert killed in before
    assert killed not in pids(client)
    np.testing.assert_array_equal(split_scores(search), split_scores(serial))
    assert search.best_params_ == serial.best_params_


@pytest.mark.slow
@needs_kill
def test_scores_of_both_parts_with_a_lost_worker(model, nannies, tmp_path):
    serial = cross_val_score(model, TEXTS, LABELS, cv=SPLITS)
    assert len(np.unique(serial)) > 1
    two_pids(nannies)
    with joblib.parallel_config("dask", client=nannies, scatter=TO_ALL):
        scores = cross_val_score(model, TEXTS, LABELS, cv=SPLITS, scoring=scorer(tmp_path, 2))
    np.testing.assert_array_equal(scores, serial)
    assert (tmp_path / "killed").exists()


@pytest.mark.slow
@needs_kill
def test_partitions_of_a_bag_with_a_lost_worker(model, nannies, tmp_path):
    two_pids(nannies)
    killer = scorer(tmp_path, 2)

    def of_part(texts):
        texts = list(texts)
        killer(model, texts, ["sport"] * len(texts))
        return answers(model, texts)

    documents = bag.from_sequence(NEW_TEXTS, npartitions=4)
    found = documents.map_partitions(of_part).compute(scheduler=nannies)
    assert found == model.predict(NEW_TEXTS).tolist()
    assert (tmp_path / "killed").exists()
