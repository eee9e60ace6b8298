"""Full disks, closed folders, interruptions, two at once: a sentence, and whole files or none."""

from __future__ import annotations

import os
import resource
import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from fuzzing import STEP, small, taken

from compare.cli import main
from compare.console.command import InputError, check_writable, write_whole

NOBODY = 65534
WRITING = {
    "run": ["run", "single_neuron", "--steps", "1", "--json"],
    "check": ["check", "good.py", "--case", "study_hours", "--json"],
    "check a number": ["check", "--case", "mazur", "--weight", "w5=0.35891648", "--json"],
    "exercise": ["exercise", "mazur_gaps", "--out"],
    "model": ["model", "good.keras", "--steps", "1", "--batch-size", "4", "--json"],
    "junit": ["model", "good.keras", "--steps", "1", "--batch-size", "4", "--junit"],
    "record": ["record", "good.keras", "--steps", "1", "--batch-size", "4", "--out"],
    "diff": ["diff", "record", "record", "--json"],
    "score": ["score", "--only", "sigmoid: a", "--jobs", "1", "--dtype", "float64", "--json"],
    "coverage": ["coverage", "--json"],
    "the page": ["coverage", "--out"],
    "report": ["report", "single_neuron", "--steps", "1", "--out"],
    "run's report": ["run", "single_neuron", "--steps", "1", "--report"],
    "check's report": ["check", "good.py", "--case", "study_hours", "--report"],
    "a number's report": ["check", "--case", "mazur", "--weight", "w5=0.35891648", "--report"],
    "model's report": ["model", "good.keras", "--steps", "1", "--batch-size", "4", "--report"],
    "diff's report": ["diff", "record", "record", "--report"],
    "record's report": ["record", "good.keras", "--steps", "1", "--out", "taken", "--report"],
}
"""Every option of every command that names something to write, to be followed by a name."""


@pytest.fixture(scope="module")
def furnished() -> Iterator[Path]:
    """A folder that everybody may come to, with what the commands read."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    small().save(folder / "good.keras")
    (folder / "good.py").write_text(STEP)
    taken(folder / "record")
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def here(furnished: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Go there; what a test leaves is removed."""
    monkeypatch.chdir(furnished)
    before = {*furnished.iterdir()}
    yield furnished
    for one in {*furnished.iterdir()} - before:
        one.chmod(0o700) if one.is_dir() else None
        shutil.rmtree(one) if one.is_dir() and not one.is_symlink() else one.unlink()


def command(*arguments: Any) -> Result:
    return CliRunner().invoke(main, [*map(str, arguments)], prog_name="python -m compare")


def refused(*arguments: Any) -> str:
    result = command(*arguments)
    assert result.exit_code == 2, result.output
    assert isinstance(result.exception, SystemExit)
    return result.stderr.splitlines()[-1].removeprefix("Error: ")


@contextmanager
def files_no_larger_than(size: int) -> Iterator[None]:
    """Let every file end there, as on a disk that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@contextmanager
def as_nobody() -> Iterator[None]:
    """Have no rights for a while, even as root, whom no permission stops."""
    if os.getuid():
        yield
        return
    os.setresuid(NOBODY, NOBODY, 0)
    try:
        yield
    finally:
        os.setresuid(0, 0, 0)


def test_every_option_that_writes_is_here() -> None:
    named = {name: command.params for name, command in main.commands.items()}
    writes = {
        (name, option)
        for name, parameters in named.items()
        for one in parameters
        for option in one.opts
        if option in ("--json", "--junit", "--out", "--report")
    }
    assert writes == {(words[0], words[-1]) for words in WRITING.values()}


@pytest.mark.parametrize("words", WRITING.values(), ids=WRITING)
def test_a_disk_that_is_full(words: list[str], here: Path) -> None:
    before = {*here.rglob("*")}
    place = here if words == WRITING["the page"] else here / "out"
    with files_no_larger_than(64):
        told = refused(*words, place)
    assert told.endswith("can't be written: File too large."), told
    assert {*here.rglob("*")} == before


@pytest.mark.parametrize("words", WRITING.values(), ids=WRITING)
def test_a_folder_that_is_closed(words: list[str], here: Path) -> None:
    (here / "closed").mkdir(mode=0o555)
    with as_nobody():
        told = refused(*words, "closed" if words == WRITING["the page"] else "closed/out")
    assert "can't be written to" in told or "is not writable" in told
    assert not [*(here / "closed").iterdir()]


@pytest.mark.parametrize("words", WRITING.values(), ids=WRITING)
def test_what_is_there_and_is_no_file(words: list[str], here: Path) -> None:
    """Links to devices, pipes and circles stay what they are."""
    if words == WRITING["the page"]:
        (here / "out").mkdir()
        (here / "out" / "coverage.md").mkdir()
        assert "can't be written: Is a directory" in refused(*words, "out")
        return
    for name, to in {"full": "/dev/full", "null": "/dev/null", "circle": "circle"}.items():
        (here / name).symlink_to(to)
        assert refused(*words, name)
        assert (here / name).readlink() == Path(to)
    os.mkfifo(here / "pipe")
    assert refused(*words, "pipe")
    assert (here / "pipe").is_fifo()


def test_devices_are_left_alone() -> None:
    with pytest.raises(InputError, match="is no ordinary file"):
        check_writable(Path("/dev/null"))


def test_a_file_nobody_may_read(here: Path) -> None:
    shutil.copy("good.keras", "secret.keras")
    shutil.copytree("record", "secret")
    Path("secret.keras").chmod(0)
    Path("secret/step-1.npz").chmod(0)
    shutil.copy("good.py", "secret.py")
    Path("secret.py").chmod(0)
    Path("closed").mkdir(mode=0)
    with as_nobody():
        assert "is not readable" in refused("model", "secret.keras")
        assert "can't be read: Permission denied" in refused("diff", "record", "secret")
        assert "can't be read: Permission denied" in refused("check", "secret.py")
        for words in (["model", "closed/x.keras"], ["diff", "closed/x", "record"]):
            assert "permission" in refused(*words).lower()
        assert "Permission denied" in refused("check", "closed/x.py")
        data = ["model", "good.keras", "--data", "closed/x.npz"]
        assert "Permission denied" in refused(*data)


# ---------------------------------------------------------------------- two at once


def test_the_last_of_many_files_is_whole(tmp_path: Path) -> None:
    """Many write to one name, one reads: it is always one of the texts, and all of it."""
    file, texts = tmp_path / "out.json", [str(number) * 200_000 for number in range(4)]
    threads = [
        threading.Thread(target=lambda text=text: [write_whole(file, text) for _ in range(20)])
        for text in texts
    ]
    for one in threads:
        one.start()
    seen = 0
    while any(one.is_alive() for one in threads):
        if file.exists():
            assert file.read_text().rstrip() in texts
            seen += 1
    assert seen and file.read_text().rstrip() in texts
    assert [one.name for one in tmp_path.iterdir()] == ["out.json"]
