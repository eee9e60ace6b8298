"""What the fuzzed tests share: a folder of files good and bad, hostile texts, and a time limit."""

from __future__ import annotations

import os
import random
import signal
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras
import numpy as np

from compare.findings.report import Report
from compare.records.taking import written
from compare.saved.training import Training

HOSTILE = [
    "../../x",
    "a\nb",
    "\x1b[31mred\x1b[0m",
    "\x9b2J\x07\r",
    "\u202egnp.exe",
    "{}{step}{0.__class__}",
    "[bold]b[/bold][/]",
    "'\"`$(reboot)`\"'",
    '"""\\N{x}',
    "ü’🙂",
    "half \udcff",
    "n" * 5000,
    "-",
    "--",
    "",
    " ",
    "~",
    "%s%n",
    "&lt;<![CDATA[",
]
"""Names that somebody may have thought of."""


def small(name: str = "small", **names: str) -> keras.Model:
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(5, "tanh", name=names.get("hidden", "hidden")),
            keras.layers.Dense(3, "softmax", name=names.get("out", "out")),
        ],
        name=name,
    )
    model.compile("adam", "sparse_categorical_crossentropy")
    return model


def taken(folder: Path, model: keras.Model | None = None, steps: int = 1) -> Path:
    """Take a record of a step, or of more."""
    draw = np.random.default_rng(0)
    x, y = draw.normal(size=(16, 4)), draw.integers(0, 3, 16)
    training = Training(model or small(), x, y, None, 8, steps, "small")
    written(training, Report("", ""), folder, None, 0)
    return folder


GARBAGE = random.Random(0).randbytes(3000)
STEP = "def step(weights, x, y):\n    return [0 * one for one in weights]\n"


def furnish(here: Path) -> None:
    """Fill a folder with what a command line may name, good and bad."""
    small().save(here / "good.keras")
    draw = np.random.default_rng(0)
    x, y = draw.normal(size=(16, 4)), draw.integers(0, 3, 16)
    np.savez(here / "data.npz", x=x, y=y)
    np.save(here / "x.npy", x)
    np.save(here / "y.npy", y)
    np.savetxt(here / "data.csv", np.column_stack([x, y]), delimiter=",")
    (here / "good.py").write_text(STEP)
    (here / "two.py").write_text(STEP + STEP.replace("step", "other"))
    worked = Path(__file__).parents[2] / "compare" / "exercises" / "worked"
    (here / "lessons").mkdir()
    for name in ("mazur", "study_hours"):
        text = (worked / f"{name}.py").read_text(encoding="utf-8")
        (here / "lessons" / f"{name}.py").write_text(text, encoding="utf-8")
    (here / "solution.py").write_text(text, encoding="utf-8")
    (here / "gaps.py").write_text(text.replace("# gap", "# left") + "\n", encoding="utf-8")
    taken(here / "record")
    taken(here / "other record")
    odd = small()
    odd.set_weights([2 * weight for weight in odd.get_weights()])
    taken(here / "odd record", odd)
    (here / "half a record").mkdir()
    (here / "half a record" / "manifest.json").write_text('{"format": "keras-lockstep record"')
    for kind in ("keras", "npz", "npy", "csv", "py"):
        (here / f"garbage.{kind}").write_bytes(GARBAGE)
        (here / f"empty.{kind}").touch()
        (here / f"folder.{kind}").mkdir()
        (here / f"memory.{kind}").symlink_to("/proc/self/mem")
        (here / f"circle.{kind}").symlink_to(f"circle.{kind}")
        (here / f"zero.{kind}").symlink_to("/dev/zero")
        os.mkfifo(here / f"pipe.{kind}")
        (here / f"a\nb\x1b[31m.{kind}").write_bytes(GARBAGE[:99])
    (here / "lessons" / "pipe.py").symlink_to("../pipe.py")
    with zipfile.ZipFile(here / "nothing.keras", "w") as archive:
        archive.writestr("config.json", "{}")
    for device in ("full", "null"):
        (here / device).symlink_to(f"/dev/{device}")
    (here / "closed").mkdir(mode=0o500)
    (here / "unread.keras").write_bytes(GARBAGE)
    (here / "unread.keras").chmod(0)


def tree(folder: Path) -> dict[str, Any]:
    """Return all that lies below a folder: what it is, and when it was written."""
    found: dict[str, Any] = {}
    for where, folders, files in os.walk(folder):
        for name in folders + files:
            path = os.path.join(where, name)  # noqa: PTH118  (a name may be any bytes)
            stat = os.lstat(path)
            found[path] = stat.st_mode, stat.st_size, stat.st_mtime_ns, stat.st_ino
    return {path: one for path, one in found.items() if not os.path.isdir(path)}  # noqa: PTH112


def header(shape: str, kind: str = "<f4") -> bytes:
    """Return an array of which there is only the description."""
    text = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}".encode()
    text = text.ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


class Hangs(BaseException):
    """Nothing that anybody catches."""


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Fail if something takes longer: it hangs."""

    def hangs(number: int, frame: Any) -> None:
        raise Hangs(f"for {seconds} s")

    before = signal.signal(signal.SIGALRM, hangs)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
