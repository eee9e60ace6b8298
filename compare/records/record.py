"""A record on disk: a folder with a manifest and the arrays of each step. Its format is open.

- ``manifest.json`` says what was trained and by what (versions, precision, device, seed), and
  lists for each step its file, that file's SHA-256, and the quantities in it: phase, name, source,
  shape, and how far the worst element was from the derivation by hand. Its own SHA-256 (of the
  same JSON without it: keys sorted, no blanks, ASCII) stands in it as ``sha256``. Phases that
  whoever wrote it could not see are listed under ``unseen``.
- ``step-N.npz`` holds for the i-th quantity the arrays ``i/value``, as Keras computed it;
  ``i/deviation``, the value less the one derived by hand from this step's weights and batch; and
  ``i/noise``, the standard deviation of its rounding error. The last two may be missing together:
  of inputs, and in a record that somebody else has written.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from compare.errors import BadInput, in_a_sentence
from compare.trace import PHASES

FORMAT, VERSION = "keras-lockstep record", 1
MANIFEST = "manifest.json"
DERIVED = "deviation", "noise"


@dataclass(frozen=True)
class Quantity:
    """One quantity of one step.

    Attributes
    ----------
    phase, name : str
    source : str
        Which way it was computed.
    value : array
    deviation, noise : arrays of the same shape, or None
        How far it is from the derivation by hand, and one standard deviation of its rounding.
    distance : float or None
        Of the worst element from its map's derivation, run on Keras's own inputs, in units of
        rounding noise.
    finding : str
        What was said of it, if it disagreed.
    """

    phase: str
    name: str
    source: str
    value: np.ndarray
    deviation: np.ndarray | None = None
    noise: np.ndarray | None = None
    distance: float | None = None
    finding: str = ""

    @property
    def key(self) -> tuple[str, str]:
        """What it is called in both of two records."""
        return self.phase, self.name

    def described(self) -> dict[str, Any]:
        """Return what the manifest says of it."""
        return {
            "phase": self.phase,
            "name": self.name,
            "source": self.source,
            "shape": list(self.value.shape),
            "distance": self.distance,
            "finding": self.finding,
        }


class Record:
    """A record that was read: whole, and as it was written.

    Parameters
    ----------
    folder : path

    Attributes
    ----------
    folder : Path
    about : mapping
        What was trained, by what: the manifest without its steps.
    steps : list of int
        The steps in it, counted from 1.
    unseen : set of str
        Phases that it says nothing of.

    Raises
    ------
    BadInput
        If it isn't there, or was damaged or edited, in one sentence.
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        self.about = _manifest(self.folder)
        self.unseen = frozenset(self.about.get("unseen", ()))
        self._steps: dict[int, dict[str, Any]] = {}
        for entry in self.about.pop("steps"):
            self._steps[entry["step"]] = entry
            file = self.folder / entry["file"]
            try:
                digest = _hash_of(file) if file.is_file() else None
            except OSError as error:
                raise BadInput(f"{str(file)!r} can't be read: {error.strerror}.") from None
            if digest is None:
                raise BadInput(f"The record {str(folder)!r} is not whole: {entry['file']} is gone.")
            if digest != entry["sha256"]:
                raise BadInput(
                    f"The record {str(folder)!r} was damaged or edited: {entry['file']} is not "
                    "what was written."
                )
        self.steps = sorted(self._steps)

    def quantities(self, step: int) -> list[Quantity]:
        """Read the quantities of a step, in causal order."""
        entry = self._steps[step]
        try:
            with np.load(self.folder / entry["file"], allow_pickle=False) as arrays:
                found = [_quantity(arrays, i, one) for i, one in enumerate(entry["quantities"])]
        except Exception as error:  # NumPy has as many errors as there are ways to be broken
            raise BadInput(
                f"{entry['file']} of the record {str(self.folder)!r} can't be read: "
                f"{in_a_sentence(error)}"
            ) from None
        return sorted(found, key=lambda one: PHASES.index(one.phase))


def _quantity(arrays: Mapping[str, np.ndarray], index: int, entry: Mapping[str, Any]) -> Quantity:
    value = arrays[f"{index}/value"]
    has = f"{index}/noise" in arrays
    deviation, noise = (arrays[f"{index}/{what}"] if has else None for what in DERIVED)
    for array in (value, deviation, noise):
        if array is not None and (
            list(array.shape) != entry["shape"] or array.dtype.kind not in "biuf"
        ):
            raise ValueError(f"{entry['name']!r} has another shape than the manifest says")
    distance = None if entry["distance"] is None else float(entry["distance"])
    named = str(entry["phase"]), str(entry["name"]), str(entry["source"])
    return Quantity(*named, value, deviation, noise, distance, str(entry["finding"]))


def sealed(manifest: dict[str, Any]) -> str:
    """Return the SHA-256 of a manifest, leaving aside the one that stands in it."""
    plain = {key: value for key, value in manifest.items() if key != "sha256"}
    text = json.dumps(plain, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _hash_of(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _manifest(folder: Path) -> dict[str, Any]:
    """Read a manifest, and refuse what wasn't written as one."""
    path, told = folder / MANIFEST, repr(str(folder))
    try:
        if not path.is_file():
            raise BadInput(f"There is no record in {told}: it has no {MANIFEST}.")
        manifest = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
            raise BadInput(f"{str(path)!r} is not the manifest of a record.")
        seal = sealed(manifest)
    except BadInput:
        raise
    except OSError as error:
        raise BadInput(f"The record {told} can't be read: {error.strerror}.") from None
    except (ValueError, RecursionError):
        raise BadInput(f"The record {told} is damaged: its {MANIFEST} is no JSON.") from None
    if manifest.get("version") != VERSION:
        raise BadInput(
            f"The record {told} has version {manifest.get('version')!r} of the format, and this "
            f"program reads version {VERSION}."
        )
    if seal != manifest.get("sha256"):
        raise BadInput(f"The record {told} was damaged or edited: its {MANIFEST} doesn't add up.")
    if not _is_well_formed(manifest):
        raise BadInput(f"The manifest of the record {told} doesn't say what it should.")
    return manifest


_OF_STEP = {"step": int, "epoch": int, "file": str, "sha256": str, "quantities": list}
_OF_QUANTITY = {"phase": str, "name": str, "source": str, "shape": list, "finding": str}


def _is_well_formed(manifest: Mapping[str, Any]) -> bool:
    """Say whether a manifest has all that is read of it, of the right kind."""
    steps, unseen = manifest.get("steps"), manifest.get("unseen", [])
    if not isinstance(unseen, list) or not set(map(str, unseen)) <= set(PHASES):
        return False
    if not isinstance(steps, list) or not isinstance(manifest.get("made_by"), dict):
        return False
    return all(
        _has(entry, _OF_STEP)
        and re.fullmatch(r"step-\d+\.npz", entry["file"]) is not None
        and all(
            _has(one, _OF_QUANTITY)
            and one["phase"] in PHASES
            and isinstance(one.get("distance", ""), (int, float, type(None)))
            for one in entry["quantities"]
        )
        for entry in steps
    )


def _has(entry: Any, kinds: Mapping[str, type]) -> bool:
    return isinstance(entry, dict) and all(
        isinstance(entry.get(key), kind) for key, kind in kinds.items()
    )
