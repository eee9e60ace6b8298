"""Text from anywhere, as a terminal may get it."""

from __future__ import annotations

import re

import click

_STEERS = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f"  # control characters, but for the newline
    "\u2028-\u202e\u2066-\u2069"  # what turns the direction of writing
    "\ud800-\udfff]"  # halves of characters, as in file names that are not UTF-8
)


def printable(text: str) -> str:
    r"""Write out the characters that would steer a terminal, or that it has no place for.

    Names of models, layers and files may hold anything.

    Examples
    --------
    >>> printable("a\x1b[2Jb")
    'a\\x1b[2Jb'
    """
    return _STEERS.sub(lambda found: ascii(found[0])[1:-1], text)


def echo(text: str) -> None:
    """Print a line."""
    click.echo(printable(text))
