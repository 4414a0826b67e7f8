"""The HTTP service of examples/serve.py, on the loopback interface and a free port."""

import contextlib
import importlib.util
import json
import re
import select
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path

import joblib
import numpy as np
import pytest
from classifiers import small
from corpora import topic_texts
from sklearn.dummy import DummyClassifier
from sklearn.pipeline import make_pipeline
from sklearn.svm import LinearSVC

from sklearn_textcnn import NgramLinearClassifier, TextVectorizerTransformer, __version__

ROOT = Path(__file__).parents[1]
SERVE = ROOT / "examples" / "serve.py"
TEXTS, LABELS = topic_texts(60)
BODY = json.dumps({"texts": TEXTS[:3]})


@pytest.fixture(scope="module")
def serve():
    spec = importlib.util.spec_from_file_location("serve", SERVE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def pipeline():
    return make_pipeline(TextVectorizerTransformer(), small(epochs=2)).fit(TEXTS, LABELS)


@contextlib.contextmanager
def running(serve, model, **limits):
    """A service in this process; it is ended, and its thread with it."""
    service = serve.Service(model, limits=serve.Limits(**limits))
    thread = threading.Thread(target=service.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield service
    finally:
        if not service.is_ending:
            service.end(seconds=2)
        thread.join(10)
        assert not thread.is_alive()


@pytest.fixture(scope="module")
def service(serve, pipeline):
    with running(serve, serve.Model(pipeline), bytes=20_000, texts=50, characters=300) as service:
        yield service


def connect(service):
    return HTTPConnection(*service.server_address, timeout=20)


def ask(connection, method="POST", path="/predict", body=BODY, headers=()):
    """Status, content and headers of an answer."""
    connection.request(method, path, body, dict(headers))
    answer = connection.getresponse()
    assert answer.headers["Content-Type"] == "application/json"
    return answer.status, json.loads(answer.read()), answer.headers


def ask_raw(service, content):
    """All that comes back on a connection that sends these bytes and then listens."""
    with socket.create_connection(service.server_address, timeout=20) as connection:
        connection.sendall(content)
        pieces = []
        while piece := connection.recv(1 << 16):
            pieces.append(piece)
    return b"".join(pieces)


def test_answers_are_those_of_the_model(service, pipeline):
    texts = [*TEXTS[:40], "", "nothing of this is known", "\ud800 \0 é", "z" * 300]
    with contextlib.closing(connect(service)) as connection:
        status, answer, _ = ask(connection, body=json.dumps({"texts": texts}))
    assert status == 200
    assert answer["classes"] == pipeline.classes_.tolist()
    assert answer["labels"] == pipeline.predict(texts).tolist()
    np.testing.assert_allclose(answer["probabilities"], pipeline.predict_proba(texts), atol=1e-6)


def test_several_labels_of_a_text(serve):
    several = np.stack([LABELS == "space", LABELS != "sport"], axis=1).astype(int)
    pipe = make_pipeline(TextVectorizerTransformer(), NgramLinearClassifier(random_state=0))
    pipe.fit(TEXTS, several)
    answer = serve.Model(pipe).answer(TEXTS)
    assert [[i in labels for i in (0, 1)] for labels in answer["labels"]] == (
        pipe.predict(TEXTS).astype(bool).tolist()
    )
    assert {0, 1, 2} == set(map(len, answer["labels"]))


def test_health(service):
    with contextlib.closing(connect(service)) as connection:
        status, answer, _ = ask(connection, "GET", "/health?now", None)
    assert (status, answer) == (200, {"status": "ok", "sklearn_textcnn": __version__})


BAD_BODIES = {
    "empty": (b"", 400, "must be JSON"),
    "not JSON": (b"texts=a", 400, "must be JSON"),
    "not UTF-8": (b'{"texts": ["\xff\xfe"]}', 400, "must be JSON"),
    "deep": (b"[" * 19_000, 400, "nested too deeply"),
    "a long number": (b'{"texts": [' + b"1" * 9000 + b"]}", 400, "must be JSON"),
    "a list": (b'["a"]', 400, "must be an object"),
    "a string": (b'"texts"', 400, "must be an object"),
    "no texts": (b"{}", 400, "must be an object"),
    "another field": (b'{"texts": ["a"], "n": 1}', 400, "must be an object"),
    "a bare text": (b'{"texts": "a"}', 400, "at least one text"),
    "null": (b'{"texts": null}', 400, "at least one text"),
    "none": (b'{"texts": []}', 400, "at least one text"),
    "a number": (b'{"texts": ["a", 1]}', 400, r"texts\[1\] must be a string, got int"),
    "a missing one": (b'{"texts": [null]}', 400, r"texts\[0\] must be a string, got null"),
    "a list in it": (b'{"texts": [["a"]]}', 400, r"texts\[0\] must be a string, got list"),
    "too many": (json.dumps({"texts": ["a"] * 51}).encode(), 413, "at most 50 texts, got 51"),
    "too long": (json.dumps({"texts": ["a" * 301]}).encode(), 413, "at most 300 .*got 301"),
    "too large": (b" " * 20_001, 413, "at most 20,000 bytes"),
}


@pytest.mark.parametrize("name", BAD_BODIES)
def test_wrong_input_is_refused_and_the_next_is_answered(service, name):
    body, expected, message = BAD_BODIES[name]
    with contextlib.closing(connect(service)) as connection:
        status, answer, headers = ask(connection, body=body)
        assert status == expected
        assert list(answer) == ["error"]
        assert re.search(message, answer["error"])
        # what has been read leaves the connection as it was
        assert headers["Connection"] == ("close" if name == "too large" else None)
        assert ask(connection)[0] == 200


def test_only_two_things_can_be_asked(service):
    with contextlib.closing(connect(service)) as connection:
        for method, path, expected, allowed in [
            ("GET", "/predict", 405, "POST"),
            ("POST", "/health", 405, "GET"),
            ("GET", "/", 404, None),
            ("POST", "/predict/", 404, None),
            ("GET", "/../../etc/passwd", 404, None),
            ("DELETE", "/predict", 501, None),
            ("PUT", "/predict", 501, None),
        ]:
            status, answer, headers = ask(connection, method, path)
            assert (status, headers["Allow"], list(answer)) == (expected, allowed, ["error"])


HEAD = "POST /predict HTTP/1.1\r\nHost: x\r\n"
BAD_HEADS = {
    "no length": (f"{HEAD}\r\n", 411, "Content-Length is missing"),
    "no number": (f"{HEAD}Content-Length: ten\r\n\r\n", 400, "must be one number"),
    "negative": (f"{HEAD}Content-Length: -1\r\n\r\n", 400, "must be one number"),
    "other digits": (f"{HEAD}Content-Length: \xb2\r\n\r\n", 400, "must be one number"),
    "two": (f"{HEAD}Content-Length: 1\r\nContent-Length: 2\r\n\r\n", 400, "must be one number"),
    "huge": (f"{HEAD}Content-Length: {'9' * 5000}\r\n\r\n", 413, "at most 20,000 bytes"),
    "chunks": (f"{HEAD}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 411, "Content-Length"),
    "compressed": (
        f"{HEAD}Content-Encoding: gzip\r\nContent-Length: 9\r\n\r\n123456789",
        415,
        "not compressed",
    ),
    "announced": (
        f"{HEAD}Expect: 100-continue\r\nContent-Length: 999999\r\n\r\n",
        413,
        "at most 20,000 bytes",
    ),
    "no HTTP": ("good morning, service\r\n\r\n", 400, "Bad request"),
    "another version": ("GET /health HTTP/9.9\r\n\r\n", 505, "Invalid HTTP version"),
    "a long line": (f"GET /{'a' * 70_000} HTTP/1.1\r\n\r\n", 414, "too long"),
    "many headers": (HEAD + "".join(f"X-{i}: 1\r\n" for i in range(200)) + "\r\n", 431, "headers"),
}


@pytest.mark.parametrize("name", BAD_HEADS)
def test_bad_heads_are_refused_in_json_and_the_connection_closed(service, name):
    content, expected, message = BAD_HEADS[name]
    answer = ask_raw(service, content.encode("latin-1"))
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(f"HTTP/1.1 {expected} ".encode())
    assert b"Content-Type: application/json" in head
    assert b"Python" not in head  # nobody needs to know the version
    assert message in json.loads(body)["error"]


def test_a_large_body_is_waited_for_if_it_may_come(service):
    head = f"{HEAD}Connection: close\r\nExpect: 100-continue\r\nContent-Length: {len(BODY)}\r\n\r\n"
    with socket.create_connection(service.server_address, timeout=20) as connection:
        connection.sendall(head.encode())
        assert connection.recv(1 << 16) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(BODY.encode())
        assert connection.recv(1 << 16).startswith(b"HTTP/1.1 200 OK\r\n")


def test_a_refusal_is_read_by_a_client_that_is_still_sending(service):
    with contextlib.closing(connect(service)) as connection:
        status, answer, _ = ask(connection, body=b" " * (1 << 23))  # more than sockets hold
    assert (status, answer) == (413, {"error": "the body must have at most 20,000 bytes"})


def test_slow_and_idle_clients_are_hung_up_on(serve, pipeline):
    with running(serve, serve.Model(pipeline), seconds=0.2) as service:
        began = time.monotonic()
        assert ask_raw(service, b"") == b""  # says nothing
        assert ask_raw(service, HEAD.encode()) == b""  # stops in the middle of its head
        ask_raw(service, f"{HEAD}Content-Length: 99\r\n\r\n{{".encode())  # or of its body
        assert 0.6 <= time.monotonic() - began < 10


def test_there_are_not_too_many_connections(serve, pipeline):
    with running(serve, serve.Model(pipeline), connections=2) as service:
        kept = [connect(service) for _ in range(2)]
        assert [ask(connection)[0] for connection in kept] == [200, 200]
        answer = ask_raw(service, b"")
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"\r\nRetry-After: 1\r\n" in answer
        assert b"too many connections" in answer
        kept[0].close()
        until = time.monotonic() + 10
        while (status := _status_on_a_new_connection(service)) != 200:
            assert status == 503
            assert time.monotonic() < until
        assert ask(kept[1])[0] == 200
        kept[1].close()


def _status_on_a_new_connection(service):
    with contextlib.closing(connect(service)) as connection:
        try:
            return ask(connection)[0]
        except ConnectionError:  # turned away before it had asked
            return 503


class Slow:
    """A model that answers when it is told to."""

    def __init__(self):
        self.asked, self.may_answer = threading.Event(), threading.Event()

    def answer(self, texts):
        self.asked.set()
        assert self.may_answer.wait(20)
        return {"labels": texts}


def test_the_end_waits_for_answers_and_for_nobody_else(serve):
    model = Slow()
    with running(serve, model) as service, ThreadPoolExecutor(2) as pool:
        idle = connect(service)
        assert ask(idle, "GET", "/health", None)[0] == 200
        busy = pool.submit(ask, connect(service))
        assert model.asked.wait(10)
        ending = pool.submit(service.end)
        assert idle.sock.recv(1) == b""  # told at once that there will be no more
        while _is_accepting(service):
            time.sleep(0.01)
        assert not ending.done()
        model.may_answer.set()
        status, answer, headers = busy.result(10)
        assert (status, answer) == (200, {"labels": TEXTS[:3]})
        assert headers["Connection"] == "close"
        ending.result(10)


def _is_accepting(service):
    try:
        socket.create_connection(service.server_address, timeout=5).close()
    except ConnectionRefusedError:
        return False
    return True


def test_the_end_does_not_wait_for_ever(serve):
    with running(serve, Slow()) as service:
        with socket.create_connection(service.server_address) as connection:
            connection.sendall(f"{HEAD}Content-Length: 99\r\n\r\n{{".encode())
            until = time.monotonic() + 10
            while not any(handler.is_reading for handler in list(service._handlers)):
                assert time.monotonic() < until
            began = time.monotonic()
            service.end(seconds=0.2)
            assert time.monotonic() - began < 5


def test_a_model_that_fails_harms_no_other_request(serve, pipeline, capfd):
    class Failing(serve.Model):
        def answer(self, texts):
            if "fail" in texts:
                raise ZeroDivisionError("a secret")
            return super().answer(texts)

    with running(serve, Failing(pipeline)) as service:
        with contextlib.closing(connect(service)) as connection:
            status, answer, _ = ask(connection, body='{"texts": ["fail"]}')
            assert (status, list(answer)) == (500, ["error"])
            assert "secret" not in answer["error"]
            assert ask(connection)[0] == 200
    assert "ZeroDivisionError: a secret" in capfd.readouterr().err


def test_a_client_that_leaves_is_no_error(serve, capfd):
    model = Slow()
    with running(serve, model) as service:
        with socket.create_connection(service.server_address) as connection:
            connection.sendall(f"{HEAD}Content-Length: {len(BODY)}\r\n\r\n{BODY}".encode())
            assert model.asked.wait(10)
            # resets the connection
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        model.may_answer.set()
        with contextlib.closing(connect(service)) as connection:
            assert ask(connection)[0] == 200
    assert capfd.readouterr().err == ""


def test_many_clients_get_the_answers_of_one(service):
    bodies = [json.dumps({"texts": [text]}) for text in TEXTS[:25]]
    with contextlib.closing(connect(service)) as connection:
        expected = [ask(connection, body=body)[1] for body in bodies]

    def client(_):
        with contextlib.closing(connect(service)) as connection:
            return [ask(connection, body=body)[1] for body in bodies]

    with ThreadPoolExecutor(8) as pool:
        assert all(answers == expected for answers in pool.map(client, range(8)))


def test_models_of_no_use_are_refused_at_the_start(serve, tmp_path, monkeypatch):
    with pytest.raises(TypeError, match="LinearSVC has not"):
        serve.Model(LinearSVC())
    pipe = DummyClassifier().fit(["a", "b"], [b"bytes", b"more"])
    with pytest.raises(TypeError, match="JSON"):
        serve.Model(pipe)
    monkeypatch.setattr(sys, "argv", [str(SERVE), str(tmp_path / "none.joblib")])
    with pytest.raises(SystemExit, match=r"none\.joblib is no file"):
        serve.main()


STARTED = """
import runpy, sys

class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("tensorflow", "keras", "scikeras", "tqdm"):
            raise ModuleNotFoundError(f"{name} is hidden")

sys.meta_path.insert(0, Hidden())
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def test_files_of_skops_are_loaded(serve, pipeline, tmp_path):
    pytest.importorskip("skops.io").dump(pipeline, tmp_path / "model.skops")
    answer = serve.Model.load(tmp_path / "model.skops").answer(TEXTS)
    assert answer == serve.Model(pipeline).answer(TEXTS)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows ends a process without a signal")
@pytest.mark.parametrize(
    "number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)]
)
def test_the_script_needs_no_tensorflow_and_ends_when_told(number, pipeline, tmp_path):
    path = tmp_path / "model.joblib"
    joblib.dump(pipeline, path)
    command = [sys.executable, "-c", STARTED, SERVE, path, "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            assert select.select([process.stdout], [], [], 240)[0]
            line = process.stdout.readline().decode()
            said = re.fullmatch(rf"{path.name} answers at http://127\.0\.0\.1:(\d+)\n", line)
            assert said, process.stderr.read()
            with contextlib.closing(HTTPConnection("127.0.0.1", int(said[1]), timeout=20)) as kept:
                status, answer, _ = ask(kept)
                assert (status, answer["labels"]) == (200, pipeline.predict(TEXTS[:3]).tolist())
                process.send_signal(number)
                out, err = process.communicate(timeout=60)
        finally:
            process.kill()
    assert (process.returncode, out, err) == (0, b"ended\n", b"")


def test_commands_of_the_page_are_understood(serve):
    page = (ROOT / "docs" / "user_guide" / "serving.rst").read_text(encoding="utf-8")
    (entry,) = re.findall(r"ENTRYPOINT (\[.*\])", page)
    commands = [json.loads(entry)]
    commands += [
        shlex.split(line) for line in re.findall(r"^ +(python .*serve\.py .*)", page, re.MULTILINE)
    ]
    assert len(commands) > 1
    for _, script, *arguments in commands:
        assert Path(script).name == SERVE.name
        assert serve.parse_arguments(arguments).model.suffix in (".joblib", ".skops")
    for path in re.findall(r"^ +COPY (?:--\S+ )?(\S+) .*$", page, re.MULTILINE):
        assert path.startswith(("/", "requirements")) or (ROOT / path).exists()
