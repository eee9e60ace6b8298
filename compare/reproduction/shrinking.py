"""Delta debugging: a finding is made smaller for as long as the same is found."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from compare.reproduction import edits, numbers
from compare.reproduction.draft import Draft
from compare.reproduction.edits import Edit
from compare.reproduction.trial import Trial, same, tried

Progress = Callable[[str, int, int], None]
"""Receives what is going on, how many drafts were tried, and how many at most will be."""

AT_MOST = 600
"""So many drafts are tried …"""
SECONDS = 150.0
"""… and for so long."""

OFFERED = (
    edits.plainer,
    numbers.fewer,
    edits.shorter,
    edits.narrower,
    numbers.smaller_integers,
    edits.simpler,
)
"""In this order: what saves most comes first."""


class Shrinker:
    """Makes a finding smaller.

    Parameters
    ----------
    progress : callable, optional
        An interruption that it raises ends the search, not what was found.

    Attributes
    ----------
    smallest : Trial
        The smallest draft in which the same is found.
    tries : int
    """

    def __init__(self, trial: Trial, progress: Progress | None = None) -> None:
        self.smallest, self.progress = trial, progress
        self.tries = 0
        self._same = same(trial.finding)
        self._until = time.monotonic() + SECONDS
        self._seen: set[int] = set()

    def run(self) -> Trial:
        """Try everything again and again until nothing helps; return the smallest."""
        try:
            before = None
            while before is not self.smallest:
                before = self.smallest
                self._set_activation_apart()
                for offered in OFFERED:
                    self._take(offered(self.smallest.draft))
            self._take(numbers.shorter_numbers(self.smallest.draft))
        except (_Enough, KeyboardInterrupt):
            pass  # what was found until then is small enough
        return self.smallest

    def _take(self, offered: Iterable[Edit]) -> None:
        """Carry out one edit after the other, and keep those that leave the finding."""
        for text, change in offered:
            draft = change(self.smallest.draft)
            trial = None if draft is None else self._tried(text, draft)
            if trial is not None and same(trial.finding) == self._same:
                self.smallest = trial

    def _tried(self, text: str, draft: Draft) -> Trial | None:
        """Try a draft, unless it was tried before."""
        if draft.key in self._seen:
            return None
        self._seen.add(draft.key)
        if self.tries >= AT_MOST or time.monotonic() > self._until:
            raise _Enough
        if self.progress is not None:
            self.progress(text, self.tries, AT_MOST)
        self.tries += 1
        return tried(draft)

    def _set_activation_apart(self) -> None:
        """Let what goes into an activation function be the output of a layer: that can be shown."""
        layer, _, inside = self.smallest.finding.name.partition("/")
        draft = edits.apart(self.smallest.draft, layer.partition("@")[0])
        if inside != "pre_activation" or draft is None:
            return
        trial = self._tried("the activation function apart", draft)
        if trial is not None and same(trial.finding) == self._same:
            self.smallest = trial


class _Enough(Exception):
    """The time is over, or as many drafts were tried as shall be."""
