"""Hundreds of broken and hostile ``.keras`` files: each is loaded, or refused in one line."""

from __future__ import annotations

import copy
import json
import random
import resource
import sys
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import pytest
from fuzzing import HOSTILE, small, tree, within

from compare.errors import BadInput
from compare.saved import drawn_data, loaded_model

CONFIG, WEIGHTS = "config.json", "model.weights.h5"
Members = list[tuple[str, bytes]]


@pytest.fixture(scope="module")
def members(tmp_path_factory: pytest.TempPathFactory) -> Members:
    """What a saved model's archive holds."""
    path = tmp_path_factory.mktemp("saved") / "small.keras"
    small().save(path)
    with zipfile.ZipFile(path) as archive:
        return [(one, archive.read(one)) for one in archive.namelist()]


@pytest.fixture(scope="module")
def config(members: Members) -> Any:
    return json.loads(dict(members)[CONFIG])


def archived(path: Path, members: Members) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members:
            archive.writestr(zipfile.ZipInfo(name), content)
    return path


def with_config(path: Path, members: Members, config: Any) -> Path:
    text = json.dumps(config).encode()
    return archived(path, [(name, text if name == CONFIG else one) for name, one in members])


def outcome(path: Path, dtype: str | None = None) -> str:
    """Load a file and draw data for it; return the line that refuses it, or nothing."""
    with within(20):
        try:
            with loaded_model(path, dtype) as model:
                drawn_data(model, 4)
        except BadInput as error:
            told = str(error)
            assert "\n" not in told and told.endswith((".", ")", "]")) and len(told) < 1000, told
            return told
    return ""


@pytest.fixture
def counted(tmp_path: Path) -> Iterator[Callable[[Path, str | None], None]]:
    """Give a function that tries a file; nothing may be written, imported, or fill the memory."""
    counts: Counter[bool] = Counter()
    before = tree(tmp_path)
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    def tried(path: Path, dtype: str | None = None) -> None:
        counts[outcome(path, dtype) == ""] += 1

    yield tried
    assert counts[False] > 15
    assert {one for one in tree(tmp_path) if one not in before} == {str(tmp_path / "x.keras")}
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - most < 2**20  # in KiB
    assert "antigravity" not in sys.modules


# ---------------------------------------------------------------------- the archive


def test_files_that_end_too_early(members: Members, tmp_path: Path, counted: Any) -> None:
    path = archived(tmp_path / "x.keras", members)
    whole = path.read_bytes()
    for stop in range(0, len(whole), 97):
        path.write_bytes(whole[:stop])
        counted(path)
    path.write_bytes(whole)
    assert outcome(path) == ""


def test_flipped_bits(members: Members, tmp_path: Path, counted: Any) -> None:
    """In the archive as it lies there, and in what is in it, with sums that are right again."""
    draw = random.Random(0)
    path = archived(tmp_path / "x.keras", members)
    whole = path.read_bytes()
    for _ in range(60):
        path.write_bytes(flipped(draw, whole))
        counted(path)
    for _ in range(60):
        name = draw.choice([CONFIG, WEIGHTS])
        some = [(one, flipped(draw, data) if one == name else data) for one, data in members]
        counted(archived(path, some), draw.choice([None, "float64"]))


def flipped(draw: random.Random, content: bytes) -> bytes:
    found = bytearray(content)
    for _ in range(draw.choice([1, 1, 5, 50])):
        found[draw.randrange(len(found))] ^= 1 << draw.randrange(8)
    return bytes(found)


def test_members_gone_twice_and_elsewhere(members: Members, tmp_path: Path, counted: Any) -> None:
    path, names = tmp_path / "x.keras", [name for name, _ in members]
    for name, content in members:
        others = [one for one in members if one[0] != name]
        counted(archived(path, others))
        counted(archived(path, [*others, (name, b"")]))
        for hostile in ("../x", "/tmp/x", *(f"assets/{one}" for one in ("../../x", *HOSTILE[1:5]))):
            counted(archived(path, [*others, (hostile, content)]))
            counted(archived(path, [*members, (hostile, content)]))
    with pytest.warns(UserWarning, match="Duplicate name"):
        counted(archived(path, [*members, *members]))
    swapped = list(zip(names, [content for _, content in reversed(members)], strict=True))
    counted(archived(path, swapped))


# ---------------------------------------------------------------------- the configuration


def called(module: str, name: Any, config: Any = None) -> dict[str, Any]:
    """Return how a configuration names an object of a class."""
    its = {"module": module, "class_name": name, "registered_name": None}
    return {**its, "config": config or {}}


def nested(depth: int) -> Any:
    found: Any = []
    for _ in range(depth):
        found = [found]
    return found


CODE = [
    called("os", "system", {"command": "touch x.keras-was-here"}),
    called("builtins", "eval", "1"),
    called("builtins", "function", "antigravity.geohash"),
    called("antigravity", "geohash"),
    called("keras.utils", "get_file", {"fname": "x", "origin": "file:///etc/passwd"}),
    called(
        "keras.layers", "Lambda", {"function": called("builtins", "__lambda__", {"code": "4w"})}
    ),
    called("keras.layers", "TFSMLayer", {"filepath": "/tmp"}),
]
ODD: list[Any] = [None, True, -1, 0, 10**12, 10**400, 0.5, float("nan"), float("inf"), "no", []]
ODD += [{}, [[]], {"": None}, nested(150), nested(900), "half \ud800", "float64", "string"]
ODD += [*HOSTILE, *CODE]


def places(part: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Give where everything in a configuration stands."""
    yield path
    if isinstance(part, (dict, list)):
        for key, one in part.items() if isinstance(part, dict) else enumerate(part):
            yield from places(one, (*path, key))


def changed(whole: Any, path: tuple[Any, ...], value: Any) -> Any:
    """Return a configuration with something else at a place."""
    if not path:
        return value
    whole = copy.copy(whole)
    whole[path[0]] = changed(whole[path[0]], path[1:], value)
    return whole


@pytest.mark.parametrize("times", [300, pytest.param(10_000, marks=pytest.mark.slow)])
def test_anything_in_a_configuration(
    times: int, members: Members, config: Any, tmp_path: Path, counted: Any
) -> None:
    draw, where = random.Random(times), list(places(config))
    for _ in range(times):
        odd = changed(config, draw.choice(where), draw.choice(ODD))
        path = with_config(tmp_path / "x.keras", members, odd)
        counted(path, draw.choice([None, None, "float64"]))


LAYER = ("config", "layers", 1)


@pytest.mark.parametrize("code", CODE)
@pytest.mark.parametrize(
    "where",
    [(), LAYER, (*LAYER, "config", "activation"), ("compile_config", "loss"), ("compile_config",)],
)
def test_no_code_is_run(
    where: tuple[Any, ...], code: Any, members: Members, config: Any, tmp_path: Path
) -> None:
    path = with_config(tmp_path / "x.keras", members, changed(config, where, code))
    assert outcome(path) != ""
    assert [one.name for one in tmp_path.iterdir()] == ["x.keras"]
    assert "antigravity" not in sys.modules


@pytest.mark.parametrize(
    ("where", "value", "told"),
    [
        ((*LAYER, "config", "units"), 10**12, "A weight of the shape (4, 1000000000000) has no"),
        ((*LAYER, "config", "units"), 10**7, "has no room in a file of that size."),
        (
            ("compile_config", "metrics"),
            [called("keras.metrics", "MeanIoU", {"num_classes": 10**6})],
            "A weight of the shape (1000000, 1000000) has no room in a file of that size.",
        ),
        ((*LAYER, "config", "name"), nested(250), "its config.json nests too deeply."),
    ],
)
def test_sizes_that_cannot_be(
    where: tuple[Any, ...], value: Any, told: str, members: Members, config: Any, tmp_path: Path
) -> None:
    path = with_config(tmp_path / "x.keras", members, changed(config, where, value))
    make = keras.Variable.__init__
    assert told in outcome(path)
    assert keras.Variable.__init__ is make


def test_what_keras_says_of_a_configuration_is_told_without_the_configuration(
    members: Members, config: Any, tmp_path: Path
) -> None:
    odd = changed(config, (*LAYER, "config", "kernel_regularizer"), "no")
    told = outcome(with_config(tmp_path / "x.keras", members, odd))
    assert told.endswith("Keras model: Could not interpret regularizer identifier: no.")


def test_random_data_has_an_end(members: Members, tmp_path: Path) -> None:
    with (
        loaded_model(archived(tmp_path / "x.keras", members)) as model,
        pytest.raises(BadInput, match="would be 4,000,000,000,000 numbers: take fewer --steps"),
    ):
        drawn_data(model, 10**12)


@pytest.mark.parametrize("decay", [10**400, {}, [[]], "no"], ids=repr)
def test_what_only_the_twin_looks_at(
    decay: Any, members: Members, config: Any, tmp_path: Path
) -> None:
    odd = changed(config, ("compile_config", "optimizer", "config", "weight_decay"), decay)
    told = outcome(with_config(tmp_path / "x.keras", members, odd))
    assert told.startswith("The model 'small' can't be rebuilt by hand: ")
