"""Files of Python that are none: what can't be parsed is refused in a line, and none of it runs."""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from fuzzing import GARBAGE, within

from compare.cli import main

WORKED = Path(__file__).parents[2] / "compare" / "exercises" / "worked" / "mazur.py"
NONE = {
    "binary": GARBAGE,
    "NUL": b"x = 1\0",
    "latin": b"# \xe9\nx = 1\n",
    "no such encoding": b"# coding: none-such\nx = 1\n",
    "an encoding that refuses": b"# coding: undefined\nx = 1\n",
    "an encoding of bytes": b"# coding: hex\nx = 1\n",
    "two encodings": b"\xef\xbb\xbf# coding: latin-1\nx = 1\n",
    "UTF-16": "x = 1\n".encode("utf-16"),
    "brackets": b"x = " + b"(" * 10_000,
    "operators": b"x = " + b"-" * 100_000 + b"1",
    "attributes": b"x = a" + b".b" * 100_000,
    "a surrogate": b"x = '\xed\xa0\x80'",
    "steps in": b"if 1:\n" * 200 + b" x\n",
}
MARKS = ["  # gap", "  # gap: )", "\n# fault: ]", " (", "\x1b"]


def command(*arguments: Any) -> Result:
    with within(20):
        result = CliRunner().invoke(main, [*map(str, arguments)], prog_name="python -m compare")
    assert isinstance(result.exception, SystemExit | None), result.output
    assert result.exit_code in (0, 1, 2), result.output
    return result


@pytest.mark.parametrize("content", NONE.values(), ids=NONE)
def test_what_is_no_python(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_bytes(content)
    result = command("check", file, "--case", "mazur")
    assert result.exit_code == 2
    assert result.output.startswith(f"Error: {file}") and result.output.count("\n") == 1
    file.write_bytes(content + b"\n# gap\n")
    assert command("exercise", "list", "--exercises", tmp_path).exit_code == 2
    file.write_bytes(WORKED.read_bytes() + b"    # fault: " + content.split(b"\n")[0])
    is_comment = content.startswith(b"#") and content.isascii()
    assert command("exercise", "list", "--exercises", tmp_path).exit_code == 2 * (not is_comment)


def test_damaged_exercises(tmp_path: Path) -> None:
    """Letters changed, lines gone or said twice: it is an exercise still, or it is refused."""
    draw, file = random.Random(0), tmp_path / "mine.py"
    whole, ended = WORKED.read_text(encoding="utf-8"), []
    for _ in range(300):
        lines = whole.splitlines()
        for _ in range(draw.choice([1, 1, 3])):
            place = draw.randrange(len(lines))
            match draw.randrange(4):
                case 0:
                    del lines[place]
                case 1:
                    lines.insert(draw.randrange(len(lines)), lines[place])
                case 2:
                    lines[place] = lines[place][: draw.randrange(len(lines[place]) + 1)]
                case 3:
                    lines[place] += draw.choice(
                        ["  # gap", "  # gap: )", "\n# fault: ]", " (", "\x1b"]
                    )
        file.write_text("\n".join(lines), encoding="utf-8")
        ended.append(command("exercise", "list", "--exercises", tmp_path).exit_code)
    assert ended.count(0) > 30 and ended.count(2) > 30 and ended.count(1) == 0


def test_a_pipe_among_the_exercises(tmp_path: Path) -> None:
    (tmp_path / "mazur.py").write_bytes(WORKED.read_bytes())
    os.mkfifo(tmp_path / "pipe.py")
    result = command("exercise", "list", "--exercises", tmp_path)
    assert result.exit_code == 0 and result.output.startswith("mazur_gaps ")


@pytest.mark.parametrize("rate", ["nan", "inf", "1e999"])
def test_a_learning_rate_that_is_not_finite(rate: str) -> None:
    result = command("run", "mazur", "--steps", "1", "--learning-rate", rate)
    assert result.exit_code == 2
    assert "The learning rate must be finite" in result.output
