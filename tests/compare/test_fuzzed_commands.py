"""Ten thousand command lines, none of which ends in a traceback, hangs, or writes elsewhere."""

from __future__ import annotations

import os
import random
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable, Hashable
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner
from command_lines import OWN, command_lines
from fuzzing import furnish, tree, within
from keras.config import floatx
from sklearn.datasets import load_digits

from compare.cases.halves import built
from compare.cli import main
from compare.coverage import coverage
from compare.exercises import OWN_FOLDER, attempt
from compare.exercises.source import exercises_in
from compare.explain.step import take_step
from compare.findings.report import Report
from compare.saved import models

LINES = 10_000
TOLD_AT_0 = {
    "list": r"^mazur ",
    "run": r" agrees *$",
    "explain": r"by hand +Keras",
    "check": r"right|^Right",
    "exercise": r"^written: |find the fault",
    "model": r"agrees: ",
    "record": r"^written: ",
    "diff": r"^agree: ",
    "report": r"^written: ",
    "score": r"^caught +1 ",
    "coverage": r"have a twin|^written: |\"entries\"|^$",
}
"""What has to be said where a command ends with 0."""
ALWAYS_0 = ("list", "explain", "exercise", "coverage")
"""What judges nothing."""
OF_DIGITS = ("digits", "bias_trick")


class Verdict:
    """Whether the next training that isn't done shall have agreed."""

    agrees = True

    def report(self) -> Report:
        report = Report("", "float32", steps=1)
        report.agree(1, [(("loss", "total", "model.fit"), 0.5)])
        report.disagreements = 0 if self.agrees else 1
        return report


def cached_by(key: Callable[..., Hashable], function: Callable[..., Any]) -> Callable[..., Any]:
    """Remember what a function gave, by a key of its arguments."""
    known: dict[Hashable, Any] = {}

    def remembering(*given: Any) -> Any:
        its = key(*given)
        if its not in known:
            known[its] = function(*given)
        return known[its]

    return remembering


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder that is furnished, to be copied."""
    folder = tmp_path_factory.mktemp("pristine")
    furnish(folder)
    return folder


@pytest.fixture
def untrained(monkeypatch: pytest.MonkeyPatch) -> Verdict:
    """Leave out what takes long once the arguments are understood, and the files read.

    Training itself (``run_case``, ``Training.follow``, ``measure`` and ``sensitivity``, a number's
    ``readings``, ``check_step``, the judges of exercises) gives what `Verdict` says. The step that
    is explained is a case's first. Networks are built,
    models loaded, and the package's own exercises read, once each; the table of what has a twin is
    a short one.
    """
    verdict = Verdict()

    def run_case(case: Any, settings: Any, *, result: Any, on_report: Any, **_: Any) -> None:
        result.reports += [verdict.report() for _ in case.runs]
        on_report(result.reports[0])

    def follow(self: Any, report: Report, **_: Any) -> None:
        done = verdict.report()
        report.quantities, report.disagreements = done.quantities, done.disagreements

    def measure(bugs: Any, dtypes: Any, *, score: Any, **_: Any) -> None:
        bug = SimpleNamespace(name="a bug", causes=("a cause",))
        told = {"dtype": "float32", "exact": True, "rank": 1, "failed": "", "first": None}
        score.outcomes.append(SimpleNamespace(bug=bug, caught=verdict.agrees, **told))

    def readings(run: Any, way: Any, after: int, read: Any) -> dict[int, float]:
        return dict.fromkeys((after - 1, after, after + 1), 0.29)

    explained = cached_by(
        lambda case, step, settings: case.name, lambda case, step, settings: take_step(case, 1)
    )
    loaded = cached_by(lambda path, dtype, config: (path.name, dtype, floatx()), models._load)
    network = SimpleNamespace(train_on_batch=lambda *_: None)
    for place, instead in {
        "compare.cases.casework.run_case": run_case,
        "compare.saved.training.Training.follow": follow,
        "compare.saved.training.built": cached_by(lambda run: (run.network, run.dtype), built),
        "compare.saved.models._load": loaded,
        "compare.score.measure": measure,
        "compare.score.sensitivity": lambda dtype: [],
        "compare.explain.text.take_step": explained,
        "compare.submissions.asked.readings": readings,
        "compare.submissions.handed_in.built": lambda run: (None, None),
        "compare.submissions.handed_in.check_step": lambda *_, **__: verdict.report(),
        "compare.exercises.attempt.built": lambda run: (network, None),
        "compare.exercises.attempt.RightStep": lambda *_: None,
        "compare.exercises.attempt._JUDGES": dict.fromkeys(attempt._JUDGES, lambda *_: []),
        "compare.coverage.coverage": cache(lambda: coverage()[::200]),
        "compare.exercises.folder.exercises_in": cached_by(
            lambda path: path if path.parent == OWN_FOLDER else object(), exercises_in
        ),
        **{f"compare.cases.{one}.load_digits": cache(load_digits) for one in OF_DIGITS},
    }.items():
        monkeypatch.setattr(place, instead)
    return verdict


def command_of(words: list[str]) -> str:
    return next((word for word in words if not word.startswith("-")), "run")


def check(words: list[str], code: int, out: str, err: str, error: BaseException | None) -> None:
    """Hold the outcome of a command line against what every outcome must be."""
    told = f"{words!r}: {code}\n{out[-2000:]}{err[-2000:]}"
    assert error is None or isinstance(error, SystemExit), told
    assert code in (0, 1, 2), told
    assert "Traceback" not in out + err, told
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\ud800-\udfff]", out + err), told
    if code == 2:
        assert re.search(r"^Error: .*\S$", err, re.M), told
        assert err.startswith(("Error: ", "Usage: ")) and err.count("\nError: ") < 2, told
        if err.startswith("Error: "):
            assert err.count("\n") == 1, told
    elif code == 0 and not {"--help", "-h", "--version"} & {*words}:
        assert re.search(TOLD_AT_0[command_of(words)], out, re.M), told


def mentioned(words: list[str], here: Path) -> set[str]:
    """Return what a command line may write to: what it names, and NAME.py in what it names."""
    given = [part for word in words for part in (word, word.partition("=")[2])]
    places = {os.path.normpath(here / word) for word in ["", *given]}
    made = {f"{place}/{name}.py" for place in places for name in OWN["name"]}
    return places | made | {f"{place}/coverage.md" for place in places}


def swept(lines: int, seed: int, folder: Path, pristine: Path, verdict: Verdict) -> Counter[int]:
    """Run so many command lines and hold each against what must be; count how they ended."""
    here = folder / "one" / "two" / "here"
    before: dict[str, Any] = {}
    mentions: set[str] = set()
    counts: Counter[int] = Counter()
    ended: Counter[tuple[str, int]] = Counter()
    seen: Counter[tuple[str, str]] = Counter()
    draw = random.Random(seed)
    runner = CliRunner()
    for number, words in enumerate(command_lines(lines, seed)):
        if number % 100 == 0:
            shutil.rmtree(folder / "one", ignore_errors=True)
            here.parent.mkdir(parents=True)
            subprocess.run(["cp", "-a", pristine, here], check=True)
            os.chdir(here)
            before, mentions = tree(folder), set()
        verdict.agrees = draw.random() < 0.7
        with within(20):
            result = runner.invoke(main, words, prog_name="python -m compare")
        check(words, result.exit_code, result.stdout, result.stderr, result.exception)
        name = command_of(words)
        counts[result.exit_code] += 1
        ended[name, result.exit_code] += 1
        seen.update((name, word.partition("=")[0]) for word in words)
        mentions.update(mentioned(words, here))
        if number % 100 == 99 or number == lines - 1:
            changed = {path for path, what in tree(folder).items() if before.get(path) != what}
            changed |= before.keys() - tree(folder).keys()
            stray = {one for one in changed if not mentions & {one, str(Path(one).parent)}}
            assert not stray, stray
    for name in main.commands:
        for code in (0, 2) if name in ALWAYS_0 else (0, 1, 2):
            assert ended[name, code] > lines / 1000, (name, code, ended)
    for command in main.commands.values():
        for parameter in command.params:
            for option in (*parameter.opts, *parameter.secondary_opts):
                if option.startswith("-"):
                    assert seen[str(command.name), option] > lines / 1000, (command.name, option)
    return counts


def test_ten_thousand_command_lines(
    pristine: Path, untrained: Verdict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    counts = swept(LINES, 0, tmp_path, pristine, untrained)
    assert sum(counts.values()) == LINES
    assert set(counts) == {0, 1, 2}
