"""Searches on Dask's scheduler with two worker processes, one of which is killed.

    pytest -n 0 tests/lost_workers.py

Only called by name: now and then Dask itself waits for ever when documents are sent to workers of
which one has been replaced.

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
import pytest
from dask import bag
from distributed import Client, LocalCluster
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.model_selection import (
    GridSearchCV,
    HalvingRandomSearchCV,
    StratifiedKFold,
    cross_val_score,
)
from test_partitions import LABELS, NEW_TEXTS, TEXTS, answers, pipeline

ROOT = Path(__file__).parents[1]
RATES = {"textcnnclassifier__learning_rate": [0.001, 0.003, 0.01, 0.03]}


@pytest.fixture(scope="module")
def model():
    return pipeline().fit(TEXTS, LABELS)


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


@needs_kill
def test_scores_of_both_parts_with_a_lost_worker(model, nannies, tmp_path):
    serial = cross_val_score(model, TEXTS, LABELS, cv=SPLITS)
    assert len(np.unique(serial)) > 1
    two_pids(nannies)
    with joblib.parallel_config("dask", client=nannies, scatter=TO_ALL):
        scores = cross_val_score(model, TEXTS, LABELS, cv=SPLITS, scoring=scorer(tmp_path, 2))
    np.testing.assert_array_equal(scores, serial)
    assert (tmp_path / "killed").exists()


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
