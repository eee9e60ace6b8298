"""Writes a record: step by step beside the place where it will lie, and moved there when whole."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from compare.errors import BadInput
from compare.records.record import DERIVED, FORMAT, MANIFEST, VERSION, Quantity, sealed


class RecordWriter:
    """Writes a record, whole or not at all.

    Use it in a ``with`` statement: where that is left by an error, nothing stays behind.

    Parameters
    ----------
    folder : path
        Where the record will be. Must not exist yet, or be empty.
    about : mapping
        What was trained and by what; see `record`.

    Raises
    ------
    BadInput
        If the folder is taken, or can't be written to.
    """

    def __init__(self, folder: Path | str, about: Mapping[str, Any]) -> None:
        self.folder, self.about = Path(folder), dict(about)
        self.steps: list[dict[str, Any]] = []
        check_free(self.folder)

    def __enter__(self) -> Self:
        where = self.folder.absolute()
        try:
            self._part = Path(
                tempfile.mkdtemp(dir=where.parent, prefix=f".{where.name[:50]}.", suffix=".part")
            )
        except OSError as error:
            raise self._cannot(error) from None
        return self

    def step(self, step: int, epoch: int, quantities: Iterable[Quantity]) -> None:
        """Write the quantities of a step."""
        file, listed, arrays = f"step-{step}.npz", [], {}
        for index, one in enumerate(quantities):
            listed.append(one.described())
            arrays[f"{index}/value"] = one.value
            for what in DERIVED:
                if (array := getattr(one, what)) is not None:
                    arrays[f"{index}/{what}"] = array
        try:
            np.savez(self._part / file, allow_pickle=False, **arrays)
            with (self._part / file).open("rb") as stream:
                digest = hashlib.file_digest(stream, "sha256").hexdigest()
        except OSError as error:
            raise self._cannot(error) from None
        entry = {"step": step, "epoch": epoch, "file": file, "sha256": digest}
        self.steps.append({**entry, "quantities": listed})

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                self._finish()
        except OSError as refused:
            raise self._cannot(refused) from None
        finally:
            shutil.rmtree(self._part, ignore_errors=True)  # where it was moved, nothing is left

    def _finish(self) -> None:
        manifest = {"format": FORMAT, "version": VERSION, **self.about, "steps": self.steps}
        manifest["sha256"] = sealed(manifest)
        text = json.dumps(manifest, indent=1)
        (self._part / MANIFEST).write_text(text + "\n", encoding="utf-8")
        mask = os.umask(0)
        os.umask(mask)
        self._part.chmod(0o777 & ~mask)
        self._part.rename(self.folder.absolute())

    def _cannot(self, error: OSError) -> BadInput:
        return BadInput(f"The record {str(self.folder)!r} can't be written: {error.strerror}.")


def check_free(folder: Path) -> None:
    """Refuse a place for a record that is taken, or where nothing can be written."""
    told = repr(str(folder))
    if not folder.absolute().name or "\0" in str(folder):
        raise BadInput(f"{told} is no name for a record.")
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise BadInput(f"{told} exists already: records are not overwritten, name another.")
        parent = folder.absolute().parent
        if not parent.is_dir():
            raise BadInput(f"The folder {str(parent)!r} doesn't exist: create it.")
        if not os.access(parent, os.W_OK):
            raise BadInput(f"The folder {str(parent)!r} can't be written to.")
    except OSError as error:
        raise BadInput(f"The record {told} can't be written: {error.strerror}.") from None
