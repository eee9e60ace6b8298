"""Records damaged in every way: what is read is what was written, or it is refused in a line."""

from __future__ import annotations

import hashlib
import io
import json
import os
import random
import shutil
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from fuzzing import GARBAGE, HOSTILE, header, taken, within

from compare.cli import main
from compare.errors import BadInput
from compare.records import Difference, Record, diff
from compare.records.record import sealed
from compare.strict_json import as_json

MANIFEST, FILE = "manifest.json", "step-1.npz"
Tried = Callable[[], str]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return taken(tmp_path_factory.mktemp("records") / "a")


@pytest.fixture
def copied(recorded: Path, tmp_path: Path) -> Path:
    """A copy of the record, to be damaged."""
    return Path(shutil.copytree(recorded, tmp_path / "b"))


@pytest.fixture
def tried(recorded: Path, copied: Path) -> Iterator[Tried]:
    """Give a function that compares the record with its copy and returns why that was refused.

    Or nothing: then the command itself has said so, in lines that no terminal is steered by.
    """
    counts: Counter[str] = Counter()

    def try_it() -> str:
        told = ""
        with within(10):
            try:
                result = diff(recorded, copied)
                assert isinstance(result, Difference)
                assert result.compared > 0
                lines = CliRunner().invoke(main, ["diff", str(recorded), str(copied)])
                assert lines.exit_code == (0 if result.ok else 1), lines.output
                assert "\x1b" not in lines.output
                as_json(result.as_dict())
            except BadInput as error:
                told = str(error)
                assert "\n" not in told and told.endswith((".", ")")) and len(told) < 20_000, told
        counts[told and "refused"] += 1
        return told

    yield try_it
    assert counts["refused"] > 0


def same(recorded: Path, copied: Path) -> bool:
    one, other = Record(recorded).quantities(1), Record(copied).quantities(1)
    return [(a.key, a.value.tobytes()) for a in one] == [(b.key, b.value.tobytes()) for b in other]


# ---------------------------------------------------------------------- as they lie on the disk


@pytest.mark.parametrize("name", [MANIFEST, FILE])
def test_truncated_and_flipped(name: str, recorded: Path, copied: Path, tried: Tried) -> None:
    """Whatever happens to the bytes, it is noticed: or nothing that is read has changed."""
    draw, file = random.Random(0), copied / name
    whole = file.read_bytes()
    for number in range(200):
        damaged = bytearray(whole[: len(whole) * number // 100] if number < 100 else whole)
        for _ in range(0 if number < 100 else draw.choice([1, 1, 9])):
            damaged[draw.randrange(len(damaged))] ^= 1 << draw.randrange(8)
        file.write_bytes(damaged)
        assert tried() != "" or same(recorded, copied)


def test_what_stands_in_place_of_a_file(recorded: Path, copied: Path, tried: Tried) -> None:
    outside = copied.parent / "outside"
    outside.write_bytes(GARBAGE)
    for name in (MANIFEST, FILE):
        for put in (
            lambda file: file.mkdir(),
            lambda file: os.mkfifo(file),
            lambda file: file.symlink_to(outside),
            lambda file: file.symlink_to("/proc/self/mem"),
            lambda file: file.symlink_to("/dev/zero"),
            lambda file: file.symlink_to(file.name),
            lambda file: file.touch(),
        ):
            (copied / name).unlink()
            put(copied / name)
            assert tried() != ""
            shutil.rmtree(copied)
            shutil.copytree(recorded, copied)
    (copied / FILE).unlink()
    (copied / FILE).symlink_to(recorded / FILE)  # what it says is what was written
    assert tried() == ""


# ---------------------------------------------------------------------- a manifest with its seal


ODD: list[Any] = [None, True, 0, -1, 2**70, 10**400, 0.5, float("nan"), float("inf"), "", [], {}]
ODD += [[[]], {"": None}, "half \ud800", "input", "weight", "step-99.npz", *HOSTILE]


def places(part: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    if isinstance(part, (dict, list)):
        for key, one in part.items() if isinstance(part, dict) else enumerate(part):
            yield from places(one, (*path, key))


def seal(folder: Path, manifest: Any) -> None:
    if isinstance(manifest, dict):
        manifest["sha256"] = sealed(manifest)
    (folder / MANIFEST).write_text(json.dumps(manifest))


@pytest.mark.parametrize("times", [400, pytest.param(20_000, marks=pytest.mark.slow)])
def test_anything_in_a_manifest(times: int, recorded: Path, copied: Path, tried: Tried) -> None:
    text = (recorded / MANIFEST).read_text()
    draw, where = random.Random(times), list(places(json.loads(text)))
    agreed = 0
    for _ in range(times):
        manifest = json.loads(text)
        path = draw.choice([one for one in where[:60] if one] + where[60:])
        part = manifest
        for key in path[:-1]:
            part = part[key]
        if draw.random() < 0.2:
            del part[path[-1]]
        else:
            part[path[-1]] = draw.choice(ODD)
        seal(copied, manifest)
        agreed += tried() == ""
    assert 0 < agreed < times


def test_a_manifest_that_nests_too_deeply(copied: Path, tried: Tried) -> None:
    for depth in (500, 990, 5000, 200_000):
        (copied / MANIFEST).write_text('{"format": ' + "[" * depth + "]" * depth + "}")
        assert tried() != ""


# ---------------------------------------------------------------------- arrays that lie


def with_arrays(folder: Path, members: dict[str, bytes]) -> None:
    """Put these in place of a step's arrays, with all sums right."""
    with zipfile.ZipFile(folder / FILE, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    manifest = json.loads((folder / MANIFEST).read_text())
    manifest["steps"][0]["sha256"] = hashlib.sha256((folder / FILE).read_bytes()).hexdigest()
    seal(folder, manifest)


def as_npy(array: Any, **changes: str) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=True)
    content = stream.getvalue()
    for old, new in changes.items():
        content = content.replace(old.encode(), new.encode())
    return content


ARRAYS = [
    b"",
    GARBAGE,
    header("(1000000000000,)"),
    header("(4294967296, 4294967296)"),
    header("(-1,)"),
    header("(5, 10**9)"),
    header(f"({'9' * 50},)"),
    header("(" * 60),
    header("(3,)", "|O"),
    header("()", "<f9"),
    header("(0,)"),
    as_npy(np.array([{}], object)),
    *(as_npy(np.zeros((4, 5), kind)) for kind in ("c16", "U3", "M8[s]", "i4,f4", "f2", "?", "f16")),
    as_npy(np.zeros((5, 4))),
    as_npy(np.full((4, 5), np.nan)),
    as_npy(np.float32(1)),
]


@pytest.mark.parametrize("what", ["value", "noise", "deviation"])
def test_arrays_that_lie(what: str, recorded: Path, copied: Path, tried: Tried) -> None:
    with zipfile.ZipFile(recorded / FILE) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    listed = json.loads((recorded / MANIFEST).read_text())["steps"][0]["quantities"]
    index = next(
        number
        for number, one in enumerate(listed)
        if (one["phase"], one["name"]) == ("weight", "hidden/kernel")
    )
    name = f"{index}/{what}.npy"
    for array in ARRAYS:
        with_arrays(copied, {**members, name: array})
        told = tried()
        assert told == "" or FILE in told
    for shape in ([10**12], [10**10, 4], [2**62, 2], [10**400]):
        manifest = json.loads((recorded / MANIFEST).read_text())
        manifest["steps"][0]["quantities"][index]["shape"] = shape
        seal(copied, manifest)
        with_arrays(copied, {**members, name: header(f"({', '.join(map(str, shape))},)")})
        assert FILE in tried()
    shutil.copy(recorded / MANIFEST, copied)
    with_arrays(copied, {one: array for one, array in members.items() if one != name})
    assert what == "noise" or FILE in tried()
    names = list(members)
    with_arrays(copied, dict(zip(names, [members[one] for one in reversed(names)], strict=True)))
    assert "has another shape" in tried()
    with_arrays(copied, {**members, "../../outside.npy": members[name]})
    assert tried() == ""
    assert not (copied.parents[1] / "outside.npy").exists()
