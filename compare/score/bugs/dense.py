"""Bugs in fully connected layers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from compare.score.bugs.base import FACTORS, Bug, Function
from manual.layers import Dense

_right_forward, _right_backward = Dense.forward, Dense.backward


def changed_in(layer: str, **lines: Function) -> Function:
    """Return Dense's derivative with some of its lines replaced in one layer."""

    def backward(self: Any, dz: Any, x: Any) -> Any:
        if self.name != layer:
            return _right_backward(self, dz, x)
        W = self.kernel.value
        self.kernel.gradient += lines.get("dW", lambda x, dz, W: x.T @ dz)(x, dz, W)
        self.bias.gradient += lines.get("db", lambda x, dz, W: dz.sum(axis=0))(x, dz, W)
        return lines.get("dx", lambda x, dz, W: dz @ W.T)(x, dz, W)

    return backward


def in_dense_layers() -> Iterator[Bug]:
    """Give slips in each line of each layer."""
    kernel = {
        "transposed": (lambda x, dz, W: (x.T @ dz).T, "the matrix is transposed"),
        "never computed": (lambda x, dz, W: 0.0 * W, "the gradient is never computed"),
        "one sample": (lambda x, dz, W: x[:1].T @ dz[:1], "only the first sample"),
        "the last sample": (lambda x, dz, W: x[-1:].T @ dz[-1:], "only the last sample"),
        "without the first": (lambda x, dz, W: x[1:].T @ dz[1:], "the first sample's share is m"),
        "averaged": (lambda x, dz, W: x.T @ dz / len(x), "the batch mean is taken twice"),
        "added up": (lambda x, dz, W: (x.T @ dz) * float(len(x)), "the batch mean is missing"),
        "sign": (lambda x, dz, W: -(x.T @ dz), "the sign is reversed"),
        "without dz": (lambda x, dz, W: x.T @ (dz * 0.0 + 1.0), "the gradient from the right is n"),
        "without x": (lambda x, dz, W: (x * 0.0 + 1.0).T @ dz, "the layer's input is left out"),
        "doubled": (lambda x, dz, W: 2.0 * (x.T @ dz), FACTORS[2.0]),
        "flipped": (lambda x, dz, W: (x.T @ dz)[::-1], "axis 0 runs backwards"),
        "units flipped": (lambda x, dz, W: (x.T @ dz)[:, ::-1], "axis 1 runs backwards"),
    }
    bias = {
        "without the last": (lambda x, dz, W: dz[:-1].sum(axis=0), "the last sample's share is m"),
        "of all units": (lambda x, dz, W: dz.sum() + dz[0] * 0.0, "the sum runs over the units as"),
        "averaged": (lambda x, dz, W: dz.mean(axis=0), "the batch mean is taken twice"),
        "never computed": (lambda x, dz, W: dz.sum(axis=0) * 0.0, "the gradient is never computed"),
        "one sample": (lambda x, dz, W: dz[0], "only the first sample"),
        "the last sample": (lambda x, dz, W: dz[-1], "only the last sample"),
        "sign": (lambda x, dz, W: -dz.sum(axis=0), "the sign is reversed"),
        "doubled": (lambda x, dz, W: 2.0 * dz.sum(axis=0), FACTORS[2.0]),
        "flipped": (lambda x, dz, W: dz.sum(axis=0)[::-1], "axis 0 runs backwards"),
    }
    inputs = {
        "kernel not transposed": (lambda x, dz, W: dz @ W, "the kernel is not transposed"),
        "kernel left out": (lambda x, dz, W: dz * 1.0, "the kernel is not multiplied in"),
        "without dz": (lambda x, dz, W: (dz * 0.0 + 1.0) @ W.T, "the gradient from the right is n"),
        "one unit": (lambda x, dz, W: dz[:, :1] @ W[:, :1].T, "only the first unit passes"),
        "sign": (lambda x, dz, W: -(dz @ W.T), "the sign is reversed"),
        "|W|": (lambda x, dz, W: dz @ np.abs(W).T, "the absolute values of the kernel"),
    }
    for layer in ("first", "second", "last"):
        for slip, (line, cause) in kernel.items():
            yield _dense_bug(f"dW {slip}", layer, f"{layer}/kernel", cause, dW=line)
        for slip, (line, cause) in bias.items():
            yield _dense_bug(f"db {slip}", layer, f"{layer}/bias", cause, db=line)
    yield _dense_bug(
        "dW transposed and averaged",
        "second",
        "second/kernel",
        "the matrix is transposed, and the batch mean is taken twice",
        dW=lambda x, dz, W: (x.T @ dz).T / float(len(x)),
    )
    for layer, below in (("second", "first"), ("last", "second")):
        for slip, (line, cause) in inputs.items():
            yield _dense_bug(f"dx {slip}", layer, below, cause, dx=line)
    forward = {
        "bias forgotten": (lambda x, W, b: x @ W, "the bias is forgotten"),
        "bias twice": (lambda x, W, b: x @ W + b + b, "the bias is added twice"),
        "bias subtracted": (lambda x, W, b: x @ W - b, "the bias is subtracted"),
        "kernel transposed": (lambda x, W, b: x @ W.T + b, "the kernel is transposed"),
    }
    for layer in ("first", "second", "last"):
        for slip, (z, cause) in forward.items():

            def function(
                self: Any, x: Any, *, training: bool = False, z: Any = z, layer: str = layer
            ) -> Any:
                if self.name != layer:
                    return _right_forward(self, x, training=training)
                return z(x, self.kernel.value, self.bias.value), x

            where = layer if layer == "last" else f"{layer}/pre_activation"
            yield Bug(
                f"Dense {layer}: {slip}", Dense, "forward", function, "activation", where, (cause,)
            )


def _dense_bug(slip: str, layer: str, where: str, cause: str, **line: Function) -> Bug:
    phase = "activation gradient" if "dx" in line else "weight gradient"
    function = changed_in(layer, **line)
    return Bug(f"Dense {layer}: {slip}", Dense, "backward", function, phase, where, (cause,))
