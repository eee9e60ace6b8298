"""One quantity in which two records differ, and what can be said of it."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass

from compare.rounding.judge import BOUND

WIDTH = 80


@dataclass(frozen=True)
class Divergence:
    """One quantity in which two records differ by more than rounding.

    Attributes
    ----------
    step : int
    phase, name : str
    distance : float
        Of the worst element, in units of both sides' rounding noise.
    index : tuple of int
        Where that element is.
    size : int
    a, b : float
        Its values.
    noise : float
        One standard deviation of each side's rounding, added up.
    from_hand : two of (float or None)
        How far each side is there from its own derivation by hand, in units of its own noise.
    said : two of str
        What each record says of this quantity itself.
    inherited : float
        How far apart the weights were when the step began, relative to the largest.
    """

    step: int
    phase: str
    name: str
    distance: float
    index: tuple[int, ...]
    size: int
    a: float
    b: float
    noise: float
    from_hand: tuple[float | None, float | None]
    said: tuple[str, str] = ("", "")
    inherited: float = 0.0

    @property
    def wrong(self) -> str:
        """Which side is wrong, as far as the derivations by hand tell."""
        if self.phase == "input":
            return "the two runs were not given the same"
        one, other = self.from_hand
        if one is None or other is None:
            return "at least one record has no derivation by hand to tell which side is wrong"
        told = f"A lies {one:.2g} × noise from the derivation by hand, B {other:.2g} ×"
        if max(one, other) <= BOUND < self.distance:
            return f"the two compute different things, each as derived for it: {told}"
        if min(one, other) > BOUND:
            return f"both are wrong: {told}"
        return f"{'A' if one > other else 'B'} is wrong: {told}"

    def __str__(self) -> str:
        title = f"step {self.step} · {self.phase} · {self.name}"
        outcome = f"DIVERGES, {self.distance:.2g} × rounding noise"
        if self.phase == "input":
            outcome = "NOT THE SAME"
        lines = [f"{title}   {outcome}"]
        if len(lines[0]) > WIDTH:
            lines = [title, f"  {outcome}"]
        lines.append(f"  A has {self.a:.10g}, B has {self.b:.10g}")
        if self.size > 1:
            lines.append(f"  worst element {list(self.index)} of {self.size}")
        if self.phase != "input":
            tolerance = abs(self.a - self.b) / max(abs(self.a), abs(self.b), 5e-324)
            lines.append(f"  bound {BOUND:g} × noise, one noise is {self.noise:.1e} here")
            lines.append(f"  a relative tolerance of {tolerance:.2g} would have passed")
        lines.append(f"  {self.wrong}")
        if self.inherited:
            lines.append(f"  the step began with weights {self.inherited:.1e} apart")
        for side, text in zip("AB", self.said, strict=True):
            causes = [one.strip() for one in _unwrapped(text) if one.startswith("  cause:")]
            lines += [f"  {side} said itself: {one}" for one in causes]
        return "\n".join(textwrap.fill(line, WIDTH, subsequent_indent="    ") for line in lines)


def _unwrapped(text: str) -> list[str]:
    """Return the lines of a finding, those that were broken put together again."""
    lines: list[str] = []
    for line in text.splitlines():
        if line.startswith("    ") and lines:
            lines[-1] += " " + line.strip()
        else:
            lines.append(line)
    return lines
