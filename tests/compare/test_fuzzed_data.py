"""Data in files that nobody should have: each is trained on, or refused in a sentence."""

from __future__ import annotations

import io
import random
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from fuzzing import GARBAGE, HOSTILE, header, small, within

from compare import BadInput, lockstep
from compare.saved import read_data

DRAW = np.random.default_rng(0)
X, Y = DRAW.normal(size=(8, 4)), DRAW.integers(0, 3, 8)
ROWS = "".join(f"{','.join(map(repr, row.tolist()))},{y}\n" for row, y in zip(X, Y, strict=True))


@pytest.fixture(scope="module")
def model() -> keras.Model:
    model = small()
    model.run_eagerly = True
    return model


@pytest.fixture
def outcome(model: keras.Model) -> Callable[..., str]:
    """Return a function that trains on files; it returns the line that refuses them, or nothing."""

    def tried(*paths: Path) -> str:
        with within(30):
            try:
                x, y, weight = read_data(paths, model)
                assert lockstep(model, x, y, sample_weight=weight, steps=1).ok
            except BadInput as error:
                told = str(error)
                assert told.endswith((".", ")")) and len(told) < 20_000, told
                return told
        return ""

    return tried


def as_bytes(save: Any, *given: Any, **named: Any) -> bytes:
    stream = io.BytesIO()
    save(stream, *given, **named)
    return stream.getvalue()


ODD_X = [
    (np.array([{}] * 8, object), "pickled objects"),
    (X + 1j, "must hold numbers. Received: dtype complex128"),
    (X.astype("U9"), "must hold numbers. Received: dtype <U"),
    (X.astype("S9"), "must hold numbers. Received: dtype |S9"),
    (X.astype("M8[s]"), "must hold numbers. Received: dtype datetime64[s]"),
    (X.astype("m8[s]"), "must hold numbers. Received: dtype timedelta64[s]"),
    (np.zeros(8, "f4,i4"), "must hold numbers. Received: dtype [('f0'"),
    (np.zeros((8, 0)), "takes samples of shape (4,). Received: (0,)"),
    (np.zeros((0, 4)), "holds no samples"),
    (np.float64(1), "holds no samples"),
    (X.astype("f16"), "must hold numbers. Received: dtype float128"),
    (np.zeros((8, 1, 2, 2)), "takes samples of shape (4,)"),
    (X * np.inf, "not finite"),
    (X * 1e300, "not finite"),
    (X[:5], "one row per sample"),
    (X.astype("f2"), ""),
    (X.astype(">f8"), ""),
    (X > 0, ""),
    (X.astype("u1"), ""),
]


@pytest.mark.parametrize(("x", "told"), ODD_X)
def test_arrays(x: Any, told: str, outcome: Any, tmp_path: Path) -> None:
    path, y = tmp_path / "x.npz", tmp_path / "y.npy"
    path.write_bytes(as_bytes(np.savez, x=x, y=Y))
    (tmp_path / "x.npy").write_bytes(as_bytes(np.save, x, allow_pickle=True))
    y.write_bytes(as_bytes(np.save, Y))
    for paths in ((path,), (tmp_path / "x.npy", y)):
        found = outcome(*paths)
        assert told in found and bool(told) == bool(found)
    path.write_bytes(as_bytes(np.savez, x=X, y=Y, sample_weight=x))
    assert outcome(path) != "" or x.shape == (8,)


def test_ragged_rows_are_objects_to_numpy(outcome: Any, tmp_path: Path) -> None:
    ragged = np.array([[1.0], [1.0, 2.0]], object)
    (tmp_path / "x.npz").write_bytes(as_bytes(np.savez, x=ragged, y=Y))
    assert "pickled objects" in outcome(tmp_path / "x.npz")


LIES = ["(1000000000000, 4)", "(10000000000, 4)", "(4611686018427387904, 4)", "(-8, 4)", "(8, 4"]
LIES += [
    f"({'9' * 50}, 4)",
    "(" * 90,
    "__import__('os').abort()",
    "(8.5, 4)",
    "8",
    "(8, 4), 'x': 1",
]


@pytest.mark.parametrize("shape", LIES)
def test_shapes_that_lie(shape: str, outcome: Any, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("x.npy", header(shape) + bytes(64))
        archive.writestr("y.npy", as_bytes(np.save, Y))
    (tmp_path / "x.npy").write_bytes(header(shape) + bytes(64))
    (tmp_path / "y.npy").write_bytes(as_bytes(np.save, Y))
    assert "can't be read" in outcome(tmp_path / "x.npz")
    assert "can't be read" in outcome(tmp_path / "x.npy", tmp_path / "y.npy")


def test_damaged_archives(model: keras.Model, tmp_path: Path) -> None:
    """What is read all the same is what was written."""
    draw, path = random.Random(0), tmp_path / "x.npz"
    whole = as_bytes(np.savez, x=X, y=Y)
    refused = 0
    for number in range(150):
        damaged = bytearray(whole[: len(whole) * number // 50] if number < 50 else whole)
        if number >= 50:
            damaged[draw.randrange(len(damaged))] ^= 1 << draw.randrange(8)
        path.write_bytes(damaged)
        try:
            x, y, _ = read_data([path], model)
        except BadInput:
            refused += 1
        else:
            assert number >= 50
            np.testing.assert_array_equal(x, X)
            np.testing.assert_array_equal(y, Y)
    assert 120 < refused < 150


def test_members_that_are_no_arrays(outcome: Any, tmp_path: Path) -> None:
    for content in (b"", GARBAGE, b"1,2,3"):
        with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
            archive.writestr("x", content)
            archive.writestr("y.npy", as_bytes(np.save, Y))
        assert outcome(tmp_path / "x.npz") != ""
    for name in (one for one in HOSTILE if one.isprintable() or "\n" in one):
        (tmp_path / "x.npz").write_bytes(as_bytes(np.savez, x=X, y=Y, **{name.replace("/", ""): X}))
        assert outcome(tmp_path / "x.npz") != ""
    assert [one.name for one in tmp_path.iterdir()] == ["x.npz"]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (ROWS.encode(), ""),
        (ROWS.rstrip().encode(), ""),
        (ROWS.replace("\n", "\r\n").encode(), ""),
        (b"\xef\xbb\xbf" + ROWS.encode(), ""),
        (b"\xef\xbb\xbfa,b,c,d,y\n" + ROWS.encode(), ""),
        (b'"a\nb",b,c,d,y\n' + ROWS.encode(), ""),
        (ROWS.encode("utf-16"), "can't be read"),
        (ROWS.encode("utf-32"), "can't be read"),
        (GARBAGE, "can't be read"),
        (b"\0" * 999, "holds"),
        (ROWS.encode() + b"1,2\0,3,4,0\n", "holds '2\\x00', which is no number"),
        (ROWS.encode() + b'"1\n",2,3,4,0\n', ""),
        (ROWS.encode() + b'1,2,3,4,"0\n', ""),
        (ROWS.encode() + b"1,2,3,4,\n", "holds '', which is no number"),
        (ROWS.encode() + b"1;2;3;4;0\n", "has 1 columns, and those before it have 5"),
        (b"1," * 5_000_000 + b"0\n", "The output 'out' has the shape (3,)" ),
        (b"1" * 10_000_000, "field larger than field limit"),
        (b"9" * 100_000 + b",1,2,3,0\n", "not finite"),
        (b"1_0,1,2,3,0\n", ""),
        ("١,1,2,3,0\n".encode(), ""),
        (b"nan,1,2,3,0\n", "not finite"),
        (b"\x1b[31m,1,2,3,0\n" * 2, "Line 2 of"),
        (b"\n" * 100_000, "holds no samples"),
        (b",,,,\n,,,,\n", "holds '', which is no number"),
    ],
)  # fmt: skip
def test_tables(content: bytes, told: str, outcome: Any, tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_bytes(content)
    found = outcome(tmp_path / "x.csv")
    assert told in found and bool(told) == bool(found)


def test_paths(outcome: Any, tmp_path: Path) -> None:
    for name in ("no\0thing.csv", "n" * 5000 + ".npz", "half \udcff.npz", "circle.csv", "mem.npz"):
        if name.startswith(("circle", "mem")):
            (tmp_path / name).symlink_to(name if name[0] == "c" else "/proc/self/mem")
        assert outcome(tmp_path / name) != ""
