"""Elements of HTML and SVG, everything in them escaped."""

from __future__ import annotations

import re
from typing import Any

from markupsafe import Markup, escape

from compare.printable import printable

_NOT_IN_XML = re.compile("[\ufffe\uffff]")


def tag(name: str, *inside: Any, **attributes: Any) -> Markup:
    """Return an element; attributes that are None are left out.

    Underscores in the names of attributes stand for hyphens; one at the end, after a word that
    Python has taken, is dropped.

    Examples
    --------
    >>> print(tag("text", "a < b", x=1.5, class_="told", data_step=3))
    <text x="1.5" class="told" data-step="3">a &lt; b</text>
    """
    written = Markup("").join(
        Markup(' {}="{}"').format(key.rstrip("_").replace("_", "-"), plain(value))
        for key, value in attributes.items()
        if value is not None
    )
    body = Markup("").join(one if isinstance(one, Markup) else escape(plain(one)) for one in inside)
    return Markup("<{0}{1}>{2}</{0}>").format(name, written, body)


def plain(value: Any) -> str:
    """Return what an element or attribute may hold: coordinates rounded, no steering characters."""
    if isinstance(value, float):
        return f"{value:.2f}".rstrip("0").rstrip(".")
    return _NOT_IN_XML.sub("�", printable(str(value)))
