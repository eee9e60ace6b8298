"""What the tests of a page in a browser share: how it is moved, and what it shows."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

Open = Callable[..., Any]

STAGES = ["the input", "forward through hidden", "forward through output", "the loss"]
STAGES += [f"backward through {block}" for block in ("the loss", "output", "hidden")] + [
    "the update"
]
W5 = '[data-key="weight:output/kernel[0,0]"]'


def told(page: Any) -> str:
    return str(page.locator(".told").text_content())


def scrub(page: Any, to: int) -> None:
    page.locator("input[type=range]").evaluate(
        "(range, to) => { range.value = to; range.dispatchEvent(new Event('input')); }", to
    )


def positions(page: Any) -> int:
    return int(page.locator("input[type=range]").get_attribute("max")) + 1


def shown_numbers(page: Any) -> dict[str, tuple[str, str]]:
    """Return what the details say of each quantity: Keras's number, and that by hand."""
    rows = page.locator(".details tr[data-quantity]").evaluate_all(
        "rows => rows.map(row => [row.dataset.quantity,"
        " row.querySelector('.keras').textContent, row.querySelector('.hand').textContent])"
    )
    return {key: (keras, by_hand) for key, keras, by_hand in rows}


def numbers_of(contents: Any, frame: int, quantity: str) -> tuple[str, str]:
    """Return the same two numbers from what the page embeds."""
    phase, name, index = re.fullmatch(r"(.*?) · (.*)\[([\d,]*)\]", quantity).groups()  # type: ignore[union-attr]
    found = contents["chapters"][0]["film"]["frames"][frame]["quantities"][phase][name]
    both = []
    for side in ("keras", "by_hand"):
        number = found[f"all_of_{side}" if side == "keras" else f"all_{side}"]
        for i in filter(None, index.split(",")):
            number = number[int(i)]
        both.append(f"{number:.10g}")
    return both[0], both[1]


def embedded(page: Any) -> Any:
    return json.loads(page.locator("#contents").text_content())


def differing(page: Any, contents: Any, frame: int) -> list[str]:
    """Return the quantities whose numbers in the details aren't those of these contents."""
    shown = shown_numbers(page)
    assert shown
    return [key for key, both in shown.items() if both != numbers_of(contents, frame, key)]
