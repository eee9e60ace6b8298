"""What an exercise is, and the file that a learner gets."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

FUNCTIONS = ("forward", "backward", "update")
"""What a training step is made of, in the order in which it is judged."""

FILL = "fill the gaps"
FIND = "find the fault"

_TASKS = {
    FILL: "Fill the gaps: write what belongs there instead of each `...`.",
    FIND: "Find the fault: one line of this training step is wrong.",
}


@dataclass(frozen=True)
class Exercise:
    """A training step with gaps, or with one fault.

    Attributes
    ----------
    name : str
        ``mazur_gaps``, ``mazur_fault_1``.
    kind : str
        ``"fill the gaps"`` or ``"find the fault"``.
    case : str
        The worked network.
    title, about : str
        One line about the network, and what else has to be known: its loss, its learning rate.
    code : str
        What stands below that in the learner's file.
    planted : str
        What is wrong with the fault, in its author's words; the learner never sees them.
    """

    name: str
    kind: str
    case: str
    title: str
    about: str
    code: str
    planted: str = ""

    def written(self, file: str) -> str:
        """Return the learner's file, which will be called ``file``."""
        check = f"python -m compare check {shlex.quote(file)}"
        asked = {check: "is it right?", f"{check} --hint 1": "a hint; 2, 3, 4 and 5 tell more"}
        width = max(map(len, asked))
        lines = [f"    {command:<{width}}  {what}" for command, what in asked.items()]
        parts = [_TASKS[self.kind], self.title, self.about, "\n".join(lines)]
        told = "\n\n".join(part for part in parts if part)
        told = told.replace("\\", r"\\").replace('"""', r"\"\"\"")
        return f'"""{told}\n"""\n{self.code}'
