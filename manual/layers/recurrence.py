"""The loop over time that all recurrent layers share, forward and back.

The activations are inside a recurrent layer's map: there is one at every step, and no node of the
network could show them all.

Arrays of all steps have time first, and each step's numbers lie by columns;
`manual.layers.gatewise` says why.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from manual import sums
from manual.arrays import Array
from manual.constraints import Constraint
from manual.layers.base import Layer, Shape
from manual.layers.gatewise import (
    Rows,
    back_through,
    dropped,
    for_each_sample,
    in_time,
    kernel_gradient,
    side_by_side,
    stacked,
    through,
    undropped,
)
from manual.registry import NoTwin, from_keras
from manual.regularizers import Regularizer

State = tuple[Array, ...]
"""What is carried from step to step: h, and c beside it in an LSTM."""


class Recurrent(Layer):
    """What all recurrent layers share: the loop over time, forward and back.

    Takes x of shape ``(batch, time, inputs)`` and returns the last output, of shape
    ``(batch, units)``, or with ``return_sequences`` all of them, ``(batch, time, units)``. The
    kernels of all gates lie side by side: ``kernel`` is ``(inputs, gates · units)`` and
    ``recurrent_kernel`` ``(units, gates · units)``.

    The state starts at zero. A step that the mask leaves out carries the state on unchanged; its
    output is the last one again, or zero with ``zero_output_for_mask``. With ``go_backwards`` time
    runs from the end, and the outputs stand in the order in which they were computed.

    What dropout leaves out it leaves out at every step of a batch (Gal & Ghahramani 2016). Keras
    draws once for all gates, and with ``recurrent_dropout`` once for each.

    Parameters
    ----------
    units : int
    activation, recurrent_activation : str or Keras configuration
        Of the new content, and of the gates.
    dropout, recurrent_dropout : float
        The share of x, and of h, that is left out.
    unroll : bool
        How Keras runs the loop; the numbers are the same.
    """

    takes_mask = True
    gates: ClassVar[int]
    carried: ClassVar[int] = 1
    """How many arrays the state has."""

    def __init__(
        self,
        units: int,
        activation: str | Mapping[str, Any] | None = "tanh",
        use_bias: bool = True,
        *,
        kernel_regularizer: Mapping[str, Any] | Regularizer | None = None,
        recurrent_regularizer: Mapping[str, Any] | Regularizer | None = None,
        bias_regularizer: Mapping[str, Any] | Regularizer | None = None,
        kernel_constraint: Mapping[str, Any] | Constraint | None = None,
        recurrent_constraint: Mapping[str, Any] | Constraint | None = None,
        bias_constraint: Mapping[str, Any] | Constraint | None = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        zero_output_for_mask: bool = False,
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(name=name, trainable=trainable, seed=seed)
        for option, asked in {"return_state": return_state, "stateful": stateful}.items():
            if asked:
                raise NoTwin(f"layer {self.name!r}: the option {option}=True has no twin yet.")
        if max(dropout, recurrent_dropout) >= 1.0:
            raise NoTwin(f"layer {self.name!r}: a dropout of everything has no twin.")
        self.units = units
        self.use_bias = use_bias
        self.squash = from_keras("activation", activation or "linear", f"layer {self.name!r}")
        self.of_kernel = kernel_constraint, kernel_regularizer
        self.of_recurrent = recurrent_constraint, recurrent_regularizer
        self.of_bias = bias_constraint, bias_regularizer
        self.dropout, self.recurrent_dropout = dropout, recurrent_dropout
        self.return_sequences = return_sequences
        self.go_backwards = go_backwards
        self.unroll = unroll
        self.zero_output_for_mask = zero_output_for_mask

    # ------------------------------------------------------------------ one step, for each kind

    def step(self, a: Array, state: State, drop: Rows | None) -> tuple[State, Any]:
        """Return the state after one step, and what `step_back` needs.

        Parameters
        ----------
        a : array, shape (batch, gates · units)
            What comes from the input: x W + b.
        state : tuple of arrays, shape (batch, units)
        drop : list of array, optional
            What recurrent dropout makes of h.
        """
        raise NotImplementedError

    def step_back(
        self, dstate: State, saved: Any, drop: Rows | None
    ) -> tuple[Array, Array, Rows, State]:
        """Return the gradients at a and at the recurrent products, their rows, and at the state."""
        raise NotImplementedError

    # ------------------------------------------------------------------ the loop over time

    def forward(
        self, x: Array, *, training: bool = False, mask: Array | None = None
    ) -> tuple[Array, Any]:
        drop, recurrent_drop = self._drawn(x) if training else (None, None)
        if self.go_backwards:
            x, mask = x[:, ::-1], None if mask is None else mask[:, ::-1]
        rows = dropped(x, None if drop is None else [one[:, None] for one in drop])
        a = through([in_time(one) for one in rows], self.kernel.value)
        if self.use_bias:
            a = a + for_each_sample(self.input_bias, x.shape[0])
        state: State = (np.zeros((self.units, x.shape[0]), a.dtype).T,) * self.carried
        outputs: Rows = []
        steps: list[Any] = []
        for t in range(x.shape[1]):
            after, saved = self.step(a[t], state, recurrent_drop)
            y = after[0]
            if mask is not None:
                counts = mask[:, t, None]
                state = chosen(counts, after, state)
                y = np.where(counts, y, 0.0) if self.zero_output_for_mask else state[0]
            else:
                state = after
            outputs.append(y)
            steps.append(saved)
        y = in_time(stacked(outputs)) if self.return_sequences else outputs[-1]
        return y, (rows, steps, mask, drop, recurrent_drop)

    def backward(self, dy: Array, saved: Any) -> Array:
        rows, steps, mask, drop, recurrent_drop = saved
        das: Rows = []
        dss: Rows = []
        recurrent_rows: list[Rows] = []
        dys = stacked([dy[:, t] for t in range(len(steps))] if self.return_sequences else [dy])
        dstate: State = (np.zeros((self.units, dy.shape[0]), dy.dtype).T,) * self.carried
        nothing = dstate
        for t in reversed(range(len(steps))):
            counts = None if mask is None else mask[:, t, None]
            arriving = dstate
            if self.return_sequences or t == len(steps) - 1:
                dyt = dys[t if self.return_sequences else 0]
                if counts is not None and self.zero_output_for_mask:
                    dyt = np.where(counts, dyt, 0.0)
                arriving = (dstate[0] + dyt, *dstate[1:])
            # A step that doesn't count is passed by: nothing enters it, all goes on to the next.
            entering = arriving if counts is None else chosen(counts, arriving, nothing)
            da, ds, used, dstate = self.step_back(entering, steps[t], recurrent_drop)
            if counts is not None:
                dstate = chosen(counts, dstate, arriving)
            das.append(da)
            dss.append(ds)
            recurrent_rows.append(used)
        da = side_by_side(das)
        ds = da if dss[0] is das[0] else side_by_side(dss)
        by_gate = [side_by_side(list(gate)) for gate in zip(*recurrent_rows, strict=True)]
        self.kernel.gradient += kernel_gradient([in_time(one) for one in rows], da)
        self.recurrent_kernel.gradient += kernel_gradient(by_gate, ds)
        if self.use_bias:
            self.add_bias_gradient(da, ds)
        parts = [in_time(one) for one in back_through(da, self.kernel.value, len(rows))]
        dx = undropped(parts, None if drop is None else [one[:, None] for one in drop])
        return dx[:, ::-1] if self.go_backwards else dx

    def output_shape(self, input_shape: Shape) -> Shape:
        return (input_shape[0], self.units) if self.return_sequences else (self.units,)

    def compute_mask(self, x: Array, mask: Any) -> Any:
        """Return the input's mask where there is still a time axis (never turned round)."""
        return mask if self.return_sequences else None

    # ------------------------------------------------------------------ weights and draws

    def build(self, input_shape: Shape, generator: np.random.Generator) -> None:
        inputs, width = input_shape[-1], self.gates * self.units
        limit = np.sqrt(6.0 / (inputs + width))  # Glorot & Bengio 2010, eq. 16
        kernel = generator.uniform(-limit, limit, (inputs, width))
        turned, _ = np.linalg.qr(generator.normal(size=(width, self.units)))
        self.kernel = self.add_weight("kernel", kernel, *self.of_kernel)
        self.recurrent_kernel = self.add_weight("recurrent_kernel", turned.T, *self.of_recurrent)
        if self.use_bias:
            self.bias = self.add_weight("bias", self.initial_bias(), *self.of_bias)

    def initial_bias(self) -> Array:
        """Return the bias that training starts from."""
        return np.zeros(self.gates * self.units)

    @property
    def input_bias(self) -> Array:
        """The bias that is added to x W."""
        return self.bias.value

    def add_bias_gradient(self, da: Array, ds: Array) -> None:
        """Add to the bias's gradient, from those at the input's and the state's products.

        Parameters
        ----------
        da, ds : array, shape (time, batch, gates · units)
        """
        self.bias.gradient += sums.over_rows(da)

    def _drawn(self, x: Array) -> tuple[Rows | None, Rows | None]:
        """Draw what dropout makes of x and of h, in Keras's order."""
        gates = self.gates if self.recurrent_dropout else 1
        drop = recurrent_drop = None
        if self.dropout:
            drop = [self._kept((x.shape[0], x.shape[-1]), self.dropout, x) for _ in range(gates)]
        if self.recurrent_dropout:
            shape = (x.shape[0], self.units)
            recurrent_drop = [self._kept(shape, self.recurrent_dropout, x) for _ in range(gates)]
        return drop, recurrent_drop

    def _kept(self, shape: tuple[int, int], rate: float, x: Array) -> Array:
        return (self.draws.uniform(shape) >= rate) * np.ones((), x.dtype) * (1.0 / (1.0 - rate))


def chosen(counts: Array, these: State, others: State) -> State:
    """Return the first state for the samples that count, the second for the others."""
    return tuple(np.where(counts, one, other) for one, other in zip(these, others, strict=True))
