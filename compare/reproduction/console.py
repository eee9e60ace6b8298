"""What a command shows while a finding is made smaller, and what came out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
from rich.progress import Progress, TextColumn

from compare.console.command import stopping_on_ctrl_c
from compare.console.printing import say
from compare.console.terminal import Terminal
from compare.errors import BadInput
from compare.reproduction.reproduce import reproduce


def reproduce_and_tell(path: Path, model: keras.Model, x: Any, y: Any, **options: Any) -> None:
    """Write a training's first disagreement as a script, with a line about how far it is.

    On Ctrl-C the smallest so far is written. What can't be written is said in a sentence: it
    disagrees all the same.

    Parameters
    ----------
    path : Path
    model : keras.Model
        With the weights that its training starts from.
    x, y, **options
        As for `compare.reproduce`.
    """
    console = Terminal(highlight=False)
    columns = TextColumn("{task.description}", markup=False), TextColumn("{task.completed} tried")
    progress = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
    with progress, stopping_on_ctrl_c() as look:
        task = progress.add_task("making it smaller", total=None)

        def show(text: str, done: int, at_most: int) -> None:
            progress.update(task, description=f"making it smaller: {text}"[:60], completed=done)
            look()

        try:
            report = reproduce(model, x, y, path, progress=show, **options)
        except BadInput as error:
            say(console, f"not reproduced: {error}")
            return
    if report.first is None:
        say(console, AGREES_ALONE)
        return
    lines = len(path.read_text(encoding="utf-8").splitlines())
    what = f"{report.first.phase} of {report.first.name}"
    say(console, f"written: {path}, {lines} lines: {what}, with nothing but Keras and NumPy")


def say_nothing_to_reproduce() -> None:
    """Say that there is no disagreement."""
    say(Terminal(highlight=False), "nothing to reproduce: everything agrees")


AGREES_ALONE = (
    "not reproduced: the twin that is built from the model's configuration agrees, so that the "
    "fault is in how the network was put together by hand"
)
