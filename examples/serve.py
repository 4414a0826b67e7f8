"""Answer over HTTP with a saved model: scikit-learn and NumPy, no TensorFlow, no web framework.

    python examples/serve.py model.joblib
    curl http://127.0.0.1:8000/predict -d '{"texts": ["Fit a ridge regression."]}'
    curl http://127.0.0.1:8000/health

The file is one of joblib, or one of skops if its name ends in ".skops". A file of joblib is a
pickle: load none from a source that you do not trust. SIGTERM and Ctrl-C end the service once the
requests that it has received are answered.
"""

import argparse
import json
import signal
import socket
import sys
import threading
import time
import traceback
from contextlib import suppress
from dataclasses import dataclass, fields
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import joblib
import numpy as np

import sklearn_textcnn

JSON = "application/json"
SECONDS_TO_READ_A_REFUSAL = 2.0


@dataclass(frozen=True)
class Limits:
    """What a request, and all of them together, may take."""

    bytes: int = 1 << 20  # of a request's body
    texts: int = 1000  # of a request
    characters: int = 100_000  # of a text
    connections: int = 64  # at a time, each with a thread
    seconds: float = 30.0  # until a request is complete, and between two of a connection


class Model:
    """A fitted pipeline from texts to probabilities."""

    def __init__(self, pipeline):
        if not hasattr(pipeline, "predict_proba"):
            raise TypeError(f"the model must have predict_proba, {type(pipeline).__name__} has not")
        self.pipeline = pipeline
        self.turn = threading.Lock()
        # the first answer costs more than the others, and says whether there are several labels
        self.is_multilabel = pipeline.predict(["the first text"]).ndim == 2
        self.classes = pipeline.classes_.tolist()
        json.dumps(self.classes)  # what JSON does not know is refused now, not at every request

    @classmethod
    def load(cls, path):
        if path.suffix == ".skops":
            import skops.io

            return cls(skops.io.load(path, trusted=sklearn_textcnn.TRUSTED_TYPES))
        return cls(joblib.load(path))

    def answer(self, texts):
        # Threads that want Python at the same time take twice as long as one after the other.
        with self.turn:
            probabilities = self.pipeline.predict_proba(texts)  # (n_texts, n_classes)
        if self.is_multilabel:
            chosen = probabilities > 0.5
            labels = [[self.classes[i] for i in np.flatnonzero(row)] for row in chosen]
        else:
            labels = [self.classes[i] for i in probabilities.argmax(axis=1).tolist()]
        # six digits are about what float32 holds
        rounded = np.round(probabilities.astype(float), 6).tolist()
        return {"labels": labels, "classes": self.classes, "probabilities": rounded}


class Refused(Exception):
    """A request that gets an error for an answer.

    Parameters
    ----------
    status : HTTPStatus
    message : str
        What is wrong, and what would be right.
    **headers : str
    """

    def __init__(self, status, message, **headers):
        super().__init__(message)
        self.status, self.headers = status, headers


class Handler(BaseHTTPRequestHandler):
    """The requests of one connection, one after the other, in a thread of their own."""

    server_version, sys_version = "sklearn_textcnn", ""
    protocol_version = "HTTP/1.1"
    # An answer is one write: of two, the second would wait until the client confirms the first.
    wbufsize = -1
    disable_nagle_algorithm = True

    is_reading = False  # a request of which the first line has come
    has_unread_body = False
    since = None  # when the connection, or its last answer, was; None: an answer is being made

    def setup(self):
        super().setup()
        self.since = time.monotonic()
        self.server.enter(self)

    def finish(self):
        try:
            # a client that has gone does not need its answer
            with suppress(ConnectionError):
                super().finish()
            if self.has_unread_body:
                self.linger()
        finally:
            self.server.leave(self)

    def handle_one_request(self):
        try:
            super().handle_one_request()
        except ConnectionError:
            self.close_connection = True
        self.is_reading, self.since = False, time.monotonic()
        if self.server.is_ending:
            self.close_connection = True

    def parse_request(self):
        self.is_reading = True
        self.has_unread_body = True  # until it is known that there is none
        return super().parse_request()

    def handle_expect_100(self):
        """Before a client sends a large body, which it may spare itself."""
        try:
            self.content_length()
        except Refused as error:
            self.send_refusal(error)
            return False
        super().handle_expect_100()
        self.wfile.flush()
        return True

    def do_GET(self):
        self.respond({"/health": self.health}, others={"/predict": "POST"})

    def do_POST(self):
        self.respond({"/predict": self.predict}, others={"/health": "GET"})

    def respond(self, calls, others):
        path = self.path.partition("?")[0]
        try:
            body = self.read_body()
            if path in others:
                message = f"{path} takes {others[path]} only"
                raise Refused(HTTPStatus.METHOD_NOT_ALLOWED, message, Allow=others[path])
            if path not in calls:
                message = "there are POST /predict and GET /health"
                raise Refused(HTTPStatus.NOT_FOUND, message)
            answer = calls[path](body)
        except Refused as error:
            self.send_refusal(error)
        except Exception:  # of the model: the client is told, and the next one is served
            traceback.print_exc()
            message = "the model failed, see the log of the service"
            self.send_refusal(Refused(HTTPStatus.INTERNAL_SERVER_ERROR, message))
        else:
            self.send_json(HTTPStatus.OK, answer)

    def health(self, body):
        return {"status": "ok", "sklearn_textcnn": sklearn_textcnn.__version__}

    def predict(self, body):
        return self.server.model.answer(texts_of(body, self.server.limits))

    def content_length(self):
        if "Transfer-Encoding" in self.headers:
            raise Refused(HTTPStatus.LENGTH_REQUIRED, "send the body in one, with Content-Length")
        if self.headers.get("Content-Encoding", "identity") != "identity":
            message = "send the body as it is, not compressed"
            raise Refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, message)
        lengths = self.headers.get_all("Content-Length", ["0"] if self.command == "GET" else [])
        if not lengths:
            raise Refused(HTTPStatus.LENGTH_REQUIRED, "Content-Length is missing")
        (length, *more) = {length.strip() for length in lengths}
        if more or not (length.isascii() and length.isdigit()):
            raise Refused(HTTPStatus.BAD_REQUEST, "Content-Length must be one number")
        most = self.server.limits.bytes
        # more digits than that are not worth being made a number
        if len(length.lstrip("0")) > 18 or int(length) > most:
            message = f"the body must have at most {most:,} bytes"
            raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, message)
        return int(length)

    def read_body(self):
        length = self.content_length()
        body = self.rfile.read(length)
        self.has_unread_body = False
        if len(body) < length:
            raise Refused(HTTPStatus.BAD_REQUEST, "the body is shorter than Content-Length says")
        self.since = None
        return body

    def send_json(self, status, content, **headers):
        self.since = time.monotonic()  # from here on it is the client who may be slow
        body = json.dumps(content).encode() + b"\n"
        self.send_response(status)
        self.send_header("Content-Type", JSON)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name, value)
        if self.has_unread_body or self.server.is_ending:
            self.send_header("Connection", "close")
            self.close_connection = True
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def send_refusal(self, error):
        self.send_json(error.status, {"error": str(error)}, **error.headers)

    def send_error(self, code, message=None, explain=None):
        """What http.server itself refuses, such as a first line that is none."""
        status = HTTPStatus(code)
        self.request_version = self.protocol_version  # a first line that is none names no other
        self.has_unread_body = True
        self.send_json(status, {"error": message or status.description or status.phrase})

    def linger(self):
        """Read on a little: a connection closed over unread data takes the answer along."""
        until = time.monotonic() + SECONDS_TO_READ_A_REFUSAL
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_WR)
            while (left := until - time.monotonic()) > 0:
                self.connection.settimeout(left)
                if not self.connection.recv(1 << 16):
                    break

    def log_message(self, format, *args):
        if self.server.logs:
            super().log_message(format, *args)


def texts_of(body, limits):
    """The texts of a request, or what is wrong with it."""
    try:
        content = json.loads(body)
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else error
        raise Refused(HTTPStatus.BAD_REQUEST, f"the body must be JSON: {reason}") from None
    if not isinstance(content, dict) or content.keys() != {"texts"}:
        raise Refused(HTTPStatus.BAD_REQUEST, 'the body must be an object {"texts": [...]}')
    texts = content["texts"]
    if not isinstance(texts, list) or not texts:
        raise Refused(HTTPStatus.BAD_REQUEST, "texts must be a list with at least one text")
    if len(texts) > limits.texts:
        message = f"there must be at most {limits.texts:,} texts, got {len(texts):,}"
        raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, message)
    for i, text in enumerate(texts):
        if not isinstance(text, str):
            kind = "null" if text is None else type(text).__name__
            raise Refused(HTTPStatus.BAD_REQUEST, f"texts[{i}] must be a string, got {kind}")
        if len(text) > limits.characters:
            message = f"texts[{i}] must have at most {limits.characters:,} characters"
            raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"{message}, got {len(text):,}")
    return texts


class Service(ThreadingHTTPServer):
    """The server: a model, limits, and the connections that there are.

    Parameters
    ----------
    model : Model
    address : tuple of (str, int), default=("127.0.0.1", 0)
        Port 0: any that is free; `url` says which.
    limits : Limits, default=Limits()
    logs : bool, default=False
        Whether every request is a line on standard error.
    """

    daemon_threads = False  # `server_close` waits for them
    request_queue_size = 128

    def __init__(self, model, address=("127.0.0.1", 0), limits=Limits(), logs=False):
        self.model, self.limits, self.logs = model, limits, logs
        self.is_ending = False
        self._handlers = set()
        self._slots = threading.BoundedSemaphore(limits.connections)
        super().__init__(address, Handler)

    @property
    def url(self):
        return f"http://{self.server_address[0]}:{self.server_address[1]}"

    def enter(self, handler):
        self._handlers.add(handler)
        if self.is_ending:  # it came in while the others were told
            _hang_up(handler, socket.SHUT_RD)

    def leave(self, handler):
        self._handlers.discard(handler)

    def process_request(self, request, client_address):
        if not self._slots.acquire(blocking=False):
            return self._turn_away(request)
        try:
            super().process_request(request, client_address)
        except BaseException:  # no thread was to be had
            self._slots.release()
            raise

    def process_request_thread(self, request, client_address):
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._slots.release()

    def _turn_away(self, request):
        body = b'{"error": "too many connections, try again"}\n'
        head = (
            f"HTTP/1.1 503 Service Unavailable\r\nContent-Type: {JSON}\r\nRetry-After: 1\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        with suppress(OSError):
            request.settimeout(0)  # this is the thread that accepts: it waits for nobody
            request.sendall(head.encode() + body)
        self.shutdown_request(request)

    def service_actions(self):
        """Twice a second: hang up on clients that are too slow, or idle for too long."""
        now = time.monotonic()
        for handler in list(self._handlers):
            if handler.since is not None and now - handler.since > self.limits.seconds:
                _hang_up(handler, socket.SHUT_RDWR)

    def handle_error(self, request, client_address):
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)

    def end(self, seconds=10.0):
        """Accept no more, let what has been received be answered, and close.

        Must not be called by the thread that runs `serve_forever`.
        """
        self.shutdown()
        self.socket.close()  # who comes now is refused, not left to wait
        self.is_ending = True
        for handler in list(self._handlers):
            if not handler.is_reading:
                _hang_up(handler, socket.SHUT_RD)
        until = time.monotonic() + seconds
        while self._handlers and time.monotonic() < until:
            time.sleep(0.01)
        for handler in list(self._handlers):
            _hang_up(handler, socket.SHUT_RDWR)
        self.server_close()


def _hang_up(handler, how):
    with suppress(OSError):  # the client was faster
        handler.connection.shutdown(how)


def parse_arguments(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path, help="what joblib or skops has saved")
    parser.add_argument("--host", default="127.0.0.1", help="default: this machine only")
    parser.add_argument("--port", type=int, default=8000, help="0: any that is free")
    parser.add_argument("--log", action="store_true", help="a line for each request")
    for limit in fields(Limits):
        text = f"most {limit.name} (default: {limit.default:,})"
        option = {"type": limit.type, "default": limit.default, "metavar": "N", "help": text}
        parser.add_argument(f"--{limit.name}", **option)
    return parser.parse_args(arguments)


def main():
    arguments = parse_arguments()
    if not arguments.model.is_file():
        sys.exit(f"{arguments.model} is no file: name one that joblib or skops has saved")
    limits = Limits(**{limit.name: getattr(arguments, limit.name) for limit in fields(Limits)})
    service = Service(
        Model.load(arguments.model), (arguments.host, arguments.port), limits, arguments.log
    )
    told = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: told.set())
    accepting = threading.Thread(target=service.serve_forever, daemon=True)
    accepting.start()
    print(f"{arguments.model.name} answers at {service.url}", flush=True)
    told.wait()
    service.end()
    print("ended", flush=True)


if __name__ == "__main__":
    main()
