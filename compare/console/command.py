"""What every command does beside its work: errors for people, Ctrl-C, whole files."""

from __future__ import annotations

import gc
import os
import shlex
import signal
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from compare.errors import BadInput

if TYPE_CHECKING:
    from rich.console import Console

INTERRUPTED = 130
"""The exit status after Ctrl-C."""


@contextmanager
def stopping_on_ctrl_c() -> Iterator[Callable[[], None]]:
    """Give a function to call now and then: it raises what a Ctrl-C raised and nobody heard.

    An interruption that arrives within a callback of TensorFlow's, or a finaliser, is swallowed.
    What asks a process to end, SIGTERM, is heeded in the same way.
    """
    asked: list[int] = []

    def note(number: int, frame: Any) -> None:
        asked.append(number)
        raise KeyboardInterrupt

    def look() -> None:
        if asked:
            raise KeyboardInterrupt

    with _signalled(note):
        yield look


@contextmanager
def _signalled(heard: Callable[[int, Any], None]) -> Iterator[None]:
    """Let a function hear of what asks to stop."""
    before = {one: signal.signal(one, heard) for one in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


@contextmanager
def progress_bar(console: Console) -> Iterator[Callable[..., None]]:
    """Show on a terminal how far something is; give a function that takes what `rich` updates."""
    from rich.progress import BarColumn, Progress, TextColumn

    progress = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        TextColumn("{task.fields[status]}", markup=False),
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
    A Ctrl-C is heeded only afterwards: one that arrives amid the import brings the process down.
    """
    from compare.errors import check_backend

    backend = os.environ.get("KERAS_BACKEND", "tensorflow")
    if not any_backend:
        check_backend(backend)
    asked: list[int] = []
    with _signalled(lambda number, frame: asked.append(number)):
        try:
            import keras_models  # noqa: F401
        except (ModuleNotFoundError, ValueError) as error:  # not installed, or unknown to Keras
            raise InputError(f"KERAS_BACKEND={backend} can't be loaded: {error}.") from None
    if asked:
        raise KeyboardInterrupt
    gc.freeze()


def command_line() -> str:
    """Return the command that is running, as it can be given again."""
    return shlex.join(["python", "-m", "compare", *click.get_current_context().find_root().obj])


class InputError(click.ClickException):
    """One sentence on standard error, exit status 2."""

    exit_code = 2


@contextmanager
def errors_for_people() -> Iterator[None]:
    """Turn an error that a person can mend into one sentence and exit status 2."""
    try:
        yield
    except BadInput as error:
        raise InputError(str(error)) from None


def check_writable(path: Path, option: str = "--json") -> None:
    """Refuse a file that can't be written before anything is trained.

    What is there and is no file, a device say, is left alone: it would be replaced.
    """
    folder = path.parent
    try:
        if not folder.is_dir():
            raise InputError(f"The folder {str(folder)!r} for {option} doesn't exist: create it.")
        if not os.access(folder, os.W_OK):
            raise InputError(f"The folder {str(folder)!r} for {option} can't be written to.")
        if not stat.S_ISREG(path.stat().st_mode):
            raise InputError(f"{str(path)!r} for {option} is no ordinary file: name another.")
    except FileNotFoundError:
        return
    except (OSError, ValueError) as error:  # too long a name, links in a circle, a NUL
        raise InputError(f"{str(path)!r} for {option} can't be written: {_why(error)}.") from None


def write_whole(path: Path, text: str) -> None:
    """Write the whole file or nothing: to a temporary name first. As open to others as any file.

    Half a character, which JSON may have and UTF-8 has not, is written as JSON and Python do.

    Raises
    ------
    InputError
        If the system refuses: the disk is full, say.
    """
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".part")
        try:
            with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
                file.write(text + "\n")
            mask = os.umask(0)
            os.umask(mask)
            Path(temporary).chmod(0o666 & ~mask)
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise InputError(f"{str(path)!r} can't be written: {_why(error)}.") from None


def _why(error: OSError | ValueError) -> str:
    return getattr(error, "strerror", None) or str(error)
