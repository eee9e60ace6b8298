"""A Keras callback that follows anybody's ``fit``, and changes nothing in it."""

from __future__ import annotations

import random
import sys
from collections.abc import Collection, Mapping
from typing import Any, Literal, TextIO

import keras

from compare.data.streams import split, zeros_like
from compare.errors import BadInput, Disagreement, check_backend
from compare.findings.report import Report
from compare.printable import printable
from compare.steps.following import Follower
from compare.steps.pairing import Pair
from compare.steps.witness import Witness
from compare.trace import PHASES
from compare.twins.twin import check_model
from keras_models.recorder import Recorder

OnDifference = Literal["raise", "warn", "record"]


class Lockstep(keras.callbacks.Callback):
    """Compares a running ``fit`` with the model's hand-written twin.

    The training is the very same with it and without, to the last bit. After every epoch a line
    says how the comparison stands.

    Parameters
    ----------
    every : int
        Compare each ``every``-th step alone, the first of all included. What takes all steps is
        compared only if it is 1: what ``fit`` prints of an epoch, and how far two trainings apart
        drift.
    steps : collection of int, optional
        Compare these steps, counted from 1 over all epochs, instead.
    on_difference : {"warn", "raise", "record"}
        Where something disagrees: print the finding and go on; raise `Disagreement`; or say
        nothing until somebody looks at the report.
    phases : collection of str, optional
        Compare only these, of ``"input"``, ``"activation"``, ``"loss"``,
        ``"activation gradient"``, ``"weight gradient"``, ``"processed gradient"``,
        ``"optimizer slot"``, ``"weight"``, ``"state"`` and ``"metric"``.
    strict : bool
        Refuse layers that have no twin. Else Keras itself carries them, everything around them is
        verified, and the report says which they were.
    file : text stream, default standard output
    witness : Witness, optional
        Is shown all that was compared: a `Film`, say, which makes a page of it.

    Attributes
    ----------
    report : Report
        Of the last ``fit``, or of the one that is running.

    Raises
    ------
    BadInput
        Before the first step, if the model can't be compared.
    Disagreement
        In the step that disagrees, with ``on_difference="raise"``.

    Examples
    --------
    >>> model.fit(x, y, epochs=5, callbacks=[compare.Lockstep()])  # doctest: +SKIP
    """

    def __init__(
        self,
        *,
        every: int = 1,
        steps: Collection[int] | None = None,
        on_difference: OnDifference = "warn",
        phases: Collection[str] | None = None,
        strict: bool = False,
        file: TextIO | None = None,
        witness: Witness | None = None,
    ) -> None:
        super().__init__()
        if not isinstance(every, int) or every < 1:
            raise BadInput(f"every must be a whole number from 1. Received: {every!r}.")
        chosen = None if steps is None else {*_listed("steps", steps)}
        if chosen is not None and (every != 1 or not chosen or min(chosen) < 1):
            raise BadInput(
                "steps are numbers from 1 on, given instead of every. "
                f"Received: steps={steps!r}, every={every}."
            )
        if on_difference not in ("raise", "warn", "record"):
            raise BadInput(
                f"on_difference is 'raise', 'warn' or 'record'. Received: {on_difference!r}."
            )
        wanted = PHASES if phases is None else _listed("phases", phases)
        if unknown := [one for one in wanted if one not in PHASES]:
            raise BadInput(f"The phases are {', '.join(PHASES)}. Received: {unknown[0]!r}.")
        self.every, self.steps, self.on_difference = every, chosen, on_difference
        self.phases, self.strict, self.file, self.witness = wanted, strict, file, witness
        self.report = Report("", "")
        self._recorder: Recorder | None = None

    def wants(self, step: int) -> bool:
        """Say whether a step, counted from 1, is compared."""
        return step in self.steps if self.steps is not None else (step - 1) % self.every == 0

    # ------------------------------------------------------------------ what fit tells

    def on_train_begin(self, logs: Any = None) -> None:
        self._restore()  # after a fit that was interrupted
        check_backend(keras.backend.backend())
        check_model(self.model)
        self.report, self._told, self._line = Report(self.model.name, ""), 0, ""
        self._epoch = 0
        self._own_train_function = self.model.train_function
        self.model.train_function = self._first

    def _first(self, iterator: Any) -> Any:
        """Take the first step: of the data that it takes, the shapes are known now."""
        self.model.train_function = self._own_train_function
        drawing = random.getstate()  # copies of layers draw from it
        batch = split(keras.tree.map_structure(zeros_like, iterator.element_spec), "data")
        pair = Pair(self.model, batch, strict=self.strict)
        pair.introduce(self.report)
        random.setstate(drawing)
        sampled = self.every > 1 or self.steps is not None
        self._follower = Follower(
            pair, self.report, sampled=sampled, phases=self.phases, may_stop=False
        )
        self._follower.on_step = self._look
        self._follower.show_to(self.witness)
        whole = not sampled and self.model.steps_per_execution == 1
        self._recorder = Recorder(
            self._follower.step,
            self._follower.validation if whole else None,
            None if pair.graph is self.model else pair.graph,
            wanted=self.wants,
            beside=self._follower.beside,
        )
        self._recorder.set_params(self.params)
        self._recorder.set_model(self.model)
        self._recorder.on_train_begin()
        self._recorder.on_epoch_begin(self._epoch)
        return self.model.train_function(iterator)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._say_line()
        self._epoch = epoch
        if self._recorder is not None:
            self._recorder.on_epoch_begin(epoch)

    def on_test_begin(self, logs: Any = None) -> None:
        if self._recorder is not None:
            self._recorder.on_test_begin()

    def on_test_end(self, logs: Any = None) -> None:
        if self._recorder is not None:
            self._recorder.on_test_end()

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        if self._recorder is None:
            return
        if not self._follower.sampled:
            self._follower.epoch_end(dict(logs or {}))
            self._look(self.report)
        epochs = self.params.get("epochs") or epoch + 1
        self._line = f"lockstep {epoch + 1}/{epochs}  {_standing(self.report)}"

    def on_train_end(self, logs: Any = None) -> None:
        self._say_line()
        self._restore()
        if self.on_difference != "record":
            for remark in self.report.remarks:
                self._say(f"lockstep  {remark}")

    # ------------------------------------------------------------------ what is said

    def _look(self, report: Report) -> None:
        """Do what is to be done about a disagreement that was not there before."""
        new = report.findings[self._told :]
        self._told = len(report.findings)
        if new and self.on_difference == "raise":
            raise Disagreement(str(new[0]))
        if new and self.on_difference == "warn":
            if self.params.get("verbose") == 1:
                self._say("")  # below Keras's progress bar
            self._say(str(new[0]))
            if len(new) > 1:
                self._say(f"({len(new) - 1} more quantities disagree after it in this step)")

    def _say_line(self) -> None:
        """Print the line of an epoch: once Keras has finished its own."""
        if self._line and self.on_difference != "record":
            self._say(self._line)
        self._line = ""

    def _say(self, text: str) -> None:
        print(printable(text), file=self.file or sys.stdout, flush=True)

    def _restore(self) -> None:
        if self._recorder is not None:
            self._recorder.restore()
            self._recorder = None


def _listed(name: str, given: Any) -> list[Any]:
    if isinstance(given, str) or not isinstance(given, Collection):
        raise BadInput(f"{name} must be a list. Received: {given!r}.")
    return list(given)


def _standing(report: Report) -> str:
    """Say in a line how a comparison stands."""
    compared = f"{report.compared:,} quantities compared"
    if report.largest is None or not report.ok:
        return f"{compared}, {report.disagreements:,} disagree"
    return f"{compared}, all agree (largest {report.largest[1].distance:.2g} × noise)"
