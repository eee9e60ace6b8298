"""What the sweeps have found, to be kept as the record that coverage reads."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from compare.coverage import record as kept
from manual.registry import twins

HOME = Path(kept.__file__).with_name(kept.HOME)
HOW_NOT_WHAT = ("name", "dtype", "trainable")


@dataclass
class Held:
    """One configuration of one class, and how far Keras was from it in each precision."""

    options: dict[str, str]
    distances: dict[str, float] = field(default_factory=dict)
    is_derived: bool = False


class Found:
    """All configurations that agreed, by kind, class and what tells one from another.

    Only what agrees may be told: a test tells it after its assertions.
    """

    def __init__(self) -> None:
        self.kinds: dict[str, dict[str, dict[str, Held]]] = {}

    def agrees(
        self,
        kind: str,
        name: str,
        options: Mapping[str, Any],
        precision: str,
        distance: float,
        what: str = "",
    ) -> None:
        """Take in how far Keras was at most, in standard deviations of the rounding noise."""
        known = self._held(kind, name, options, what).distances
        known[precision] = max(known.get(precision, 0.0), distance)

    def is_derived(self, kind: str, name: str, options: Mapping[str, Any], what: str = "") -> None:
        """Take in that the derivative was held against central differences."""
        self._held(kind, name, options, what).is_derived = True

    def _held(self, kind: str, name: str, options: Mapping[str, Any], what: str) -> Held:
        values = {
            option: repr(value) for option, value in options.items() if option not in HOW_NOT_WHAT
        }
        several = self.kinds.setdefault(kind, {}).setdefault(name, {})
        return several.setdefault(what or repr(sorted(values.items())), Held(values))

    def write(self) -> None:
        """Put what was found in the place of what is on record of the same classes."""
        record = json.loads(HOME.read_text("utf-8"))
        record["versions"] = {"keras": keras.__version__, "tensorflow": tf.__version__}
        for kind, found in self.kinds.items():
            new = {name: of_class(several.values()) for name, several in found.items()}
            whole = {**record.get(kind, {}), **new}
            record[kind] = {name: whole[name] for name in sorted(whole) if name in twins(kind)}
        HOME.write_text(options_in_a_line(json.dumps(record, indent=1)) + "\n", "utf-8")


def of_class(several: Iterable[Held]) -> dict[str, Any]:
    """Sum up the configurations of one class, and those with each of its options."""
    several = [one for one in several if one.distances]
    names = sorted({option for one in several for option in one.options})
    by_option = {option: [one for one in several if option in one.options] for option in names}
    return {
        "configurations": len(several),
        "derivatives": sum(one.is_derived for one in several),
        "largest": largest(several),
        "options": {
            option: {
                "values": len({one.options[option] for one in having}),
                "derived": len({one.options[option] for one in having if one.is_derived}),
                "largest": largest(having),
            }
            for option, having in by_option.items()
        },
    }


def largest(several: Iterable[Held]) -> dict[str, float]:
    """Return the largest distance in each precision, rounded up to a tenth."""
    known: dict[str, float] = {}
    for one in several:
        for precision, distance in one.distances.items():
            known[precision] = max(known.get(precision, 0.0), -(-distance * 10 // 1) / 10)
    return dict(sorted(known.items()))


def options_in_a_line(text: str) -> str:
    """Write what holds numbers only in one line, so that a change shows as the line it is in."""
    lines: list[str] = []
    open_line = ""
    for line in text.splitlines():
        if open_line:
            open_line += " " * open_line.endswith(",") + line.strip()
            depth = open_line.count("{") - open_line.count("}")
            if depth == 0:
                lines.append(open_line)
                open_line = ""
        elif '": {' in line and len(line) - len(line.lstrip()) >= 4 and "}" not in line:
            open_line = line
        else:
            lines.append(line)
    assert not open_line
    return "\n".join(lines)
