"""Names that would steer a terminal, break JSON or XML, or lead elsewhere: they are only names."""

from __future__ import annotations

import ast
import io
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import keras
import numpy as np
import pytest
from click.testing import CliRunner, Result
from fuzzing import HOSTILE, small, tree

import manual
from compare import Lockstep
from compare.cli import main
from compare.commands.junit import as_junit
from compare.console.command import progress_bar, write_whole
from compare.console.printing import print_report
from compare.console.terminal import Terminal
from compare.derivations import Derivation
from compare.findings.report import Finding, Largest, Report
from compare.records import Quantity
from compare.records.writing import RecordWriter
from compare.rounding.judge import Verdict

STEERS = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
NAMES = [*HOSTILE, "half \ud800", "nul \0", "tab\t"]


def command(*arguments: Any) -> Result:
    result = CliRunner().invoke(main, [*map(str, arguments)], prog_name="python -m compare")
    assert isinstance(result.exception, SystemExit | None), result.output
    assert result.exit_code in (0, 1, 2), result.output
    assert not STEERS.search(result.output), ascii(result.output)
    return result


def well_formed(folder: Path) -> tuple[Any, Any]:
    return json.loads((folder / "out.json").read_bytes()), ElementTree.parse(folder / "out.xml")


# ---------------------------------------------------------------------- models


def test_names_of_models_and_layers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """TensorFlow takes some of them in its scopes, and none of the rest does any harm."""
    monkeypatch.setattr(manual.activations.Tanh, "backward", lambda self, da, z, a: da * (1 - a))
    ended: Counter[int] = Counter()
    for number, name in enumerate(one for one in HOSTILE if one and "/" not in one):
        if "\udcff" in name:
            continue  # Keras can't save it
        folder = tmp_path / str(number)
        folder.mkdir()
        small(name, hidden=f"h{name}", out=f"o{name}").save(folder / "m.keras")
        given = folder / "m.keras", "--steps", 1, "--batch-size", 4
        files = "--json", folder / "out.json", "--junit", folder / "out.xml"
        result = command("model", *given, *files)
        ended[result.exit_code] += 1
        if result.exit_code == 2:
            assert "Error: Keras's fit refuses this: " in result.stderr
            assert {Path(one).name for one in tree(folder)} == {"m.keras"}
        else:
            assert "DISAGREES" in result.output
            assert well_formed(folder)[0]["findings"]
            assert command("record", *given, "--out", folder / "record").exit_code == 1
            assert command("diff", folder / "record", folder / "record").exit_code == 0
    assert ended[1] >= 1 and ended[2] >= 10 and ended[0] == 0


# ---------------------------------------------------------------------- what is printed and written


def report_of(name: str) -> Report:
    """A report in which every name is the same."""
    key = "activation", name, "GradientTape"
    verdict = Verdict(False, 9.0, 8.0, (0,), 1.0, 2.0, 0.1, 3)
    finding = Finding(1, 1, *key, Derivation(name, name, name), verdict, reproduce=name)
    quantities = {key: Largest(9.0, 1, 1, 1), ("loss", name, name): Largest(1.0, 1, 1, 0, 2, 1)}
    report = Report(name, "float32", 1, 1, quantities, [finding], 1)
    report.unverified, report.notes = [name], [f"about {name}"]
    return report


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_reports(name: str, tmp_path: Path) -> None:
    report = report_of(name)
    for is_terminal in (False, True):
        stream = io.StringIO()
        console = Terminal(file=stream, force_terminal=is_terminal, highlight=False)
        print_report(console, report)
        with progress_bar(console) as update:
            update(description=name, status=name)
        ours = re.sub(r"\x1b\[[0-9;?]*[mhlKA]|\r", "", stream.getvalue())
        assert not STEERS.search(ours), ascii(ours)
        assert name not in stream.getvalue() or not STEERS.search(name)
    write_whole(tmp_path / "out.json", report.to_json())
    write_whole(tmp_path / "out.xml", as_junit(report))
    told, suite = well_formed(tmp_path)
    assert told["label"] == name
    assert told["findings"][0]["name"] == name
    assert len(suite.findall("testcase")) == 3


def test_what_the_callback_prints() -> None:
    stream = io.StringIO()
    callback = Lockstep(file=stream)
    callback._say("name \x1b[2J")
    assert stream.getvalue() == "name \\x1b[2J\n"


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_records(name: str, tmp_path: Path) -> None:
    made_by = dict.fromkeys(("keras", "backend", "device", "system"), name)
    for side in "ab":
        about = {"label": name, "dtype": name, "made_by": made_by}
        with RecordWriter(tmp_path / side, about) as writer:
            value, noise = np.full(3, 1.0 + (side == "b")), np.full(3, 1e-9)
            finding = f"title\n  cause: {name}"
            writer.step(1, 1, [Quantity("weight", name, "", value, 0 * noise, noise, 1.0, finding)])
    result = command("diff", tmp_path / "a", tmp_path / "b", "--json", tmp_path / "out.json")
    assert result.exit_code == 1
    assert json.loads((tmp_path / "out.json").read_bytes())["divergences"][0]["name"] == name
    assert {Path(one).name for one in tree(tmp_path)} == {"out.json", "manifest.json", "step-1.npz"}


# ---------------------------------------------------------------------- files


@pytest.mark.parametrize("name", HOSTILE, ids=ascii)
def test_names_of_files(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An exercise and a record are written where it is said, or nowhere, and can be read again."""
    here = tmp_path / "one" / "two"
    here.mkdir(parents=True)
    monkeypatch.chdir(here)
    before = tree(tmp_path)
    result = command("exercise", "mazur_gaps", "--out", name)
    made = [Path(one) for one in tree(tmp_path).keys() - before.keys()]
    if result.exit_code == 0:
        (file,) = made
        asked = here / name / "mazur_gaps.py" if (here / name).is_dir() else here / name
        assert file.resolve() == asked.resolve()
        text = ast.get_docstring(ast.parse(file.read_bytes()))
        assert text is not None and "is it right?" in text
        assert "Still open" in command("check", file).output
    else:
        assert not made and "Error: " in result.stderr
    keras.utils.set_random_seed(0)
    result = command("record", "mazur", "--steps", 1, "--out", f"{name}r")
    if result.exit_code == 0:
        assert sorted(one.name for one in Path(f"{name}r").iterdir()) == [
            "manifest.json",
            "step-1.npz",
        ]
    else:
        assert {one for one in tree(tmp_path) if one not in before} == set(map(str, made))


def test_a_name_that_is_too_long_by_its_bytes(tmp_path: Path) -> None:
    """255 bytes are the most; a temporary name beside it has to have room as well."""
    for name in ("🙂" * 63, "n" * 255):
        for arguments in (["exercise", "mazur_gaps"], ["record", "mazur", "--steps", "1"]):
            place = tmp_path / arguments[0] / name
            place.parent.mkdir(exist_ok=True)
            assert command(*arguments, "--out", place).exit_code == 0
            assert [one.name for one in place.parent.iterdir()] == [name]
            place.rename(place.with_name("out"))
            place.parent.rename(tmp_path / f"{arguments[0]} {len(name)}")
