"""What a page of the documentation says that can be tried: code, output, commands, links."""

from __future__ import annotations

import io
import json
import re
import shlex
from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import click
from markdown_it import MarkdownIt
from markdown_it.token import Token

from benchmarks.cli import main as benchmarks
from compare.cli import main as compare

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted(page for page in DOCS.rglob("*.md") if "_build" not in page.parts),
    *sorted(DOCS.glob("*.ipynb")),
]
COMMANDS: dict[str, click.Command] = {"compare": compare, "benchmarks": benchmarks}

NUMBER = re.compile(r"-?\d[\d,]*\.?\d*(?:e[+-]?\d+)?")
EXACT = 4
"""With so many digits a number is the same on any machine, but for its last ones. With fewer it is
a rounding error, or measured in such."""
TIMES = re.compile(r"\d+m?s - \d+[mu]?s/step")


@dataclass(frozen=True)
class Block:
    """A piece of Python on a page, and what the page shows as its output.

    ``file`` is the name of a file that the code before it has written, and that it shows.
    """

    code: str
    line: int
    output: str | None
    file: str | None = None

    @property
    def tests(self) -> int:
        """How many tests it has, which pytest has to run."""
        return len(re.findall(r"^def test_", self.code, re.MULTILINE))


def text_of(page: Path) -> str:
    """Return the Markdown of a page, or that of a notebook without its code."""
    written = page.read_text(encoding="utf-8")
    if page.suffix != ".ipynb":
        return written
    cells = json.loads(written)["cells"]
    return "\n\n".join("".join(one["source"]) for one in cells if one["cell_type"] == "markdown")


def blocks_of(text: str) -> list[Block]:
    """Return the Python on a page; a plain block right behind one shows what it prints."""
    tokens = _tokens(text)
    found = []
    said = ""
    for token, following in zip(tokens, [*tokens[1:], None], strict=True):
        said = token.content if token.type == "inline" else said
        if token.type == "fence" and token.info == "python":
            is_shown = following is not None and following.type == "fence" and not following.info
            output = following.content if following is not None and is_shown else None
            file = re.fullmatch(r"`([\w.]+)`, as it was written:", said)
            line = (token.map or [0])[0] + 1
            found.append(Block(token.content, line, output, file[1] if file else None))
            said = ""
    return found


def run(block: Block, names: dict[str, Any]) -> str:
    """Run a block among the names of those before it, and return what it prints."""
    printed = io.StringIO()
    with redirect_stdout(printed):
        exec(compile(block.code, "example.py", "exec"), names)
    return printed.getvalue()


def broken_promises(block: Block, printed: str) -> list[str]:
    """Return what a page says that a block prints, and that it doesn't.

    A promise is a comment behind a ``print``, in which "…" stands for anything, or the output that
    is shown as a whole.
    """
    lines, broken = printed.splitlines(), []
    for promise in re.findall(r"^ *print\(.*\)  # (.+)$", block.code, re.MULTILINE):
        place = next((n for n, line in enumerate(lines) if _fits(line, promise)), None)
        if place is None:
            broken.append(promise)
        else:
            del lines[: place + 1]
    if block.output is not None and not alike(block.output, printed):
        broken.append(block.output)
    return broken


def alike(shown: str, printed: str) -> bool:
    """Say whether two outputs have the same words, and numbers that are the same but for rounding.

    Whole numbers have to be the same; times may be any.
    """
    shown, printed = (TIMES.sub("", text).strip() for text in (shown, printed))
    if NUMBER.sub("", shown) != NUMBER.sub("", printed):
        return False
    return all(map(_near, NUMBER.findall(shown), NUMBER.findall(printed)))


def without_versions(script: str) -> list[str]:
    """Return the lines of a script that was written, but for the one that names versions."""
    return [line for line in script.strip().splitlines() if not line.startswith("# Keras ")]


def _near(one: str, other: str) -> bool:
    if one == other:
        return True
    if one.lstrip("-").replace(",", "").isdigit():
        return False
    digits = re.sub(r"e.*|\D", "", one).lstrip("0")
    a, b = (float(number.replace(",", "")) for number in (one, other))
    return len(digits) < EXACT or abs(a - b) <= 1e-3 * abs(a)


def _fits(line: str, promise: str) -> bool:
    return re.fullmatch(".*".join(map(re.escape, promise.split("…"))), line) is not None


def wrong_commands(text: str) -> list[str]:
    """Return the commands on a page that the command line would refuse, each with its reason."""
    found = []
    for written in _written(text):
        for command in re.findall(r"python3? -m (?:compare|benchmarks)\b[^&|;#\n]*", written):
            if complaint := _complaint(command):
                found.append(f"{command.strip()}: {complaint}")
    return found


def _written(text: str) -> Iterator[str]:
    """Give what is set as code on a page, except for Python."""
    for token in _tokens(text):
        if token.type == "fence" and token.info != "python":
            yield token.content
        for child in token.children or ():
            if child.type == "code_inline":
                yield child.content


def _complaint(command: str) -> str | None:
    _, _, program, *words = shlex.split(command)
    parsed = COMMANDS[program]
    if isinstance(parsed, click.Group) and words and not words[0].startswith("-"):
        name = words.pop(0)
        if name not in parsed.commands:
            return f"there is no command {name!r}"
        parsed = parsed.commands[name]
    try:
        parsed.make_context(program, words)
    except click.exceptions.Exit:  # --help and --version have answered
        return None
    except click.ClickException as error:
        return error.format_message()
    return None


def options_of(text: str) -> set[str]:
    """Return the options that a page names by themselves, as ``--json FILE``."""
    found = (re.match(r"--[a-z][a-z-]*", written) for written in _written(text))
    return {option.group() for option in found if option}


def known_options() -> set[str]:
    """Return every option of the command line."""
    commands = [*compare.commands.values(), compare, benchmarks]
    parameters = (one for command in commands for one in command.params)
    return {option for one in parameters for option in (*one.opts, *one.secondary_opts)}


def dead_links(page: Path) -> list[str]:
    """Return a page's links to files, pictures and headings that aren't there."""
    text = text_of(page)
    children = (child for token in _tokens(text) for child in token.children or ())
    addresses = (child.attrGet("href") or child.attrGet("src") for child in children)
    return [
        str(address)
        for address in addresses
        if address and not re.match(r"\w+:", str(address)) and not _leads(page, str(address))
    ]


def _leads(page: Path, address: str) -> bool:
    path, _, heading = address.partition("#")
    target = page.parent / path if path else page
    if not target.exists():
        return False
    return not heading or heading in headings_of(text_of(target))


def headings_of(text: str) -> set[str]:
    """Return the anchors of a page's headings, as code hosts and the site make them."""
    tokens = _tokens(text)
    titles = (
        inline.content for opening, inline in pairwise(tokens) if opening.type == "heading_open"
    )
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def _tokens(text: str) -> list[Token]:
    return MarkdownIt("commonmark").enable("table").parse(text)
