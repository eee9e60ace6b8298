"""What every command does beside its work: errors for people, Ctrl-C, whole files."""

from __future__ import annotations

import gc
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.console import Console

INTERRUPTED = 130
"""The exit status after Ctrl-C."""


@contextmanager
def stopping_on_ctrl_c() -> Iterator[Callable[[], None]]:
    """Give a function to call now and then: it raises what a Ctrl-C raised and nobody heard.

    An interruption that arrives within a callback of TensorFlow's, or a finaliser, is swallowed.
    """
    asked: list[int] = []

    def note(number: int, frame: Any) -> None:
        asked.append(number)
        raise KeyboardInterrupt

    def look() -> None:
        if asked:
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, note)
    try:
        yield look
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def progress_bar(console: Console) -> Iterator[Callable[..., None]]:
    """Show on a terminal how far something is; give a function that takes what `rich` updates."""
    from rich.progress import BarColumn, Progress, TextColumn

    progress = Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        TextColumn("{task.fields[status]}"),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    with progress:
        task = progress.add_task("loading TensorFlow", total=None, status="")
        yield partial(progress.update, task)


def load_tensorflow(*, any_backend: bool = False) -> None:
    """Import the Keras half, and keep the garbage collector off what TensorFlow brought along.

    It would look through those objects again and again, for a quarter of the time of a short run.
    """
    import keras_models  # noqa: F401
    from compare.twins import check_backend

    if not any_backend:
        check_backend()
    gc.freeze()


class InputError(click.ClickException):
    """One sentence on standard error, exit status 2."""

    exit_code = 2


@contextmanager
def errors_for_people() -> Iterator[None]:
    """Turn an error that a person can mend into one sentence and exit status 2."""
    from compare.errors import BadInput

    try:
        yield
    except BadInput as error:
        raise InputError(str(error)) from None
    except KeyboardInterrupt:
        click.echo("Interrupted.", err=True)
        sys.exit(INTERRUPTED)


def check_writable(path: Path, option: str = "--json") -> None:
    """Refuse a file that can't be written before anything is trained."""
    folder = path.parent
    if not folder.is_dir():
        raise InputError(f"The folder {str(folder)!r} for {option} doesn't exist: create it.")
    if not os.access(folder, os.W_OK):
        raise InputError(f"The folder {str(folder)!r} for {option} can't be written to.")


def write_whole(path: Path, text: str) -> None:
    """Write the whole file or nothing: to a temporary name first. As open to others as any file."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".part")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text + "\n")
        mask = os.umask(0)
        os.umask(mask)
        Path(temporary).chmod(0o666 & ~mask)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
