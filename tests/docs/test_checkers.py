"""What looks after the documentation finds what is wrong with a page."""

from __future__ import annotations

from pathlib import Path

import pages
import pytest


def broken(text: str) -> list[str]:
    (block,) = pages.blocks_of(text)
    return pages.broken_promises(block, pages.run(block, {}))


@pytest.mark.parametrize(
    ("code", "wrong"),
    [
        ("print(2 + 2)  # 4", []),
        ("print(2 + 2)  # 5", ["5"]),
        ("print(2 + 20)  # 2", ["2"]),
        ("print('now', 3)  # now …", []),
        ("print('then', 3)  # now …", ["now …"]),
        ("print(1)  # 1\nprint(2)  # 2", []),
        ("print(2)  # 1\nprint(1)  # 2", ["2"]),
        ("print(1)  # 3\nprint(2)  # 2", ["3"]),
        ("if False:\n    print(1)  # 1", ["1"]),
    ],
)
def test_a_comment_behind_a_print_is_a_promise(code: str, wrong: list[str]) -> None:
    assert broken(f"```python\n{code}\n```\n") == wrong


@pytest.mark.parametrize(
    ("printed", "shown", "is_right"),
    [
        ("loss 0.622459", "loss 0.622459", True),
        ("loss 0.622459", "loss 0.622461", True),
        ("loss 0.622459", "loss 0.632459", False),
        ("loss -0.622459", "loss 0.622459", False),
        ("off by 1.6 × noise", "off by 2.1 × noise", True),
        ("12 steps", "13 steps", False),
        ("1,797 digits", "1,796 digits", False),
        ("it agrees", "it disagrees", False),
        ("one\ntwo", "one", False),
        ("8/8 - 1s - 153ms/step", "8/8 - 0s - 9us/step", True),
        ("8/8 - 1s - 153ms/step", "7/8 - 1s - 153ms/step", False),
    ],
)
def test_a_plain_block_behind_code_is_its_output(printed: str, shown: str, is_right: bool) -> None:
    page = f"```python\nprint({printed!r})\n```\n\n```\n{shown}\n```\n"
    assert broken(page) == ([] if is_right else [f"{shown}\n"])


def test_a_block_behind_other_text_is_not_its_output() -> None:
    assert broken("```python\nprint(1)\n```\n\nElsewhere:\n\n```\n2\n```\n") == []


def test_code_in_a_list_is_found_with_its_line() -> None:
    (block,) = pages.blocks_of("1. So:\n\n   ```python\n   x = 1\n   ```\n")
    assert (block.code, block.line) == ("x = 1\n", 3)


@pytest.mark.parametrize(
    ("page", "wrong"),
    [
        ("`python -m compare run mazur --steps 3`", None),
        ("```\n.venv/bin/python -m compare\n```", None),
        ("`python -m compare --help`", None),
        ("`python -m compare run mazur --stops 3`", "No such option"),
        ("`python -m compare run mozart`", "there is no case 'mozart'"),
        ("`python -m compare train mazur`", "there is no command 'train'"),
        ("`python -m compare explain`", "Missing argument"),
        ("```\n$ cd x && python3 -m compare run mazur --steps 0 | head\n```", "Invalid value"),
        ("`python -m benchmarks --contender abacus`", "there is no contender 'abacus'"),
    ],
)
def test_a_command_is_read_by_the_command_line(page: str, wrong: str | None) -> None:
    found = pages.wrong_commands(page)
    assert len(found) == (wrong is not None)
    assert wrong is None or wrong in found[0]


def test_an_option_that_no_command_has_is_found() -> None:
    named = pages.options_of("`--json FILE`, `--learning-rate`, `--jason FILE`, and `x --y`")
    assert named - pages.known_options() == {"--jason"}


def test_a_link_to_what_is_not_there_is_dead(tmp_path: Path) -> None:
    (tmp_path / "other.md").write_text("# A `twin` of one's own\n\n## Step 2\n")
    page = tmp_path / "page.md"
    page.write_text(
        "# Here\n\n[a](other.md) [b](other.md#a-twin-of-ones-own) [c](#here) [d](https://x.org/y)\n\n"
        "| |\n|---|\n| [e](missing.md) |\n\n"
        "[f](other.md#step-3) [g](#there) ![h](missing.svg)\n"
    )
    assert pages.dead_links(page) == ["missing.md", "other.md#step-3", "#there", "missing.svg"]
