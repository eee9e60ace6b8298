"""From a training that disagrees to a script of some twenty lines."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from compare.callback import Lockstep
from compare.console.command import write_whole
from compare.errors import BadInput, Disagreement, in_a_sentence
from compare.findings.report import Finding, Report
from compare.reproduction.draft import Draft
from compare.reproduction.reading import data_of, read
from compare.reproduction.script import Script
from compare.reproduction.shrinking import Progress, Shrinker
from compare.reproduction.trial import Trial, compared, same
from compare.twins.twin import check_model
from keras_models.step_record import StepRecord


def reproduce(
    model: keras.Model,
    x: Any,
    y: Any,
    path: str | Path,
    *,
    steps: int | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> Report:
    """Train in lock-step up to the first disagreement, make it small, and write it as a script.

    Layers, units, samples, steps and digits are left out for as long as the same is found: in the
    same code, on the same side, for the same cause. The script imports Keras and NumPy alone. It
    has Keras compute its number, puts the one by hand beside it, and asks the loss about a
    gradient.

    Parameters
    ----------
    model : keras.Model
        Compiled, with the weights that its training starts from. It is trained.
    x, y : what ``fit`` takes
    path : str or Path
        Of the script.
    steps : int, optional
        Stop after this many batches.
    progress : callable, optional
        Called again and again with what is tried, how many drafts were, and how many at most are.
    **options
        Of ``fit``: ``batch_size``, ``epochs``, ``sample_weight``, ``class_weight``, ``shuffle`` …

    Returns
    -------
    Report
        Of the small model. If everything agrees, that of the model itself, and nothing is written.

    Raises
    ------
    BadInput
        If the finding can't be shown with Keras and NumPy alone, in one sentence.

    Examples
    --------
    >>> compare.reproduce(model, x, y, "minimal.py", batch_size=32)  # doctest: +SKIP
    """
    check_model(model)
    watch = _Watch(steps)
    try:
        model.fit(x, y, verbose=0, callbacks=[watch], **options)
    except Disagreement:
        pass
    except BadInput:
        raise
    except Exception as error:
        if watch.first is not None:
            raise
        raise BadInput(f"Keras's fit refuses this: {in_a_sentence(error)}") from error
    finding = watch.report.first
    if finding is None:
        return watch.report
    shrinker = Shrinker(_start(watch, finding), progress)
    smallest = shrinker.run()
    script = Script(smallest)
    script.check()
    write_whole(Path(path), script.text)
    return compared(smallest.draft).report


class _Watch(Lockstep):
    """Follows a training up to its first disagreement, and remembers the batches of its epoch.

    Attributes
    ----------
    first, last : StepRecord or None
        The first step of the epoch, and the last one that was taken.
    batches : list of (x, y, sample_weight)
        As the twin takes them.
    """

    def __init__(self, steps: int | None) -> None:
        super().__init__(on_difference="raise")
        self.stop_after = steps
        self.first: StepRecord | None = None
        self.last: StepRecord | None = None
        self.batches: list[Any] = []

    @property
    def graph(self) -> keras.Model:
        """The model, or the graph of what a subclassed one does."""
        return self._follower.ends.graph

    def _look(self, report: Report) -> None:
        record = self._follower.last
        assert record is not None
        if self.first is None or record.epoch != self.first.epoch:
            self.first, self.batches = record, []
        if record is not self.last:
            self.batches.append((record.x, record.y, record.sample_weight))
            self.last = record
        if record.step == self.stop_after:
            self.model.stop_training = True
        super()._look(report)


def _start(watch: _Watch, finding: Finding) -> Trial:
    """Return the finding in a draft: of its step alone, or of all steps of its epoch up to it."""
    if finding.name.startswith("val_"):
        raise BadInput(f"{finding.name!r} is of a validation, which a short script doesn't show.")
    for draft in _drafts(watch, finding):
        try:
            trial = compared(draft)
        except BadInput:
            raise
        except Exception as error:
            raise BadInput(
                f"The model {watch.graph.name!r} can't be rebuilt from its configuration: "
                f"{in_a_sentence(error)}"
            ) from error
        if trial.report.first is not None and same(trial.finding) == same(finding):
            return trial
    raise BadInput(
        f"The finding isn't there any more when the model is rebuilt: {finding.phase} of "
        f"{finding.name!r} depends on something beside its configuration, weights and data."
    )


def _drafts(watch: _Watch, finding: Finding) -> Iterator[Draft]:
    """Yield what the finding may be found in: its step from there on, and its epoch so far."""
    graph, first, last = watch.graph, watch.first, watch.last
    assert first is not None and last is not None
    if finding.phase != "metric":
        yield read(graph, last)
    batches = [
        data_of(graph, replace(first, x=x, y=y, sample_weight=w)) for x, y, w in watch.batches
    ]
    joined: dict[str, Any] = {
        name: tuple(map(np.concatenate, zip(*(one[name] for one in batches), strict=True)))
        for name in ("x", "y", "sample_weight")
    }
    yield replace(read(graph, first), **joined)
