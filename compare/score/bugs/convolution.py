"""Bugs in convolutions, and the networks that they and those in pooling are planted in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np

from compare.score.bugs.base import Bug, Function
from compare.score.networks import SAMPLES, Choice, Planted, generator, spread
from manual.layers.convolution import Convolution
from manual.layers.windows import Windows

_right_forward, _right_backward = Convolution.forward, Convolution.backward
BACK, KERNEL, FORWARD = "activation gradient", "weight gradient", "activation"


def images(bug: Choice) -> Planted:
    """Two convolutions of one width, padded, around a max-pooling of overlapping windows."""
    layer = keras.layers.Conv2D
    model = keras.Sequential(
        [
            keras.Input((6, 6, 3)),
            layer(3, 3, padding="same", activation=bug.activation, name="first", **spread()),
            keras.layers.MaxPooling2D(3, 1, name="pool"),
            layer(3, 3, strides=2, padding="same", activation=bug.activation, name="second"),
            keras.layers.Flatten(name="flat"),
            keras.layers.Dense(4, bug.last, name="last"),
        ]
    )
    return model, *drawn(6, 6, 3)


def groups(bug: Choice) -> Planted:
    """Two convolutions, one dilated and one of two groups, and means of windows and of all."""
    layer = keras.layers.Conv2D
    model = keras.Sequential(
        [
            keras.Input((7, 5, 2)),
            layer(4, 2, dilation_rate=2, activation=bug.activation, name="first", **spread()),
            keras.layers.AveragePooling2D(2, 1, padding="same", name="pool"),
            layer(4, 2, groups=2, padding="same", name="second", **spread()),
            keras.layers.GlobalAveragePooling2D(name="all"),
            keras.layers.Dense(4, bug.last, name="last"),
        ]
    )
    return model, *drawn(7, 5, 2)


def series(bug: Choice) -> Planted:
    """Causal convolutions along time."""
    layer = keras.layers.Conv1D
    model = keras.Sequential(
        [
            keras.Input((7, 2)),
            layer(2, 3, padding="causal", activation=bug.activation, name="first", **spread()),
            layer(2, 2, padding="causal", dilation_rate=2, name="second", **spread()),
            keras.layers.Flatten(name="flat"),
            keras.layers.Dense(4, bug.last, name="last"),
        ]
    )
    return model, *drawn(7, 2)


def drawn(*sample: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw inputs, and targets that suit any loss."""
    draw = generator()
    return draw.normal(size=(SAMPLES, *sample)), draw.dirichlet(np.ones(4), size=SAMPLES)


def in_layer(name: str, right: Function, wrong: Function) -> Function:
    """Return a method that is wrong in one layer only."""

    def method(self: Any, *args: Any, **options: Any) -> Any:
        chosen = wrong if self.name == name else right
        return chosen(self, *args, **options)

    return method


# ---------------------------------------------------------------------- wrong forward maps


def with_kernel(turned: Callable[[Any], Any]) -> Function:
    """Return the forward map with another kernel in it."""

    def forward(self: Any, x: Any, *, training: bool = False) -> Any:
        kept, self.kernel.value = self.kernel.value, turned(self.kernel.value)
        z, saved = _right_forward(self, x, training=training)
        self.kernel.value = kept
        return z, saved

    return forward


def with_windows(**changed: Any) -> Function:
    """Return the forward map with other windows of the same number."""

    def forward(self: Any, x: Any, *, training: bool = False) -> Any:
        kept, self.windows = self.windows, Elsewhere.of(self.windows, x.shape[1:-1], **changed)
        z, saved = _right_forward(self, x, training=training)
        self.windows = kept
        return z, saved

    return forward


class Elsewhere(Windows):
    """Windows with a padding of their own."""

    @classmethod
    def of(cls, right: Windows, space: tuple[int, ...], moved: int = 0, **changed: Any) -> Windows:
        """Return windows like the right ones, moved or changed, at as many positions."""
        made = cls(
            right.size,
            changed.get("strides", right.strides),
            changed.get("dilation", right.dilation),
            right.padding,
        )
        found = []
        for n, (before, _), count, stride, span in zip(
            space,
            right.pads(space),
            right.positions(space),
            made.strides,
            made.spans,
            strict=True,
        ):
            start = changed.get("before", before) + moved
            found.append((start, (count - 1) * stride + span - n - start))
        object.__setattr__(made, "around", found)
        return made

    def pads(self, space: tuple[int, ...]) -> list[tuple[int, int]]:
        return self.around  # type: ignore[attr-defined, no-any-return]

    def surrounded(self, x: Any, value: float = 0.0) -> Any:
        """Pad, or crop where the padding is negative."""
        wide = [(max(a, 0), max(b, 0)) for a, b in self.pads(x.shape[1:-1])]
        inner = [
            slice(max(-a, 0), n + max(a, 0) + b)
            for n, (a, b) in zip(x.shape[1:-1], self.pads(x.shape[1:-1]), strict=True)
        ]
        padded = np.pad(x, [(0, 0), *wide, (0, 0)], constant_values=value)
        return padded[(slice(None), *inner)]


def read_by_channel(W: Any) -> Any:
    """Read a kernel that lies offset by offset as if it lay channel by channel."""
    *size, channels, filters = W.shape
    return np.moveaxis(W.reshape(channels, *size, filters), 0, -2)


def forward_slips() -> Iterator[tuple[str, str, Callable[[Choice], Planted], Function, str]]:
    """Give each wrong forward map: its name, layer, network, and how the cause begins."""
    flipped = with_kernel(lambda W: W[(slice(None, None, -1),) * (W.ndim - 2)])
    for network in (images, groups, series):
        for layer in ("first", "second"):
            yield "flipped", layer, network, flipped, "the kernel is flipped"
    height = with_kernel(lambda W: np.transpose(W, [1, 0, 2, 3]))
    channels = with_kernel(lambda W: np.moveaxis(W, -1, -2))
    by_channel = with_kernel(read_by_channel)
    for layer in ("first", "second"):
        yield "height and width", layer, images, height, "the kernel's height and width"
        yield "channels swapped", layer, images, channels, "input and output channels"
        yield "channel by channel", layer, images, by_channel, "the kernel is read channel by"
    early = "the windows begin one place too early"
    no_start = "the input isn't padded before its start"  # where that is by one, the same numbers
    as_same = "the padding is not causal but the same on both sides"  # where that is by one less
    for network, layer, moved in ((images, "first", no_start), (series, "second", as_same)):
        yield "one early", layer, network, with_windows(moved=1), early
        yield "one late", layer, network, with_windows(moved=-1), moved
    yield "no dilation", "first", groups, with_windows(dilation=(1, 1)), "the dilation is ignored"
    yield "no dilation", "second", series, with_windows(dilation=(1,)), "the dilation is ignored"
    future = with_windows(before=0)
    yield "not causal", "first", series, future, "the padding lies after the end"
    yield "no stride", "second", images, with_windows(strides=(1, 1)), "the strides are ignored"
    end = with_windows(before=1)
    yield "padded before", "second", groups, end, "the odd zero of the padding comes before"

    def no_bias(self: Any, x: Any, *, training: bool = False) -> Any:
        z, saved = _right_forward(self, x, training=training)
        return z - self.bias.value, saved

    for network in (images, groups, series):
        yield "bias forgotten", "first", network, no_bias, "the bias is forgotten"

    def first_group(self: Any, x: Any, *, training: bool = False) -> Any:
        half = x[..., : x.shape[-1] // 2]
        return _right_forward(self, np.concatenate([half, half], -1), training=training)

    yield "groups ignored", "second", groups, first_group, "the groups are ignored"

    def dealt_channels(self: Any, x: Any, *, training: bool = False) -> Any:
        dealt = np.concatenate([x[..., g :: self.groups] for g in range(self.groups)], -1)
        return _right_forward(self, dealt, training=training)

    dealt = "the groups' channels are interleaved"
    yield "channels interleaved", "second", groups, dealt_channels, dealt


# ---------------------------------------------------------------------- wrong derivatives


def with_dx(turned: Callable[[Any], Any]) -> Function:
    """Return the derivative with another kernel in the input's gradient."""

    def backward(self: Any, dz: Any, saved: Any) -> Any:
        _right_backward(self, dz, saved)
        W, dW, db = self.kernel.value, self.kernel.gradient, self.bias.gradient
        self.kernel.value = turned(W)
        self.kernel.gradient, self.bias.gradient = dW * 0.0, db * 0.0
        dx = _right_backward(self, dz, saved)
        self.kernel.value, self.kernel.gradient, self.bias.gradient = W, dW, db
        return dx

    return backward


def with_gradients(dW: Any = None, db: Any = None, dz: Any = None) -> Function:
    """Return the derivative with another gradient of the kernel or the bias.

    ``dz`` makes, of the gradient from the right, what the kernel's gradient gets to see.
    """

    def backward(self: Any, right: Any, saved: Any) -> Any:
        kernel, bias = self.kernel.gradient, self.bias.gradient
        self.kernel.gradient, self.bias.gradient = kernel * 0.0, bias * 0.0
        dx = _right_backward(self, right, saved)
        of_bias = self.bias.gradient
        if dz is not None:
            self.kernel.gradient, self.bias.gradient = kernel * 0.0, bias * 0.0
            _right_backward(self, dz(right), saved)
        of_kernel = self.kernel.gradient
        n = float(np.prod(right.shape[1:-1]))
        self.kernel.gradient, self.bias.gradient = kernel, bias
        self.kernel.gradient += of_kernel if dW is None else dW(of_kernel, n)
        self.bias.gradient += of_bias if db is None else db(right, n)
        return dx

    return backward


def last_window(self: Any, dz: Any, saved: Any) -> Any:
    """Go through the windows of a sequence, and let each overwrite what it holds of dx."""
    _right_backward(self, dz, saved)
    (_, space), W, windows = saved, self.kernel.value, self.windows
    wide = windows.padded(np.zeros_like(dz[..., :1] @ W[0, :, :1].T))
    for position in range(dz.shape[1]):
        for offset in range(W.shape[0]):
            at = position * windows.strides[0] + offset * windows.dilation[0]
            wide[:, at] = dz[:, position] @ W[offset].T
    return windows.cropped(wide, space)


def backward_slips() -> Iterator[tuple[str, str, Any, Function, str, str, str]]:
    """Give each wrong derivative: name, layer, network, method, phase, where, cause."""
    flip = with_dx(lambda W: W[(slice(None, None, -1),) * (W.ndim - 2)])
    swapped = with_dx(lambda W: np.moveaxis(W, -1, -2))
    height = with_dx(lambda W: np.transpose(W, [1, 0, 2, 3]))
    absolute = with_dx(np.abs)
    of_flip = "the kernel is flipped once too often"
    for network, below in ((images, "pool"), (groups, "pool"), (series, "first")):
        yield "dx not flipped", "second", network, flip, BACK, below, of_flip
        yield "dx |W|", "second", network, absolute, BACK, below, "the absolute values of the k"
    yield "dx channels", "second", images, swapped, BACK, "pool", "input and output channels"
    as_it_is = with_dx(lambda W: np.moveaxis(W[::-1, ::-1], -1, -2))
    both = "input and output channels of the kernel are swapped, and it is flipped"
    yield "dx kernel as it is", "second", images, as_it_is, BACK, "pool", both
    last_wins = "where windows overlap, the last one's share overwrites"
    yield "dx overwritten", "second", series, last_window, BACK, "first", last_wins
    yield "dx height", "second", images, height, BACK, "pool", "the kernel's height and width"
    lines: dict[str, tuple[dict[str, Any], str, str]] = {
        "dW flipped": (
            {"dW": lambda dW, n: dW[(slice(None, None, -1),) * (dW.ndim - 2)]},
            "kernel",
            "the kernel's gradient is flipped",
        ),
        "dW averaged": (
            {"dW": lambda dW, n: dW / n},
            "kernel",
            "the gradient is averaged over the positions",
        ),
        "dW flipped and averaged": (
            {"dW": lambda dW, n: dW[(slice(None, None, -1),) * (dW.ndim - 2)] / n},
            "kernel",
            "the kernel's gradient is flipped, and the gradient is averaged over the positions",
        ),
        "dW of one sample": (
            {"dz": lambda dz: dz * only(dz, 0)},
            "kernel",
            "only the first sample's share",
        ),
        "dW of one position": (
            {"dz": lambda dz: dz * only(dz, *range(1, dz.ndim - 1))},
            "kernel",
            "only the first position's share",
        ),
        "db averaged": (
            {"db": lambda dz, n: dz.reshape(-1, dz.shape[-1]).sum(axis=0) / n},
            "bias",
            "the gradient is averaged over the positions",
        ),
        "db mean of all": (
            {"db": lambda dz, n: dz.reshape(-1, dz.shape[-1]).mean(axis=0)},
            "bias",
            "the gradient is averaged over samples and positions",
        ),
        "db of the first position": (
            {"db": lambda dz, n: dz[(slice(None), *(0,) * (dz.ndim - 2))].sum(axis=0)},
            "bias",
            "only the first position's share",
        ),
        "db of the last sample": (
            {"db": lambda dz, n: dz[-1].reshape(-1, dz.shape[-1]).sum(axis=0)},
            "bias",
            "only the last sample's share",
        ),
    }
    for network in (images, groups, series):
        for layer in ("first", "second"):
            for slip, (line, weight, cause) in lines.items():
                method = with_gradients(**line)
                if slip == "dW flipped" and network is series:  # there is one axis to flip
                    cause = "axis 0 runs backwards: flipped"
                if (slip, layer, network) == ("db of the first position", "second", groups):
                    cause = "the gradient is averaged over the positions"  # dz is the same at all
                yield slip, layer, network, method, KERNEL, f"{layer}/{weight}", cause


def only(dz: Any, *axes: int) -> np.ndarray:
    """Return ones at the first index of these axes, and zeros elsewhere."""
    mask = np.zeros([dz.shape[a] if a in axes else 1 for a in range(dz.ndim)])
    mask[(0,) * dz.ndim] = 1.0
    return mask


def in_convolutions() -> Iterator[Bug]:
    """Give slips in each line of a convolution, and traps without a cause."""
    for slip, layer, network, wrong, cause in forward_slips():
        method = in_layer(layer, _right_forward, wrong)
        linear = layer == "second" and network is not images
        where = layer if linear else f"{layer}/pre_activation"
        name = f"Conv {network.__name__} {layer}: {slip}"
        yield Bug(name, Convolution, "forward", method, FORWARD, where, (cause,), network=network)
    for slip, layer, network, wrong, phase, where, cause in backward_slips():
        method = in_layer(layer, _right_backward, wrong)
        name = f"Conv {network.__name__} {layer}: {slip}"
        yield Bug(name, Convolution, "backward", method, phase, where, (cause,), network=network)
    for name, change in (
        ("one tap off by a thousandth", lambda dW, n: dW * one_tap(dW)),
        ("taps rolled by one", lambda dW, n: np.concatenate([dW[1:], dW[:1]], axis=0)),
    ):
        method = in_layer("second", _right_backward, with_gradients(dW=change))
        yield Bug(
            f"Conv trap: {name}",
            Convolution,
            "backward",
            method,
            KERNEL,
            "second/kernel",
            (),
            network=images,
        )


def one_tap(dW: Any) -> np.ndarray:
    """Return ones, but for a single one that is a thousandth larger."""
    factor = np.ones(dW.shape)
    factor[1, 0, 1, 2] = 1.001
    return factor
