"""One progress bar over the epochs."""

import sys
import time


class ProgressBar:
    """Bar with elapsed time and the latest scores, redrawn in place on a terminal.

    Elsewhere (a file, a notebook's log) only the finished line is written.
    """

    WIDTH = 20

    def __init__(self, epochs, steps_per_epoch):
        self._epochs = epochs
        self._steps = epochs * steps_per_epoch
        self._done = 0
        self._epoch = 0
        self._scores = ""
        self._start = time.perf_counter()
        self._drawn = 0.0
        self._drawn_width = 0

    def step(self):
        self._done += 1
        now = time.perf_counter()
        if sys.stdout.isatty() and now - self._drawn > 0.1:
            self._drawn = now
            self._draw("\r")

    def epoch(self, scores):
        self._epoch += 1
        self._scores = "  ".join(f"{name} {value:.4f}" for name, value in scores.items())
        if sys.stdout.isatty():
            self._draw("\r")

    def close(self):
        self._draw("\r" if sys.stdout.isatty() else "")
        sys.stdout.write("\n")
        sys.stdout.flush()

    def _draw(self, start):
        filled = self.WIDTH * self._done // max(self._steps, 1)
        bar = "#" * filled + "." * (self.WIDTH - filled)
        seconds = time.perf_counter() - self._start
        line = f"epoch {self._epoch}/{self._epochs} [{bar}] {seconds:.1f}s  {self._scores}".rstrip()
        sys.stdout.write(start + line.ljust(self._drawn_width))
        self._drawn_width = len(line)
        sys.stdout.flush()
