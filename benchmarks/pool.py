"""The parent's side of the workers: one fresh process for each contender."""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PATIENCE = 600.0
"""Seconds that a worker may take for one answer: compilers take their time."""


class WorkerFailed(Exception):
    """A worker ended, or said why it can't go on; the message is one sentence."""


class Worker:
    """A contender in a process of its own."""

    def __init__(self, contender: str, problem: Path) -> None:
        self.contender = contender
        self.errors: Any = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115 (close)
        # Its own session: a Ctrl-C is heard here alone, and what was measured can be printed.
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.worker", contender, str(problem)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            cwd=Path(__file__).parent.parent,
            start_new_session=True,
        )
        self.hello: dict[str, Any] = {}

    def greet(self) -> None:
        """Wait until it is set up and has said its losses."""
        self.hello = self._answer()

    def burst(self, epochs: int) -> dict[str, Any]:
        """Let it train for some epochs; return the seconds and its peak memory."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"burst {epochs}\n".encode())
        self.process.stdin.flush()
        return self._answer()

    def close(self) -> None:
        """End it."""
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout, self.errors):
            assert stream is not None
            stream.close()

    def _answer(self) -> dict[str, Any]:
        output = self.process.stdout
        assert output is not None
        until, line = time.monotonic() + PATIENCE, b""
        with selectors.DefaultSelector() as selector:
            selector.register(output, selectors.EVENT_READ)
            while not line.endswith(b"\n"):
                if not selector.select(until - time.monotonic()):
                    raise WorkerFailed(f"{self.contender} gave no answer in {PATIENCE:.0f} s.")
                part = os.read(output.fileno(), 65536)
                if not part:
                    raise WorkerFailed(f"{self.contender} ended: {self._last_words()}")
                line += part
        told: dict[str, Any] = json.loads(line)
        if "error" in told:
            raise WorkerFailed(f"{self.contender} failed: {told['error']}")
        return told

    def _last_words(self) -> str:
        self.process.wait()
        self.errors.seek(0)
        lines = self.errors.read().strip().splitlines()
        return lines[-1] if lines else f"exit status {self.process.returncode}"


@contextmanager
def started(contenders: Sequence[str], problem: Path) -> Iterator[dict[str, Worker | str]]:
    """Start a worker for each contender, as many at a time as there are cores.

    Yields what became of each: the worker, or why there is none.
    """
    workers: list[Worker] = []

    def start(contender: str) -> Worker | str:
        worker = Worker(contender, problem)
        workers.append(worker)
        try:
            worker.greet()
        except WorkerFailed as failure:
            return str(failure)
        return worker

    pool = ThreadPoolExecutor(max_workers=os.cpu_count() or 1)
    try:
        yield dict(zip(contenders, pool.map(start, contenders), strict=True))
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        for worker in workers:
            worker.close()
