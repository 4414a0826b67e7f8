"""Do searches on a cluster give the scores of one process, also when a worker is killed meanwhile?

On one machine, over loopback: joblib's backends for loky, Dask (scheduler and two worker processes)
and Ray (two workers), a thread for each worker; 3,000 documents of MR, pipelines that fit
vectorizer, network and linear part. A worker dies by SIGKILL in the middle of a score. "Copies
kept": documents and the rows of each split stay on both workers, as the page "Scaling out" has it.
Then predictions of partitions: dask.bag, dask.dataframe, a pandas_udf of Spark. Then one network on
two devices of tf.distribute beside one; both are halves of the same CPU, so nothing gets faster.
Ray and Spark may have interpreters of their own; what is not installed is left out, with a line.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

import joblib
import numpy as np
from _common import CORPORA, HERE, Report, at_least, at_most, load_corpus
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.model_selection import (
    GridSearchCV,
    HalvingRandomSearchCV,
    StratifiedKFold,
    cross_val_score,
)
from sklearn.pipeline import make_pipeline

from sklearn_textcnn import TextCNNClassifier, TextVectorizerTransformer

FLOORS = {
    "scores that differ from those of one process": at_most(0),
    "labels that differ from those of one process": at_most(0),
    "workers killed": at_least(5),
    "two devices, largest difference of a probability": at_most(1e-4),
}
TARGETS = {}
PARTS = ("dask", "ray", "spark", "devices")
NETWORK = {"embedding_dim": 64, "filters": 50, "epochs": 4, "random_state": 0}
RATES = {"textcnnclassifier__learning_rate": [0.0003, 0.001, 0.003, 0.01]}
DOCUMENTS = 3000
PREDICTED = 50_000  # documents of MR, drawn with replacement
MOST_SECONDS = 1800  # of a part


def main():
    arguments = parse_arguments()
    if arguments.child:
        return print(json.dumps(globals()[f"{arguments.child[0]}_here"](arguments)))
    report = Report(__doc__, arguments, FLOORS, TARGETS)
    searches, predictions, devices, versions = [], [], [], []
    for part in arguments.parts:
        answer = run_part(arguments, part)
        if answer is None:
            print(f"\n{part}: not installed, left out", flush=True)
            continue
        searches += answer.get("searches", [])
        predictions += answer.get("predictions", [])
        devices += answer.get("devices", [])
        versions.append({"part": part, "versions": answer["versions"]})
    if not versions:
        return print("\nNothing to measure.")
    report.table("Versions", versions)
    judge_searches(report, searches)
    judge_predictions(report, predictions)
    if devices:
        report.table("One network on several devices, tf.distribute", devices)
        worst = max(row["largest difference"] for row in devices)
        report.claim("two devices, largest difference of a probability", worst)
    killed = sum(row["killed"] for row in searches + predictions)
    report.claim("workers killed", killed)
    if set(arguments.parts) != set(PARTS):
        report.floors = {name: report.floors[name] for name in report.record["claims"]}
    report.finish()


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=CORPORA, metavar="DIR", help="corpora")
    parser.add_argument("--quick", action="store_true", help="only see whether the script works")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS, help="some of them")
    for name in ("ray", "spark"):
        parser.add_argument(
            f"--{name}",
            default=sys.executable,
            metavar="PYTHON",
            help=f"interpreter that has {name.title()} and the dependencies (default: this one)",
        )
    parser.add_argument("--child", nargs="+", help=argparse.SUPPRESS)
    return parser.parse_args()


def run_part(arguments, part):
    """What a part answers, in a process of its own; None: its library is not installed."""
    python = getattr(arguments, part, sys.executable)
    command = [python, __file__, "--data", arguments.data, "--child", part]
    command += ["--quick"] * arguments.quick
    paths = os.pathsep.join(filter(None, [str(HERE.parent), os.environ.get("PYTHONPATH")]))
    run = subprocess.run(
        list(map(str, command)),
        env=os.environ | {"PYTHONPATH": paths},
        capture_output=True,
        text=True,
        timeout=MOST_SECONDS,
    )
    if run.returncode:
        sys.exit(f"{part} failed:\n{run.stdout}{run.stderr}")
    return json.loads(run.stdout.splitlines()[-1])


def judge_searches(report, rows):
    if not rows:
        return
    report.table("Searches on two workers", rows)
    differing = sum(row["differ"] for row in rows if row["differ"] is not None)
    report.claim("scores that differ from those of one process", differing)


def judge_predictions(report, rows):
    if not rows:
        return
    report.table("Predictions of partitions on two workers", rows)
    differing = sum(row["differ"] for row in rows)
    report.claim("labels that differ from those of one process", differing)


def versions_of(*packages):
    from importlib.metadata import version

    packages += ("numpy", "scikit-learn", "joblib")
    return ", ".join(f"{package} {version(package)}" for package in packages)


# --- searches

ALL = ("cross_val_score", "GridSearchCV", "HalvingRandomSearchCV")


class Backend(NamedTuple):
    """A backend of joblib: a function of what to send to all workers that returns its context."""

    name: str
    context: Callable
    kills: bool = False
    searches: tuple = ALL


def searches_of(splits, quick):
    """Searches by name: functions of texts, labels and a scorer that return scores."""
    network = TextCNNClassifier(**NETWORK | ({"epochs": 1} if quick else {}))
    model = make_pipeline(TextVectorizerTransformer(), network)
    settings = {"cv": splits, "refit": False}
    grid = partial(GridSearchCV, model, RATES, **settings)
    settings |= {"n_candidates": 4, "factor": 2, "random_state": 0}
    halving = partial(HalvingRandomSearchCV, model, RATES, **settings)

    def of_search(make, texts, labels, scoring):
        results = make(scoring=scoring).fit(texts, labels).cv_results_
        return np.array([results[f"split{i}_test_score"] for i in range(len(splits))])

    def of_validation(texts, labels, scoring):
        return cross_val_score(model, texts, labels, cv=splits, scoring=scoring)

    functions = of_validation, partial(of_search, grid), partial(of_search, halving)
    return dict(zip(ALL, functions, strict=True))


class KillsOnce:
    """Accuracy, as a scorer. The worker that works out the `last` of so many dies instead, once.

    Each score leaves a file in the folder; what is killed leaves "killed".
    """

    def __init__(self, folder, last):
        self.folder, self.last, self.parent = Path(folder), last, os.getpid()

    def __call__(self, model, texts, labels):
        score = model.score(texts, labels)
        if len(list(self.folder.iterdir())) + 1 >= self.last and os.getpid() != self.parent:
            try:
                (self.folder / "killed").touch(exist_ok=False)
            except FileExistsError:
                pass
            else:
                os.kill(os.getpid(), signal.SIGKILL)
        (self.folder / uuid4().hex).touch()
        return score


def measure_searches(arguments, backends):
    """A row for each search and backend: seconds, workers killed and scores that differ."""
    texts, labels = load_corpus(arguments.data, "mr/all", 150 if arguments.quick else DOCUMENTS)
    texts, labels = texts.tolist(), labels.tolist()
    splits = list(StratifiedKFold(3, shuffle=True, random_state=0).split(texts, labels))
    to_all = [texts, labels, *(rows for split in splits for rows in split)]
    rows = []
    for name, search in searches_of(splits, arguments.quick).items():
        search = partial(search, texts, labels)
        began = time.perf_counter()
        expected = search("accuracy")
        spent = time.perf_counter() - began
        rows.append(search_row(name, "one process", spent, expected.size, 0, 0))
        for backend in backends:
            if name in backend.searches:
                rows.append(measure_search(name, search, backend, to_all, expected))
    return rows


def measure_search(name, search, backend, to_all, expected):
    with tempfile.TemporaryDirectory() as folder, backend.context(to_all):
        scorer = KillsOnce(folder, expected.size // 2) if backend.kills else "accuracy"
        began, error, differing = time.perf_counter(), None, None
        try:
            differing = int((search(scorer) != expected).sum())
        except Exception as failure:  # what happens then is what this asks
            error = type(failure).__name__
        spent = time.perf_counter() - began
        killed = int((Path(folder) / "killed").exists())
        done = len(list(Path(folder).iterdir())) - killed if backend.kills else expected.size
    return search_row(name, backend.name, spent, done, killed, differing, error)


def search_row(search, backend, seconds, done, killed, differ, error=None):
    return {
        "search": search,
        "on": backend,
        "seconds": seconds,
        "scores made": done,
        "killed": killed,
        "differ": differ,
        "error": error,
    }


# --- Dask


def dask_here(arguments):
    try:
        import distributed  # noqa: F401
        import pyarrow  # noqa: F401
    except ImportError:
        return None
    grid = ("GridSearchCV",)
    good = partial(dask_context, cluster=two_machines)
    as_it_comes = partial(dask_context, cluster=two_machines, keeps=False)
    backends = [
        Backend("loky", loky, searches=grid),
        Backend("loky, worker killed", loky, True, grid),
        Backend("Dask", dask_context),
        Backend("Dask, worker killed and replaced, copies kept", dask_context, True),
        Backend("Dask, worker killed for good, copies kept", good, True, grid),
        Backend("Dask, worker killed for good", as_it_comes, True, grid),
    ]
    return {
        "searches": measure_searches(arguments, backends),
        "predictions": dask_predictions(arguments),
        "versions": versions_of("dask", "distributed", "pandas", "pyarrow"),
    }


@contextmanager
def two_workers():
    """Each with a nanny, which starts another if it dies."""
    from distributed import Client, LocalCluster

    with (
        tempfile.TemporaryDirectory() as folder,
        LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None, local_directory=folder
        ) as cluster,
        Client(cluster) as client,
    ):
        yield client


@contextmanager
def two_machines():
    """Workers that nobody starts again."""
    from distributed import Client, LocalCluster

    options = "--no-nanny --nthreads 1 --no-dashboard --local-directory".split()
    workers = []
    with (
        tempfile.TemporaryDirectory() as folder,
        LocalCluster(n_workers=0, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        address = client.scheduler.address
        command = [sys.executable, "-m", "distributed.cli.dask_worker", address, *options, folder]
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        try:
            for _ in range(2):
                workers.append(
                    subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
                )
            client.wait_for_workers(2, timeout=60)
            yield client
        finally:
            for worker in workers:
                worker.kill()
                worker.wait(timeout=30)


@contextmanager
def dask_context(to_all, cluster=None, keeps=True):
    with (cluster or two_workers)() as client:
        if keeps:
            client.amm.stop()  # which would take the copies away again
        with joblib.parallel_config("dask", scatter=to_all if keeps else to_all[:2]):
            yield


def loky(_):
    return joblib.parallel_config("loky", n_jobs=2)


def dask_predictions(arguments):
    import dask.dataframe as dd
    import pandas as pd
    from dask import bag

    model, texts, expected, alone = prediction_task(arguments)
    with tempfile.TemporaryDirectory() as folder, two_workers() as client:
        path = f"{folder}/model.joblib"
        joblib.dump(model, path)

        def of_part(texts, killer=None):
            if killer is not None:
                killer(joblib.load(path), texts[:1], ["neg"])
            return joblib.load(path).predict(texts).tolist() if texts else []

        def of_frame(frame):
            labels = joblib.load(path).predict(frame["text"]) if len(frame) else []
            return pd.Series(labels, index=frame.index, dtype=object)

        documents = bag.from_sequence(texts, npartitions=8)
        frame = dd.from_pandas(pd.DataFrame({"text": texts}), npartitions=8)
        seen = Path(folder) / "seen"
        seen.mkdir()
        killer = KillsOnce(seen, 4)
        jobs = {
            "dask.bag": lambda: documents.map_partitions(of_part),
            "dask.bag, worker killed": lambda: documents.map_partitions(
                lambda part: of_part(part, killer)
            ),
            "dask.dataframe": lambda: frame.map_partitions(of_frame, meta=(None, object)),
        }
        rows = [prediction_row("one process", alone, len(texts), 0)]
        for name, job in jobs.items():
            began = time.perf_counter()
            found = job().compute(scheduler=client)
            spent = time.perf_counter() - began
            killed = int("killed" in name and (seen / "killed").exists())
            differing = int((np.asarray(found) != expected).sum())
            rows.append(prediction_row(name, spent, len(texts), differing, killed))
    return rows


def prediction_task(arguments):
    """A fitted pipeline, documents, and what one process says of them in how many seconds."""
    texts, labels = load_corpus(arguments.data, "mr/all", 150 if arguments.quick else DOCUMENTS)
    model = make_pipeline(TextVectorizerTransformer(), TextCNNClassifier(**NETWORK))
    model.fit(texts.tolist(), labels)
    n = 300 if arguments.quick else PREDICTED
    every, _ = load_corpus(arguments.data, "mr/all")
    documents = every[np.random.default_rng(0).integers(len(every), size=n)].tolist()
    model.predict(documents[:1000])
    began = time.perf_counter()
    expected = model.predict(documents)
    return model, documents, expected, time.perf_counter() - began


def prediction_row(name, seconds, n, differ, killed=0):
    return {
        "on": name,
        "seconds": seconds,
        "documents a second": n / seconds,
        "killed": killed,
        "differ": differ,
    }


# --- Ray


def ray_here(arguments):
    try:
        import ray
        from ray.util.joblib import register_ray
    except ImportError:
        return None
    # Ray gives its workers a low priority, which is of no use where nothing else runs
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0"}
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, _node_ip_address="127.0.0.1")
    register_ray()
    restarts = {"max_restarts": 3, "max_task_retries": 3}

    def backend(_, **options):
        return joblib.parallel_config("ray", n_jobs=2, **options)

    backends = [
        Backend("Ray", backend),
        Backend("Ray, worker killed", backend, True, ("GridSearchCV",)),
        Backend(
            "Ray, worker killed and replaced", partial(backend, ray_remote_args=restarts), True
        ),
    ]
    try:
        return {
            "searches": measure_searches(arguments, backends),
            "versions": versions_of("ray"),
        }
    finally:
        ray.shutdown()


# --- Spark


def spark_here(arguments):
    try:
        from pyspark.sql import SparkSession
    except ImportError:
        return None
    model, texts, expected, alone = prediction_task(arguments)
    rows = [prediction_row("one process", alone, len(texts), 0)]
    os.environ |= {"SPARK_LOCAL_IP": "127.0.0.1", "PYSPARK_PYTHON": sys.executable}
    spark = (
        SparkSession.builder.master("local[2, 4]")  # a task may fail three times
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.ui.enabled", "false")
        .config("spark.log.level", "OFF")
        .getOrCreate()
    )
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = f"{folder}/model.joblib"
            joblib.dump(model, path)
            killer = KillsOnce(folder, 3)
            frame = spark.createDataFrame(list(enumerate(texts)), "id long, text string")
            frame = frame.repartition(4).cache()
            frame.count()
            for name, kills in (
                ("Spark, pandas_udf", None),
                ("Spark, pandas_udf, worker killed", killer),
            ):
                label = label_of(path, kills)
                began = time.perf_counter()
                found = frame.select("id", label("text").alias("label")).collect()
                spent = time.perf_counter() - began
                found = [row["label"] for row in sorted(found)]
                killed = int(kills is not None and (Path(folder) / "killed").exists())
                differing = int((np.asarray(found) != expected).sum())
                rows.append(prediction_row(name, spent, len(texts), differing, killed))
    finally:
        spark.stop()
    return {"predictions": rows, "versions": versions_of("pyspark", "pandas", "pyarrow")}


def label_of(path, killer=None):
    """The recipe of the docs."""
    from collections.abc import Iterator

    import pandas as pd
    from pyspark.sql.functions import pandas_udf

    @pandas_udf("string")
    def label(batches: Iterator[pd.Series]) -> Iterator[pd.Series]:
        model = joblib.load(path)
        for texts in batches:
            if killer is not None:
                killer(model, texts[:1], ["neg"])
            yield pd.Series(model.predict(texts))

    return label


# --- devices


def devices_here(arguments):
    try:
        import tensorflow as tf
    except ImportError:
        return None
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    texts, labels = load_corpus(arguments.data, "mr/all", 150 if arguments.quick else DOCUMENTS)
    # without dropout, which draws other units on each device
    steady = {"engine": "keras", "dropout": 0.0, "linear_ngrams": 0}
    model = make_pipeline(TextVectorizerTransformer(), TextCNNClassifier(**NETWORK | steady))
    rows, expected = [], None
    for name, devices in (("one device", 1), ("two devices", 2)):
        strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]) if devices == 2 else None
        began = time.perf_counter()
        with strategy.scope() if strategy else nullcontext():
            model.fit(texts.tolist(), labels)
        spent = time.perf_counter() - began
        answers = model.predict_proba(texts.tolist())
        expected = answers if expected is None else expected
        rows.append(
            {
                "on": name,
                "seconds of a fit": spent,
                "accuracy in training": model[-1].history_["accuracy"][-1],
                "largest difference": float(np.abs(answers - expected).max()),
            }
        )
    return {"devices": rows, "versions": versions_of("tensorflow", "keras")}


if __name__ == "__main__":
    main()
