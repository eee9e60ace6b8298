"""What a sweep has found, to be kept as the record that coverage reads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from compare.coverage import record as kept
from sweep.tables import SHAPES, Configuration

HOME = Path(kept.__file__).with_name(kept.HOME)


class Found:
    """The configurations that agreed, and how far apart they were.

    Attributes
    ----------
    distances : dict
        From a configuration and a precision to the largest distance in it.
    derivatives : set
        The configurations whose derivative agreed with central differences.
    """

    def __init__(self) -> None:
        self.distances: dict[tuple[str, str], float] = {}
        self.derivatives: set[str] = set()

    def record(self, configurations: list[Configuration]) -> dict[str, Any]:
        """Sum up by class and option. All configurations have to be there."""
        by_class: dict[str, list[Configuration]] = {}
        for one in configurations:
            for precision in one.table.precisions:
                assert (str(one), precision) in self.distances, f"not held against Keras: {one}"
            assert str(one) in self.derivatives or one.stops_gradients, f"no derivative: {one}"
            by_class.setdefault(one.table.name, []).append(one)
        versions = {"keras": keras.__version__, "tensorflow": tf.__version__}
        layers = {name: self._of_class(several) for name, several in sorted(by_class.items())}
        return {"versions": versions, "layers": layers}

    def _of_class(self, several: list[Configuration]) -> dict[str, Any]:
        values: dict[str, dict[str, list[Configuration]]] = {}
        for one in several:
            given = one.chosen([name for name in one.table.columns if name != SHAPES])
            for option, value in given.items():
                values.setdefault(option, {}).setdefault(repr(value), []).append(one)
        options = {
            option: {
                "values": len(by_value),
                "largest": self._largest([one for each in by_value.values() for one in each]),
            }
            for option, by_value in sorted(values.items())
        }
        return {
            "configurations": len(several),
            "derivatives": sum(str(one) in self.derivatives for one in several),
            "largest": self._largest(several),
            "options": options,
        }

    def _largest(self, several: list[Configuration]) -> dict[str, float]:
        """Return the largest distance in each precision, rounded up to a tenth."""
        found = {}
        for precision in ("float32", "float64"):
            distances = [self.distances.get((str(one), precision)) for one in several]
            known = [one for one in distances if one is not None]
            if known:
                found[precision] = -(-max(known) * 10 // 1) / 10
        return found

    def write(self, configurations: list[Configuration]) -> None:
        text = json.dumps(self.record(configurations), indent=1)
        HOME.write_text(_options_in_a_line(text) + "\n", "utf-8")


def _options_in_a_line(text: str) -> str:
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
