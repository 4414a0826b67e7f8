"""What does a service over HTTP take that answers with a saved model, and how fast is it?

`examples/serve.py` with a pipeline trained on MR, every default but 3 epochs, in a process of its
own; beside it the same service around what `to_keras` makes of the same network, behind the same
vectorizer. Start: from starting Python to the first answer to a text. Load: clients on the
loopback interface, each with a connection of its own, send one sentence of MR after the other as
fast as they are answered. Clients and service share the two cores. Every answer is compared with
the label of the model. Beside the times: memory, and how long the service takes to end.
"""

import contextlib
import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from statistics import median

import joblib
import numpy as np
from _common import (
    HERE,
    Report,
    alternate,
    at_least,
    at_most,
    child_command,
    load_corpus,
    parse_arguments,
)
from sklearn.pipeline import make_pipeline

from sklearn_textcnn import TextCNNClassifier, TextVectorizerTransformer

FLOORS = {
    "answers that are missing or wrong": at_most(0),
    "8 clients: 99th percentile, ms": at_most(100),
    "start: Keras / ours": at_least(3),
    "memory under load: Keras / ours": at_least(2),
}
TARGETS = {
    "8 clients: 99th percentile, ms": at_most(20),
    "8 clients: requests a second": at_least(1000),
    "start: Keras / ours": at_least(5),
    "memory under load: Keras / ours": at_least(3),
}
SERVE = HERE.parent / "examples" / "serve.py"
CLIENTS = (1, 8)
REQUESTS = {"ours": 10_000, "Keras": 1000}  # of all clients together
MOST_SECONDS = 60  # under load


def main():
    arguments = parse_arguments(__doc__)
    if arguments.child:
        return serve_keras(Path(arguments.child[0]))
    report = Report(__doc__, arguments, FLOORS, TARGETS)
    with tempfile.TemporaryDirectory() as folder:
        texts, labels = prepare(arguments, Path(folder))
        commands = {
            "ours": [sys.executable, SERVE, Path(folder) / "model.joblib", "--port", "0"],
            "Keras": child_command(arguments, folder),
        }
        calls = {
            name: lambda name=name, command=command: run(name, command, texts, labels, arguments)
            for name, command in commands.items()
        }
        results = alternate(calls, 1 if arguments.quick else 3, lambda call: call())
    tell(report, results)
    report.finish()


def prepare(arguments, folder):
    """Save both models; texts to ask about, and what the answers should be."""
    texts, y = load_corpus(arguments.data, "mr/all", 500 if arguments.quick else None)
    pipe = make_pipeline(
        TextVectorizerTransformer(),
        TextCNNClassifier(epochs=1 if arguments.quick else 3, random_state=0),
    ).fit(texts, y)
    joblib.dump(pipe, folder / "model.joblib")
    joblib.dump((pipe[0], pipe.classes_), folder / "rest.joblib")
    pipe[-1].to_keras().save(folder / "model.keras")
    chosen = texts[:2000].tolist()
    probabilities = pipe.predict_proba(chosen)[:, 1]
    # two ways to round, either answer is right
    clear = np.abs(probabilities - 0.5) > 1e-4
    chosen = [text for text, is_clear in zip(chosen, clear, strict=True) if is_clear]
    return chosen, pipe.predict(chosen).tolist()


class KerasPipeline:
    """A vectorizer and a Keras model, as the service wants them."""

    def __init__(self, folder):
        import keras
        import tensorflow as tf

        self.vectorizer, self.classes_ = joblib.load(folder / "rest.joblib")
        network = keras.models.load_model(folder / "model.keras")
        # one graph for texts of any number and length, several times faster than without
        any_ids = tf.TensorSpec((None, None), tf.int32)
        self.network = tf.function(network, input_signature=[any_ids])

    def predict_proba(self, texts):
        second = self.network(np.asarray(self.vectorizer.transform(texts))).numpy()  # (n, 1)
        return np.concatenate([1 - second, second], axis=1)

    def predict(self, texts):
        return self.classes_[self.predict_proba(texts).argmax(axis=1)]


def serve_keras(folder):
    """The service of the example with another model, until SIGTERM."""
    spec = importlib.util.spec_from_file_location("serve", SERVE)
    serve = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(serve)
    serve.Model.load = lambda path: serve.Model(KerasPipeline(path.parent))
    sys.argv = [str(SERVE), str(folder / "model.joblib"), "--port", "0"]
    serve.main()


def run(name, command, texts, labels, arguments):
    """Start a service, ask it, end it: the figures of it."""
    n = REQUESTS[name] // (100 if arguments.quick else 1)
    began = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            port = int(process.stdout.readline().rpartition(":")[2])
            first = ask_in_turn(port, texts[:1], labels[:1], 1)
            figures = {"start, s": time.perf_counter() - began, "MiB at start": memory(process)}
            loads = {
                n_clients: load(process, port, texts, labels, n, n_clients) for n_clients in CLIENTS
            }
            figures["MiB under load"] = memory(process)
            told = time.perf_counter()
            process.send_signal(signal.SIGTERM)
            code = process.wait(30)
            figures["end, s"] = time.perf_counter() - told
        finally:
            process.kill()
    assert code == 0, f"{name} ended with {code}"
    return {"process": figures, "loads": loads, "wrong": 1 - first[1] + sum_of(loads, "wrong")}


def load(process, port, texts, labels, n, n_clients):
    """Requests of several clients at the same time."""
    cpu_before = cpu_seconds(process)
    shares = [range(i, n, n_clients) for i in range(n_clients)]
    answers = [None] * n_clients

    def client(i):
        rows = [row % len(texts) for row in shares[i]]
        answers[i] = ask_in_turn(port, *([all_[j] for j in rows] for all_ in (texts, labels)))

    threads = [threading.Thread(target=client, args=(i,)) for i in range(n_clients)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - began
    times = np.concatenate([times for times, _ in answers])
    return {
        "requests": len(times),
        "wrong": len(times) - sum(n_right for _, n_right in answers),
        "a second": len(times) / seconds,
        "CPU": 1000 * (cpu_seconds(process) - cpu_before) / len(times),
        **dict(zip(("median", "99%", "max"), np.percentile(times, [50, 99, 100]), strict=True)),
    }


def ask_in_turn(port, texts, labels, most_seconds=MOST_SECONDS):
    """Milliseconds of each request on one connection, and how many answers were right.

    By hand, not by http.client, which takes as long as the service does. Checked afterwards.
    """
    times, bodies = [], []
    until = time.perf_counter() + most_seconds
    with contextlib.closing(socket.create_connection(("127.0.0.1", port), 30)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for text in texts:
            body = json.dumps({"texts": [text]}).encode()
            head = f"POST /predict HTTP/1.1\r\nHost: here\r\nContent-Length: {len(body)}\r\n\r\n"
            began = time.perf_counter()
            if began > until:
                break
            connection.sendall(head.encode() + body)
            bodies.append(read_body(connection))
            times.append(1000 * (time.perf_counter() - began))
    right = [
        json.loads(body).get("labels") == [label]
        for body, label in zip(bodies, labels, strict=False)
    ]
    return times, sum(right)


def read_body(connection):
    content = b""
    while b"\r\n\r\n" not in content:
        piece = connection.recv(1 << 16)
        assert piece, "the service has closed the connection"
        content += piece
    head, _, body = content.partition(b"\r\n\r\n")
    length = int(head.partition(b"Content-Length: ")[2].partition(b"\r\n")[0])
    while len(body) < length:
        piece = connection.recv(1 << 16)
        assert piece, "the service has closed the connection"
        body += piece
    return body


def memory(process):
    """Resident MiB of a process, None where it cannot be told."""
    status = Path(f"/proc/{process.pid}/status")
    if not status.exists():
        return None
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def cpu_seconds(process):
    """CPU time of a process so far, NaN where it cannot be told."""
    stat = Path(f"/proc/{process.pid}/stat")
    if not stat.exists():
        return float("nan")
    user, system = stat.read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def sum_of(loads, figure):
    return sum(load[figure] for load in loads.values())


def tell(report, results):
    middle = {
        name: {figure: median(run["process"][figure] for run in runs) for figure in columns}
        for name, runs in results.items()
        if (columns := runs[0]["process"])
    }
    report.table(
        "Start, memory and end, medians",
        [{"service": name, "processes": len(results[name])} | row for name, row in middle.items()],
    )
    rows = []
    for name, runs in results.items():
        for n_clients in CLIENTS:
            loads = [run["loads"][n_clients] for run in runs]
            row = {"service": name, "clients": n_clients}
            row["requests"] = sum(load["requests"] for load in loads)
            row["a second"] = median(load["a second"] for load in loads)
            row["CPU, ms each"] = median(load["CPU"] for load in loads)
            for figure in ("median", "99%"):
                row[f"{figure}, ms"] = median(load[figure] for load in loads)
            rows.append(row | {"longest, ms": max(load["max"] for load in loads)})
    report.table("Requests of one sentence, medians of the processes", rows)
    wrong = sum(run["wrong"] for runs in results.values() for run in runs)
    report.claim("answers that are missing or wrong", wrong)
    ours = next(row for row in rows if (row["service"], row["clients"]) == ("ours", 8))
    report.claim("8 clients: 99th percentile, ms", ours["99%, ms"])
    report.claim("8 clients: requests a second", ours["a second"])
    for claim, figure in (("start", "start, s"), ("memory under load", "MiB under load")):
        ratio = middle["Keras"][figure] / middle["ours"][figure]
        report.claim(f"{claim}: Keras / ours", ratio)


if __name__ == "__main__":
    main()
