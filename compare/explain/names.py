"""What the pages about a step call what they show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from compare.cases.base import Case


@dataclass(frozen=True)
class Names:
    """What the pages about a step call what they show.

    Attributes
    ----------
    heading : str
        What stands above a page.
    symbols : mapping of str to str
        A tutorial's own names: ``{"output/kernel[0,0]": "w5", "hidden[0]": "out_h1"}``. What has
        none is called as in a trace; of a network with one input, that is ``input``.
    error : str
        The letter for what is differentiated.
    """

    heading: str = ""
    symbols: Mapping[str, str] = field(default_factory=dict)
    error: str = "E"

    @classmethod
    def of_case(cls, case: Case, step: int) -> Names:
        """Return the names of a worked example."""
        return cls(f"{case.name}, step {step}: {case.title}", case.symbols, case.error)
