"""Runs that are stopped, each in a process of its own: a whole file or none, and no traceback."""

from __future__ import annotations

import builtins
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fuzzing import small

from compare.console.command import load_tensorflow

RECORD = ["record", "mazur", "--steps", "100000", "--out", "out"]
MODEL = ["model", "m.keras", "--steps", "100000", "--batch-size", "1", "--json", "out"]
TELLING = """
import sys
from compare.cli import main
from compare.steps.following import Follower

own = Follower.step
taken = []

def step(self, *arguments):
    own(self, *arguments)
    taken.append(1)
    if len(taken) == 3:
        print("three steps", flush=True)

Follower.step = step
main(sys.argv[1:])
"""
"""Runs a command that says when three steps have been compared: then it can be stopped."""


def started(folder: Path, arguments: list[str], telling: bool = False) -> subprocess.Popen[str]:
    folder.mkdir()
    small().save(folder / "m.keras")
    return subprocess.Popen(
        [sys.executable, "-u", *(["-c", TELLING] if telling else ["-m", "compare"]), *arguments],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def has_begun(folder: Path) -> bool:
    """Say whether a record is being written: more than one step of it."""
    return bool([*folder.glob(".*.part/step-2.npz")])


def listed(folder: Path) -> list[str]:
    return sorted(one.name for one in folder.iterdir() if one.name != "m.keras")


def test_runs_that_are_stopped(tmp_path: Path) -> None:
    """All at once, since TensorFlow takes its time to load."""
    ends = {}
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        folder = tmp_path / number.name
        ends[started(folder, RECORD)] = folder, number
    model = started(tmp_path / "model", MODEL, telling=True)
    for process, (folder, number) in ends.items():
        until(lambda folder=folder: has_begun(folder), process)
        process.send_signal(number)
    assert model.stdout is not None
    assert model.stdout.readline() == "m.keras: small, 43 weights\n"
    assert model.stdout.readline() == "three steps\n"
    model.send_signal(signal.SIGINT)
    for process in (*ends, model):
        out, err = process.communicate(timeout=120)
        assert "Traceback" not in out + err
        folder, number = ends.get(process, (tmp_path / "model", signal.SIGINT))
        assert process.returncode == (-number if number == signal.SIGKILL else 130), out + err
        if process is model:
            assert "Interrupted. Compared so far:" in out
            report = json.loads((folder / "out").read_bytes())
            assert report["ok"] and 3 <= report["steps"] < 100_000
            assert listed(folder) == ["out"]
        elif number == signal.SIGKILL:
            (left,) = listed(folder)
            assert left.startswith(".out.") and left.endswith(".part")
        else:
            assert err == "Interrupted.\n"
            assert listed(folder) == []


def until(is_so: Callable[[], Any], process: subprocess.Popen[str]) -> None:
    end = time.monotonic() + 120
    while not is_so():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.05)


def test_an_interruption_while_tensorflow_loads_is_heeded_afterwards(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Amid its import it would bring the process down: a segmentation fault, now and then."""

    done: list[str] = []
    own = builtins.__import__

    def interrupted(name: str, *arguments: Any, **options: Any) -> Any:
        if name == "keras_models":
            signal.raise_signal(signal.SIGINT)
            done.append(name)
        return own(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", interrupted)
    with pytest.raises(KeyboardInterrupt):
        load_tensorflow()
    assert done == ["keras_models"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize("moment", range(25))
@pytest.mark.slow
def test_ctrl_c_at_any_moment(moment: int, tmp_path: Path) -> None:
    process = started(tmp_path / "a", [*RECORD[:3], "300", *RECORD[4:]])
    time.sleep(0.3 + 0.2 * moment)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert "Traceback" not in out + err
    assert process.returncode == 130, out + err
    assert listed(tmp_path / "a") == []


def test_a_reader_that_has_gone(tmp_path: Path) -> None:
    """As in ``python -m compare list | head -1``: no word, and no verdict."""
    process = started(tmp_path / "a", ["list"])
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait() == 141
