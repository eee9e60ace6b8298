"""Training on batches that look alike: the step is recorded once, checked, and replayed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from manual.arrays import Array
from manual.layers import Layer, Parameter
from manual.randomness import Draws
from manual.recorded import Recorded
from manual.recording import Tape

if TYPE_CHECKING:
    from manual.network import Network

Batch = Sequence[Array]
"""Inputs, or targets: one array for each."""
_Alike = tuple[int, tuple[tuple[int, ...], ...], float]
"""What steps have in common that are computed alike: the size of the batch, the shapes of its
samples, the loss scale."""
PAGE, LINE = 4096, 64
"""Bytes of a page of memory, and of a line of the cache."""


class Program:
    """Everything that a training step computes up to the gradients, for batches of one shape.

    Recording takes the step, as far as the gradients, like any other.

    Raises
    ------
    Exception
        Where the step can't be recorded.
    """

    def __init__(self, network: Network, x: Batch, y: Batch) -> None:
        self.places = [_with_gaps(one) for one in (*x, *y)]
        self.loss = np.zeros((), network.dtype)
        tape = Tape()
        batch = [tape.lasting_array(place) for place in self.places]
        with on_tape_of(tape, network.parameters.values(), network.layers) as gradients:
            loss = network.differentiate(batch[: len(x)], batch[len(x) :])
        result = tape.lasting_array(self.loss)
        tape.put(result, result.value, loss)
        self.rows = [
            (one, [rows and (_kept(tape, rows[0]), _kept(tape, rows[1])) for rows in one.rows])
            for one in network.parameters.values()
            if one.trainable and one.rows
        ]
        for table, rows in self.rows:
            table.rows[:] = rows
        self.zeros = [one.value for one in gradients if one.held.key in tape.unwritten]
        self.calls = tape.program()

    def run(self) -> Array:
        """Fill the gradients from the batch that lies in ``places``; return its loss."""
        for array in self.zeros:
            array.fill(0.0)
        for function, arguments in self.calls:
            function(*arguments)
        for table, rows in self.rows:
            table.rows[:] = rows
        return self.loss


def _kept(tape: Tape, array: Any) -> Array:
    """Let an array be there after each replay."""
    if not isinstance(array, Recorded):
        return array
    place = np.empty(array.shape, array.dtype)
    tape.put(tape.lasting_array(place), place, array)
    return place


def _with_gaps(batch: Array) -> Array:
    """Copy a batch; where samples would be whole pages apart, as images often are, leave gaps.

    A layer that goes through memory across the samples would find them all in the same few lines of
    the cache, which then holds none for long.
    """
    sample = batch[0].size
    gap = LINE if batch.ndim > 2 and batch[0].nbytes % PAGE == 0 else 0
    place = np.empty((len(batch), sample + gap // batch.itemsize), batch.dtype)[:, :sample]
    place = place.reshape(batch.shape)
    place[...] = batch
    return place


@contextmanager
def on_tape_of(
    tape: Tape, parameters: Iterable[Parameter], layers: Iterable[Layer]
) -> Iterator[list[Recorded]]:
    """Let weights, their gradients and random draws be recorded; give the gradients."""
    weights = [(one, one.value, one.gradient) for one in parameters]
    drawing = [(layer, layer.draws) for layer in layers]
    gradients = []
    try:
        for weight, value, gradient in weights:
            weight.value = tape.lasting_array(value)
            weight.gradient = tape.lasting_array(
                gradient, holds_zeros=True, wanted=weight.trainable
            )
            gradients.append(weight.gradient)
        for layer, draws in drawing:
            layer.draws = _RecordedDraws(draws, tape)
        yield gradients
    finally:
        for weight, value, gradient in weights:
            weight.value, weight.gradient = value, gradient
        for layer, draws in drawing:
            layer.draws = draws


class _RecordedDraws(Draws):
    """Draws that are made anew at every replay."""

    def __init__(self, draws: Draws, tape: Tape) -> None:
        self.draws, self.tape = draws, tape

    def uniform(self, shape: Sequence[int], dtype: Any = np.float64) -> Recorded:
        return self.tape.drawn(lambda: self.draws.uniform(shape, dtype))

    def normal(self, shape: Sequence[int], dtype: Any = np.float64) -> Recorded:
        return self.tape.drawn(lambda: self.draws.normal(shape, dtype))


class Rehearsed:
    """The gradients of a network, batch after batch, by replaying what was recorded.

    The first batches of a shape are learnt from as the layers stand: most trainings of a few steps
    are over before recording would pay. Then one is recorded. The next is computed both ways, and
    only if loss, gradients and state come out the same to the last bit is the recording trusted.
    """

    AT = 2
    """The batches of one shape that come before the one that is recorded."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.seen: dict[_Alike, int] = {}
        self.recorded: dict[_Alike, Program] = {}
        self.trusted: dict[_Alike, Program] = {}

    def differentiate(self, x: Batch, y: Batch, rows: Array) -> Array:
        """Fill the gradients from these rows of all arrays; return their loss."""
        shapes = tuple(part.shape[1:] for part in (*x, *y))
        size = len(rows), shapes, self.network.loss_scale
        program = self.trusted.get(size)
        if program is not None:
            for place, array in zip(program.places, (*x, *y), strict=True):
                array.take(rows, 0, place, "clip")  # the rows are known to exist
            return program.run()
        seen = self.seen[size] = self.seen.get(size, 0) + 1
        x, y = [part[rows] for part in x], [part[rows] for part in y]
        if seen == self.AT + 1:
            return self._recorded(size, x, y)
        program = self.recorded.pop(size, None)
        if program is not None and self._agrees(program, x, y):
            self.trusted[size] = program
        return self.network.differentiate(x, y)

    def _recorded(self, size: _Alike, x: Batch, y: Batch) -> Array:
        before = self._memory()
        try:
            program = self.recorded[size] = Program(self.network, x, y)
        except Exception:  # whatever it is: if it is the user's mistake, the layers say so better
            self._remember(before)
            return self.network.differentiate(x, y)
        return program.loss

    def _agrees(self, program: Program, x: Batch, y: Batch) -> bool:
        before = self._memory()
        found = []
        for place, array in zip(program.places, (*x, *y), strict=True):
            place[...] = array
        places = program.places[: len(x)], program.places[len(x) :]
        for run in (program.run, lambda: self.network.differentiate(*places)):
            self._remember(before)
            loss = np.asarray(run()).copy()
            found.append((loss, self.network.gradients.copy(), *self._memory()[0]))
        self._remember(before)
        return all(np.array_equal(a, b, equal_nan=True) for a, b in zip(*found, strict=True))

    def _memory(self) -> tuple[list[Array], list[Any]]:
        """Return copies of what a step changes besides the gradients: state, random generators."""
        states = [one.value.copy() for one in self._states()]
        return states, [layer.draws.state for layer in self.network.layers]

    def _remember(self, memory: tuple[list[Array], list[Any]]) -> None:
        for parameter, value in zip(self._states(), memory[0], strict=True):
            parameter.value[...] = value
        for layer, state in zip(self.network.layers, memory[1], strict=True):
            layer.draws.state = state

    def _states(self) -> list[Any]:
        weights = self.network.parameters.values()
        return [one for one in weights if one.is_state or one.is_prepared]
