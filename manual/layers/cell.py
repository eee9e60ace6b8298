"""What all cells share: the weights, their products with all steps at once, and what dropout draws.

A cell is what a recurrent layer does at one step. It may stand in a network on its own, be given to
`RNN`, or be the layer itself, as in `LSTM`; the loop over time is in `manual.layers.recurrence`.

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
from manual.registry import from_keras
from manual.regularizers import Regularizer

State = tuple[Array, ...]
"""What is carried from step to step: h, and c beside it in an LSTM."""


class Cell(Layer):
    """A step of a recurrent layer, with its weights.

    On its own it takes ``[x, *state]``, x of shape ``(batch, inputs)``, and returns its output and
    the state after the step, whose first array is the output once more. The kernels of all gates
    lie side by side: ``kernel`` is ``(inputs, gates · units)`` and ``recurrent_kernel``
    ``(units, gates · units)``.

    What dropout leaves out it leaves out at every step of a batch (Gal & Ghahramani 2016). Keras
    draws once for all gates, and with ``recurrent_dropout`` once for each. A rate of 1 leaves
    nothing in a plain cell; in one with gates Keras takes it for none at all (``drops_all``).

    Parameters
    ----------
    units : int
    activation, recurrent_activation : str or Keras configuration
        Of the new content, and of the gates.
    dropout, recurrent_dropout : float
        The share of x, and of h, that is left out.
    """

    tensor_arguments = ("inputs", "states")
    keeps_draws = True
    gates: ClassVar[int]
    drops_all: ClassVar[bool] = True
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
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(name=name, trainable=trainable, seed=seed)
        self.units = units
        self.use_bias = use_bias
        self.squash = from_keras("activation", activation or "linear", f"layer {self.name!r}")
        self.of_kernel = kernel_constraint, kernel_regularizer
        self.of_recurrent = recurrent_constraint, recurrent_regularizer
        self.of_bias = bias_constraint, bias_regularizer
        self.dropout, self.recurrent_dropout = dropout, recurrent_dropout

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

    # ------------------------------------------------------------------ a step on its own

    def forward(self, inputs: Any, *, training: bool = False) -> tuple[list[Array], Any]:
        x, *state = inputs
        drop, recurrent_drop = self._drawn(x[:, None]) if training else (None, None)
        a, rows = self.from_inputs(x[:, None], drop)
        after, saved = self.step(a[0], tuple(map(self.taken, state)), recurrent_drop)
        shown = [self.given(one) for one in after]
        return [shown[0], *shown], (rows, saved, drop, recurrent_drop)

    def backward(self, dys: Any, saved: Any) -> list[Array]:
        rows, kept, drop, recurrent_drop = saved
        dy, *dstate = dys
        known = next(one for one in dys if one is not None)
        arriving = list(self.from_nothing(known.shape[0], known.dtype))
        for place, one in [(0, dy), *enumerate(dstate)]:
            if one is not None:
                arriving[place] = arriving[place] + self.taken(one)
        da, ds, used, before = self.step_back(tuple(arriving), kept, recurrent_drop)
        dx = self.from_steps([da], [ds], [used], rows, drop)
        return [dx[:, 0], *map(self.given, before)]

    def output_shape(self, input_shape: Any) -> list[Shape]:
        return [self.state_shapes[0], *self.state_shapes]

    def compute_mask(self, x: Any, mask: Any) -> None:
        """Return None: a step has no time."""

    @property
    def state_shapes(self) -> list[Shape]:
        return [(self.units,)] * self.carried

    def taken(self, one: Array) -> Array:
        """Return one of a state's arrays as the steps have it: by convolutions, channels last."""
        return one

    def given(self, one: Array) -> Array:
        """Return one of a state's arrays as Keras has it."""
        return one

    def from_nothing(self, samples: int, dtype: Any) -> State:
        """Return the state that is all zeros."""
        return (np.zeros((self.units, samples), dtype).T,) * self.carried

    def zeros(self, like: Array) -> list[Array]:
        """Return the gradient at a state that nothing depends on, for as many samples."""
        return [self.given(one) for one in self.from_nothing(like.shape[0], like.dtype)]

    # ------------------------------------------------------------------ products with the kernels

    def from_inputs(self, x: Array, drop: Rows | None) -> tuple[Array, Rows]:
        """Return x W + b at all steps, time first, and the rows of x, one for each gate or for all.

        Parameters
        ----------
        x : array, shape (batch, time, …)
        drop : list of array, optional
            What dropout makes of each step of x.
        """
        rows = dropped(x, None if drop is None else [one[:, None] for one in drop])
        a = through([in_time(one) for one in rows], self.kernel.value)
        if self.use_bias:
            a = a + for_each_sample(self.input_bias, x.shape[0])
        return a, rows

    def from_steps(
        self, das: Rows, dss: Rows, used: list[Rows], rows: Rows, drop: Rows | None
    ) -> Array:
        """Add to the gradients of the weights what all steps give; return the gradient at x.

        Parameters
        ----------
        das, dss : list of array
            The gradients at x W + b and at h U, from the last step to the first.
        used : list of list of array
            The rows that were multiplied with U, in the same order.
        rows, drop : lists of array
            Of `from_inputs`.
        """
        da = side_by_side(das)
        ds = da if dss[0] is das[0] else side_by_side(dss)
        by_gate = [side_by_side(list(gate)) for gate in zip(*used, strict=True)]
        self.kernel.gradient += kernel_gradient([in_time(one) for one in rows], da)
        self.recurrent_kernel.gradient += kernel_gradient(by_gate, ds)
        if self.use_bias:
            self.add_bias_gradient(da, ds)
        parts = [in_time(one) for one in back_through(da, self.kernel.value, len(rows))]
        return undropped(parts, None if drop is None else [one[:, None] for one in drop])

    def products(self, rows: Rows) -> Array:
        """Return h U, given what dropout leaves of h for each gate, or for all."""
        return through(rows, self.recurrent_kernel.value)

    def products_back(self, dz: Array, rows: int) -> Rows:
        """Return the gradients at the rows of `products`, of which there were so many."""
        return back_through(dz, self.recurrent_kernel.value, rows)

    def stacked(self, steps: Rows) -> Array:
        """Return one array of all steps, time first."""
        return stacked(steps)

    # ------------------------------------------------------------------ weights and draws

    def build(self, input_shape: Any, generator: np.random.Generator) -> None:
        step = input_shape[0] if isinstance(input_shape, list) else input_shape
        self.add_kernels(step, generator)

    def add_kernels(self, step: Shape, generator: np.random.Generator) -> None:
        """Create the weights for one step's input of this shape."""
        inputs, width = step[-1], self.gates * self.units
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
        draws = self.draws_each
        drop = recurrent_drop = None
        if self._drops(self.dropout):
            shape = (x.shape[0], *x.shape[2:])
            drop = [self._kept(shape, self.dropout, x) for _ in range(draws)]
        if self._drops(self.recurrent_dropout):
            shape = (x.shape[0], *self.state_shapes[0])
            recurrent_drop = [self._kept(shape, self.recurrent_dropout, x) for _ in range(draws)]
        return drop, recurrent_drop

    @property
    def draws_each(self) -> int:
        """How often Keras draws for x, and for h."""
        return self.gates if self.recurrent_dropout else 1

    def _drops(self, rate: float) -> bool:
        return rate > 0.0 and (rate < 1.0 or self.drops_all)

    def _kept(self, shape: Shape, rate: float, x: Array) -> Array:
        if rate == 1.0:  # nothing is drawn for it
            return np.zeros(shape, x.dtype)
        return (self.draws.uniform(shape) >= rate) * np.ones((), x.dtype) * (1.0 / (1.0 - rate))
