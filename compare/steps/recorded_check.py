"""The check of one step, written down once for batches of one shape, and computed again at each.

Nearly always everything agrees, and nothing is asked of a step but how far each of its numbers is
from its reference. What `StepCheck` computes for that is a straight line of NumPy operations on
`Noisy` numbers. Here it runs on `Recorded` ones (`manual.recording`), which note every operation,
so that the next step of the same shape needs no layer, no place and no verdict: Keras's numbers are
put where those of the first step were, and the notes give the distances.

A recording knows one answer only: everything agrees. Whatever else there is to say of a step
is said by `StepCheck` itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np

from compare.findings.collecting import FIT, OF_FIT, OWN, TAPE, Origin, Trace
from compare.findings.places import Places
from compare.rounding.distances import Distances
from compare.rounding.noise import Noisy
from compare.rounding.reference import Reference
from compare.steps.checks import StepCheck
from compare.steps.epochs import Seen, seen_in
from compare.steps.shared_results import SharingTape
from keras_models.step_record import StepRecord
from manual.backpropagation import Pass
from manual.network import Network
from manual.recorded import NotRecordable
from manual.recording import Tape

Key = tuple[str, ...]
Quantity = tuple[str, str, str]
"""Phase, name and source."""

NEVER_JUDGED = ("draw", "mask", "row number", "row")
"""What a trace holds that is only taken over."""
GRADIENT_OF_OWN_STEP = "gradient of the own step"


class RecordedCheck:
    """What `StepCheck` computes of a step in which everything agrees.

    Parameters
    ----------
    reference : Reference
        Its network is left full of recorded numbers.
    record, tape : StepRecord, Trace
        A step; `distances` takes others of the same shapes.
    own : manual.Network, optional
        One that has taken the step by itself. None where ``fit`` computed the very numbers that the
        tape saw, and these alone are checked.
    own_loss : float, optional

    Attributes
    ----------
    quantities : list of (phase, name, source)
        Everything that is compared. The gradients of the network's own step are among it. No report
        has them, but they show what its weights, moved by a small learning rate, would not.

    Raises
    ------
    Exception
        Where the check can't be recorded.
    """

    def __init__(
        self,
        reference: Reference,
        record: StepRecord,
        tape: Trace,
        own: Network | None,
        own_loss: float | None,
    ) -> None:
        arrays = dict(_numbers(record, tape, own, own_loss))
        if any(array.dtype.kind not in "fiub" for array in arrays.values()):
            raise NotRecordable("something that isn't a number")
        self.shapes = [array.shape for array in arrays.values()]
        sizes = [array.size for array in arrays.values()]
        self.numbers = np.zeros(sum(sizes))
        stops = np.cumsum(sizes).tolist()
        self.places = [
            self.numbers[stop - array.size : stop].reshape(array.shape)
            for array, stop in zip(arrays.values(), stops, strict=True)
        ]
        judged = sum(array.size for key, array in arrays.items() if _is_judged(key))
        self.distances_of = Distances(self.numbers[:judged], reference.unit)
        self._put(arrays.values())

        arguments = reference, record, tape, own
        first = SharingTape()
        self._noted(first, arrays, *arguments)
        self.distances_of = Distances(self.numbers[:judged], reference.unit)
        notes = SharingTape(first.again)
        self._noted(notes, arrays, *arguments)
        found = self.distances_of.quantities
        self._again = [i for i, one in enumerate(found) if own is None and _is_of_fit(one)]
        self.quantities = found + [(*found[i][:2], FIT) for i in self._again]
        self.calls = notes.program()

    def _noted(
        self,
        notes: Tape,
        keys: Iterable[Key],
        reference: Reference,
        record: StepRecord,
        tape: Trace,
        own: Network | None,
    ) -> None:
        """Run the check on recorded numbers that lie where those of every step will."""
        places = zip(keys, self.places, strict=True)
        taken = {key: notes.lasting_array(place) for key, place in places}
        inputs = {one.held.key for one in taken.values()}
        check = _Recording(notes, self.distances_of, reference, record, tape, own, taken)
        self.seen = check.recorded()
        if any(call.writes in inputs for call in notes.calls):
            raise NotRecordable("Keras's numbers are changed in place.")

    def distances(
        self, record: StepRecord, tape: Trace, own: Network | None, own_loss: float | None
    ) -> np.ndarray | None:
        """Return how far each quantity is from its reference; None for a step of other shapes."""
        arrays = [array for _, array in _numbers(record, tape, own, own_loss)]
        if [array.shape for array in arrays] != self.shapes:
            return None
        self._put(arrays)
        with np.errstate(all="ignore"):
            for function, arguments in self.calls:
                function(*arguments)
            measured = self.distances_of.measured()
        return np.concatenate([measured, measured[self._again]]) if self._again else measured

    def _put(self, arrays: Any) -> None:
        for place, array in zip(self.places, arrays, strict=True):
            place[...] = array


def _is_of_fit(quantity: Quantity) -> bool:
    return quantity[0] in OF_FIT and quantity[2] == TAPE


def _numbers(
    record: StepRecord, tape: Trace, own: Network | None, own_loss: float | None
) -> Iterator[tuple[Key, np.ndarray]]:
    """Give every array that the check of a step looks at: first what is judged, then the rest."""
    for phase, named in tape.items():
        if phase not in NEVER_JUDGED:
            for name, array in named.items():
                yield (phase, name, "tape"), array
    yield ("learning rate",), np.asarray(record.learning_rate, np.float64)
    if own is not None:
        yield from _numbers_beside(record, own, own_loss)
    yield ("given", "iterations"), np.asarray(record.iterations, np.float64)
    for phase in NEVER_JUDGED:
        for name, array in tape.get(phase, {}).items():
            yield ("given", phase, name), array
    for what, part in (("x", record.x), ("y", record.y), ("sample weight", record.sample_weight)):
        for index, array in enumerate(part if isinstance(part, (list, tuple)) else [part]):
            if array is not None:
                yield ("given", what, str(index)), array
    for name, array in record.before.items():
        yield ("given", "before", name), array
    for slot, named in record.slots_before.items():
        for name, array in named.items():
            yield ("given", "slots before", name, slot), array


def _numbers_beside(
    record: StepRecord, own: Network, own_loss: float | None
) -> Iterator[tuple[Key, np.ndarray]]:
    """Give what is judged beside the numbers that the tape saw: of ``fit``, and of the own step."""
    for what, named in (("gradients", record.gradients), ("after", record.after)):
        for name, array in named.items():
            yield (what, name), array
    for slot, named in record.slots_after.items():
        for name, array in named.items():
            yield ("slots after", name, slot), array
    for name, parameter in own.parameters.items():
        yield ("own weights", name), parameter.value
        if parameter.trainable:
            yield ("own gradients", name), parameter.gradient
    for slot, array in own.slots.items():
        yield ("own slots", slot), array
    yield ("loss",), np.asarray(record.loss)
    for name, number in (("own loss", own_loss), ("own iterations", own.iterations)):
        yield (name,), np.asarray(number, np.float64)


def _is_judged(key: Key) -> bool:
    return key[0] != "given"


class _Recording(StepCheck):
    """Runs the check on recorded numbers, and notes where each expected number belongs."""

    def __init__(
        self,
        notes: Tape,
        distances: Distances,
        reference: Reference,
        record: StepRecord,
        tape: Trace,
        own: Network | None,
        taken: Mapping[Key, Any],
    ) -> None:
        self.notes, self.distances_of, self.taken = notes, distances, taken
        places = Places(reference, self._record(record), self._trace(tape), 0, None)
        super().__init__(places, None if own is None else self._own(own), None, alike=own is None)

    def recorded(self) -> Seen:
        """Run the check; return where what metrics look at will be."""
        with np.errstate(all="ignore"):
            _, run = self.run(self.taken.get(("own loss",)))
        if run is None:
            return Seen({}, {})
        seen = seen_in(self.network, run)
        if seen.masks:
            raise NotRecordable("a mask that reaches an output")
        return Seen({index: self._kept(p) for index, p in seen.values.items()}, {})

    def _kept(self, p: Noisy) -> Noisy:
        kept = Noisy(self._lasting(p.value), unit=p.unit)
        if p.variance is not None:
            kept.variance = self._lasting(p.variance)
        return kept

    def _lasting(self, array: Any) -> np.ndarray:
        place = np.zeros(array.shape)
        target = self.notes.lasting_array(place, holds_zeros=True)
        target += array
        return place

    # ------------------------------------------------------------------ a step of recorded numbers

    def _record(self, record: StepRecord) -> StepRecord:
        def named(what: str, like: Mapping[str, Any]) -> dict[str, Any]:
            return {name: self.taken[*what.split("/"), name] for name in like}

        def slots(what: str, like: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
            return {
                slot: {name: self.taken[*what.split("/"), name, slot] for name in of_weights}
                for slot, of_weights in like.items()
            }

        def batch(what: str, like: Any) -> Any:
            if isinstance(like, (list, tuple)):
                return [self.taken["given", what, str(index)] for index in range(len(like))]
            return None if like is None else self.taken["given", what, "0"]

        if ("loss",) in self.taken:
            record = replace(
                record,
                after=named("after", record.after),
                slots_after=slots("slots after", record.slots_after),
                gradients=named("gradients", record.gradients),
                loss=self.taken["loss",],
            )
        return replace(
            record,
            x=batch("x", record.x),
            y=batch("y", record.y),
            sample_weight=batch("sample weight", record.sample_weight),
            before=named("given/before", record.before),
            slots_before=slots("given/slots before", record.slots_before),
            iterations=self.taken["given", "iterations"],
            learning_rate=self.taken["learning rate",],
        )

    def _trace(self, tape: Trace) -> Trace:
        return {
            phase: {
                name: self.taken[
                    ("given", phase, name) if phase in NEVER_JUDGED else (phase, name, "tape")
                ]
                for name in named
            }
            for phase, named in tape.items()
        }

    def _own(self, own: Network) -> Any:
        """Return what the check looks at of a network that has taken the step by itself."""
        return SimpleNamespace(
            optimizer=own.optimizer,
            tensors=own.tensors,
            parameters={
                name: SimpleNamespace(value=self.taken["own weights", name])
                for name in own.parameters
            },
            slots={slot: self.taken["own slots", slot] for slot in own.slots},
            iterations=self.taken["own iterations",],
        )

    # ------------------------------------------------------------------ in the place of verdicts

    def compare(
        self, phase: str, name: str, actual: Any, expected: Noisy, origin: Origin, source: str
    ) -> None:
        self.distances_of.expect((phase, name, source), actual.value, expected, self.notes)

    def compare_all(
        self,
        phase: str,
        names: list[str],
        actual: Mapping[str, Any],
        expected: Noisy,
        origins: list[Origin],
        source: str,
    ) -> None:
        start = 0
        for name, origin in zip(names, origins, strict=True):
            array = actual[name]
            part = slice(start, start + array.size)
            one = expected[part].reshape(array.shape)
            self.compare(phase, name, array, one, origin, source)
            start = part.stop

    def own_step(self, own: Any, whole: Pass, gradients: dict[str, Noisy]) -> None:
        super().own_step(own, whole, gradients)
        for name, expected in gradients.items():
            actual = self.taken["own gradients", name]
            key = GRADIENT_OF_OWN_STEP, name, OWN
            self.distances_of.expect(key, actual.value, expected, self.notes)
