"""Long short-term memory whose products with the kernels are convolutions (Shi et al. 2015)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from manual.arrays import Array
from manual.layers.base import Shape
from manual.layers.cell import State
from manual.layers.cells import LSTMCell
from manual.layers.columns import columns, from_rows, in_rows
from manual.layers.convolution import correlate, correlate_back, glorot_uniform, kernel_gradient
from manual.layers.gatewise import Rows, dropped, in_time, undropped
from manual.layers.recurrence import Recurrent
from manual.layers.windows import SpatialLayer, Windows
from manual.registry import NoTwin, twin_of


class ConvolutionalCell(LSTMCell, SpatialLayer):
    """A step of an LSTM that keeps images in mind: x ⋆ W and h ⋆ U stand for x W and h U.

    Takes x of shape ``(batch, *space, channels)``; the state's arrays have the shape
    ``(batch, *positions, filters)`` (channels second with ``data_format="channels_first"``). The
    kernel is ``(*kernel_size, channels, 4 filters)``, the recurrent kernel
    ``(*kernel_size, filters, 4 filters)``: it moves by single steps over all positions, whatever
    strides, padding and dilation the kernel has. Keras draws what dropout leaves out for each gate.

    Parameters
    ----------
    filters : int
    kernel_size, strides, dilation_rate : int or sequence of int
    padding : str
        ``"valid"`` or ``"same"``.
    """

    derivation = {
        "forward": "at every step [zi, zf, zg, zo] = x ⋆ W + h ⋆ U + b; i, f, o = σ(zi, zf, zo), "
        "g = tanh zg; c⁺ = f c + i g, h⁺ = o tanh c⁺",
        "input gradient": "dx = dz ⋆ᵀ W, with dc⁺ += dh⁺ o (1 − tanh² c⁺); do = dh⁺ tanh c⁺, "
        "di = dc⁺ g, df = dc⁺ c, dg = dc⁺ i, each times its gate's derivative; "
        "to the step before: dh = dz ⋆ᵀ U, dc = dc⁺ f",
        "kernel gradient": "dW[o] = Σ x[p s + o d − before]ᵀ · dz[p] over samples, p and the steps",
        "recurrent_kernel gradient": "dU[o] = Σ h[p + o − before]ᵀ · dz[p] over samples, p and the "
        "steps, h of the step before",
        "bias gradient": "db = Σ dz over samples, positions and steps",
    }

    def __init__(
        self,
        filters: int,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int] = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: int | Sequence[int] = 1,
        *args: Any,
        **options: Any,
    ) -> None:
        super().__init__(filters, *args, **options)
        self._placed(data_format)
        if padding not in ("valid", "same"):
            raise NoTwin(f"layer {self.name!r}: the padding {padding!r} has no hand-derived twin.")
        if self.data_format == "channels_first":  # the last axis is then one of space
            for function in (self.squash, self.gate):
                if hasattr(function, "axis"):
                    function.axis = self.rank
        self.windows = self._geometry(kernel_size, strides, dilation_rate, padding)
        ones = (1,) * self.rank
        self.around = Windows(self.windows.size, ones, ones, "same")
        """Where the recurrent kernel lies on the state."""

    def add_kernels(self, step: Shape, generator: np.random.Generator) -> None:
        space, channels = self._split(step)
        self.space, self.positions = space, self.windows.positions(space)
        size, width = self.windows.size, self.gates * self.units
        kernel = glorot_uniform((*size, channels, width), generator)
        field = int(np.prod(size)) * self.units
        tall = max(field, width), min(field, width)
        turned, _ = np.linalg.qr(generator.normal(size=tall))
        turned = turned if field >= width else turned.T
        recurrent = turned.reshape(*size, self.units, width)
        self.kernel = self.add_weight("kernel", kernel, *self.of_kernel)
        self.recurrent_kernel = self.add_weight("recurrent_kernel", recurrent, *self.of_recurrent)
        if self.use_bias:
            self.bias = self.add_weight("bias", self.initial_bias(), *self.of_bias)

    # ------------------------------------------------------------------ the state

    @property
    def state_shapes(self) -> list[Shape]:
        return [self._joined(self.positions, self.units)] * self.carried

    def taken(self, one: Array) -> Array:
        return self._channels_last(one)

    def given(self, one: Array) -> Array:
        return self._in_format(one)

    def from_nothing(self, samples: int, dtype: Any) -> State:
        return (np.zeros((samples, *self.positions, self.units), dtype),) * self.carried

    def stacked(self, steps: Rows) -> Array:
        return np.stack(steps)

    @property
    def draws_each(self) -> int:
        return self.gates

    def _drawn(self, x: Array) -> tuple[Rows | None, Rows | None]:
        """Draw with the axes that Keras has; give them with the channels last."""
        drop, recurrent_drop = super()._drawn(x)
        return tuple(  # type: ignore[return-value]
            None if one is None else [self._channels_last(part) for part in one]
            for one in (drop, recurrent_drop)
        )

    # ------------------------------------------------------------------ products with the kernels

    def from_inputs(self, x: Array, drop: Rows | None) -> tuple[Array, Rows]:
        x = np.moveaxis(x, 2, -1) if self.data_format == "channels_first" else x
        rows = dropped(x, None if drop is None else [one[:, None] for one in drop])
        samples, steps = x.shape[:2]
        taken = [columns(self.windows, flat(in_time(one))) for one in rows]
        a = from_rows(_correlated(taken, self.kernel.value), self.positions)
        if self.use_bias:
            a = a + self.bias.value
        return a.reshape(steps, samples, *a.shape[1:]), taken

    def from_steps(
        self, das: Rows, dss: Rows, used: list[Rows], rows: Rows, drop: Rows | None
    ) -> Array:
        steps, samples = len(das), das[0].shape[0]
        dz = flat(np.stack(das[::-1]))
        in_r = in_rows(dz)
        self.kernel.gradient += _kernel_gradient(rows, in_r, self.kernel.shape)
        by_gate = [flat(np.stack(list(gate)[::-1])) for gate in zip(*used, strict=True)]
        taken = [columns(self.around, one) for one in by_gate]
        self.recurrent_kernel.gradient += _kernel_gradient(taken, in_r, self.recurrent_kernel.shape)
        if self.use_bias:
            self.bias.gradient += in_r.sum(axis=(0, 2))
        parts = _correlated_back(self.windows, dz, self.space, self.kernel.value, len(rows))
        parts = [in_time(one.reshape(steps, samples, *one.shape[1:])) for one in parts]
        dx = undropped(parts, None if drop is None else [one[:, None] for one in drop])
        return np.moveaxis(dx, -1, 2) if self.data_format == "channels_first" else dx

    def products(self, rows: Rows) -> Array:
        taken = [columns(self.around, one) for one in rows]
        return from_rows(_correlated(taken, self.recurrent_kernel.value), self.positions)

    def products_back(self, dz: Array, rows: int) -> Rows:
        return _correlated_back(self.around, dz, self.positions, self.recurrent_kernel.value, rows)


def flat(steps: Array) -> Array:
    """Return all samples of all steps as so many samples."""
    return steps.reshape(-1, *steps.shape[2:])


def _correlated(taken: Rows, W: Array) -> Array:
    """Return x ⋆ W, each gate's windows with its filters."""
    each = zip(taken, np.split(W, len(taken), axis=-1), strict=True)
    parts = [correlate(one, part) for one, part in each]
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)


def _kernel_gradient(taken: Rows, dz: Array, shape: Shape) -> Array:
    gates = len(taken)
    of_gate = (*shape[:-1], shape[-1] // gates)
    each = zip(taken, np.split(dz, gates, axis=1), strict=True)
    parts = [kernel_gradient(one, part, of_gate) for one, part in each]
    return parts[0] if gates == 1 else np.concatenate(parts, axis=-1)


def _correlated_back(windows: Windows, dz: Array, space: Shape, W: Array, gates: int) -> Rows:
    """Return the gradients at what was correlated with W: for each gate, or for all."""
    each = zip(np.split(dz, gates, axis=-1), np.split(W, gates, axis=-1), strict=True)
    return [correlate_back(windows, in_rows(one), space, part) for one, part in each]


@twin_of("ConvLSTM1D")
class ConvLSTM1D(Recurrent, ConvolutionalCell):
    """A convolutional LSTM along one axis: ``ConvolutionalCell`` at every step."""

    rank, cell_name = 1, "conv_lstm_cell"


@twin_of("ConvLSTM2D")
class ConvLSTM2D(Recurrent, ConvolutionalCell):
    """A convolutional LSTM over images, a film say: ``ConvolutionalCell`` at every step."""

    rank, cell_name = 2, "conv_lstm_cell"


@twin_of("ConvLSTM3D")
class ConvLSTM3D(Recurrent, ConvolutionalCell):
    """A convolutional LSTM over three axes: ``ConvolutionalCell`` at every step."""

    rank, cell_name = 3, "conv_lstm_cell"
