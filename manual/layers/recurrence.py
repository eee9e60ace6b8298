"""The loop over time that all recurrent layers share, forward and back.

The activations are inside a recurrent layer's map: there is one at every step, and no node of the
network could show them all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from manual.arrays import Array
from manual.layers.base import Layer, Shape
from manual.layers.cell import Cell, State
from manual.layers.core import InputLayer
from manual.layers.gatewise import Rows, in_time
from manual.layers.parameter import Parameter
from manual.layers.symbol import Symbol
from manual.registry import NoTwin


class OverTime(Layer):
    """What takes a sequence step by step: its options, and the state that it starts from.

    Takes x of shape ``(batch, time, …)``, or ``[x, *initial_state]``, and returns the last output,
    of shape ``(batch, …)``, or with ``return_sequences`` all of them, ``(batch, time, …)``; with
    ``return_state`` a list, in which the arrays of the last state follow.

    The state starts at zero, or as it is given, or with ``stateful`` where it ended at the batch
    before. A step that the mask leaves out carries the state on unchanged; its output is the last
    one again (zero, if there is none yet), or zero with ``zero_output_for_mask``. With
    ``go_backwards`` time runs from the end, and the outputs stand in the order in which they were
    computed. Where an initial state is given, Keras hands the layer a mask only if the call says so
    (``masked``): else all steps count, though the mask goes on to the layers that follow.

    Parameters
    ----------
    return_sequences, return_state, go_backwards, stateful, zero_output_for_mask : bool
    unroll : bool
        How Keras runs the loop. The numbers are the same, but of outputs that are zero where
        masked: running backwards it then looks at the mask the wrong way round.
    """

    takes_mask = always_moves = True
    keeps_draws = False
    tensor_arguments = ("sequences", "initial_state")
    call_options = frozenset({"masked"})

    def __init__(
        self,
        *args: Any,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        zero_output_for_mask: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(*args, **options)
        self.return_sequences = return_sequences
        self.return_state = return_state
        self.go_backwards = go_backwards
        self.stateful = stateful
        self.unroll = unroll
        self.zero_output_for_mask = zero_output_for_mask
        self.samples: int | None = None
        self.remembered: list[Parameter] = []

    @property
    def carries(self) -> list[Shape]:
        """The shapes of what is carried from step to step."""
        raise NotImplementedError

    def apply(self, *inputs: Symbol, call: int, **named: Any) -> Any:
        self.samples = batch_size(inputs[0])
        return super().apply(*inputs, call=call, **named)

    def remember(self) -> None:
        """Create what is remembered from batch to batch, once the cells have been built."""
        if not self.stateful:
            return
        if self.samples is None:
            raise NoTwin(f"layer {self.name!r}: stateful=True takes a fixed batch size.")
        for place, shape in enumerate(self.carries):
            zeros = np.zeros((self.samples, *shape))
            self.remembered.append(self.add_weight(f"rnn_state/{place}", zeros, is_state=True))

    def output_shape(self, input_shape: Any) -> Any:
        time, *_ = input_shape[0] if isinstance(input_shape, list) else input_shape
        shape = self.output_of_a_step
        y = (time, *shape) if self.return_sequences else shape
        return [y, *self.carries] if self.return_state else y

    def forward(
        self, x: Any, *, training: bool = False, mask: Any = None, masked: bool = False
    ) -> tuple[Any, Any]:
        raise NotImplementedError

    def parts(self) -> list[tuple[str, Layer]]:
        """Return the layers within that have the weights, with their paths in Keras."""
        raise NotImplementedError

    @property
    def output_of_a_step(self) -> Shape:
        return self.carries[0]

    def compute_mask(self, x: Any, mask: Any) -> Any:
        """Return the input's mask where there is still a time axis (never turned round)."""
        mask = first(mask) if self.return_sequences else None
        return [mask, *(None for _ in self.carries)] if self.return_state else mask

    def started(self, given: Sequence[Array]) -> Sequence[Array]:
        """Return the state to start from: nothing stands for zeros."""
        return given or [one.value for one in self.remembered]


class Recurrent(OverTime):
    """The loop over time, forward and back, of a cell."""

    cell_name: ClassVar[str]
    """What Keras calls the cell of such a layer."""

    @property
    def cell(self) -> Cell:
        """What is done at every step: most recurrent layers are their own cell."""
        assert isinstance(self, Cell)
        return self

    @property
    def carries(self) -> list[Shape]:
        return self.cell.state_shapes

    def parts(self) -> list[tuple[str, Layer]]:
        return [(self.cell_name, self)]

    def build(self, input_shape: Any, generator: np.random.Generator) -> None:
        sequence = first(input_shape)
        self.cell.add_kernels(sequence[1:], generator)
        self.remember()

    def forward(
        self,
        x: Any,
        *,
        training: bool = False,
        mask: Any = None,
        masked: bool = False,
        written: Any = None,
    ) -> tuple[Any, Any]:
        """Run through time; ``written`` is the mask before time was turned, if it was before."""
        x, *given = x if isinstance(x, list) else [x]
        mask, cell = first(mask) if masked or not given else None, self.cell
        drop, recurrent_drop = cell._drawn(x) if training else (None, None)
        written = mask if written is None else written
        if self.go_backwards:
            x, mask = x[:, ::-1], None if mask is None else mask[:, ::-1]
        a, rows = cell.from_inputs(x, drop)
        start = self.started(given)
        state: State = tuple(map(cell.taken, start))
        state = state or cell.from_nothing(x.shape[0], a.dtype)
        as_written = self.unroll and self.return_sequences  # the mask, though time is turned round
        shows = self._shows(mask, written if as_written else mask, bool(start), x.shape[1])
        outputs: Rows = []
        steps: list[Any] = []
        for t in range(x.shape[1]):
            after, saved = cell.step(a[t], state, recurrent_drop)
            state = after if mask is None else chosen(self._at(mask, t), after, state)
            y = state[0]
            outputs.append(y if shows is None else np.where(shows[t], y, 0.0))
            steps.append(saved)
        shown = [cell.given(one) for one in (outputs if self.return_sequences else outputs[-1:])]
        y = in_time(cell.stacked(shown)) if self.return_sequences else shown[0]
        made = [y, *map(cell.given, state)] if self.return_state else y
        return made, (rows, steps, mask, drop, recurrent_drop, shows, len(given), state)

    def backward(self, dy: Any, saved: Any) -> Any:
        rows, steps, mask, drop, recurrent_drop, shows, given, _ = saved
        cell = self.cell
        dy, *dlast = dy if isinstance(dy, list) else [dy]
        known = next(one for one in (dy, *dlast) if one is not None)
        nothing = dstate = cell.from_nothing(known.shape[0], known.dtype)
        if any(one is not None for one in dlast):
            dstate = tuple(
                zero if one is None else cell.taken(one)
                for zero, one in zip(nothing, dlast, strict=True)
            )
        if dy is not None:
            dys = [dy[:, t] for t in range(len(steps))] if self.return_sequences else [dy]
            dys = cell.stacked([cell.taken(one) for one in dys])
        das: Rows = []
        dss: Rows = []
        used: list[Rows] = []
        for t in reversed(range(len(steps))):
            arriving = dstate
            if dy is not None and (self.return_sequences or t == len(steps) - 1):
                dyt = dys[t if self.return_sequences else 0]
                if shows is not None:
                    dyt = np.where(shows[t], dyt, 0.0)
                arriving = (dstate[0] + dyt, *dstate[1:])
            # A step that doesn't count is passed by: nothing enters it, all goes on to the next.
            counts = None if mask is None else self._at(mask, t)
            entering = arriving if counts is None else chosen(counts, arriving, nothing)
            da, ds, gates, dstate = cell.step_back(entering, steps[t], recurrent_drop)
            if counts is not None:
                dstate = chosen(counts, dstate, arriving)
            das.append(da)
            dss.append(ds)
            used.append(gates)
        dx = cell.from_steps(das, dss, used, rows, drop)
        dx = dx[:, ::-1] if self.go_backwards else dx
        return [dx, *map(cell.given, dstate)] if given else dx

    def update_state(self, saved: Any) -> None:
        *_, state = saved
        for parameter, one in zip(self.remembered, state, strict=False):
            parameter.value[...] = self.cell.given(one)

    # ------------------------------------------------------------------ masks

    def _at(self, mask: Array, t: int) -> Array:
        """Return which samples count at a step, with as many axes as the state has."""
        axes = len(self.carries[0]) - (mask.ndim - 2)
        return mask[(slice(None), t, *(None,) * axes)]

    def _shows(self, mask: Any, looked_at: Any, started: bool, length: int) -> list[Array] | None:
        """Say at which steps there is an output; None where there is one at all, zero or not.

        Before the first step that counts there is none, which a state that starts at zero shows by
        itself.
        """
        if mask is None or not (started or self.zero_output_for_mask):
            return None
        begun, shows = self._at(mask, 0), []
        for t in range(length):
            begun = np.logical_or(begun, self._at(mask, t)) if t and started else begun
            if not self.zero_output_for_mask:
                shows.append(begun)
            else:
                shown = self._at(looked_at, t)
                shows.append(np.logical_and(shown, begun) if started else shown)
        return shows


class Loop(Recurrent):
    """A cell's loop within `RNN`, which has the weights: it gives all that it has."""

    def __init__(self, cell: Cell, **options: Any) -> None:
        super().__init__(name=cell.name, return_state=True, **options)
        self._cell = cell

    @property
    def cell(self) -> Cell:
        return self._cell


def chosen(counts: Array, these: State, others: State) -> State:
    """Return the first state for the samples that count, the second for the others."""
    return tuple(np.where(counts, one, other) for one, other in zip(these, others, strict=True))


def first(given: Any) -> Any:
    """Return the first of a list, or what is none."""
    return given[0] if isinstance(given, list) else given


def batch_size(symbol: Symbol) -> int | None:
    """Return the size of the batches that a value comes in; None if it isn't fixed."""
    while symbol.inputs:
        symbol = symbol.inputs[0]
    return symbol.layer.samples if isinstance(symbol.layer, InputLayer) else None
