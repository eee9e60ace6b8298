"""Slips in a fully connected layer: forward, and in each of its three derivatives."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from compare.causes.base import Candidate, Place, hypothesis
from manual.layers import Dense


def rows(array: Any) -> Any:
    """Take all leading axes as samples."""
    return array.reshape(-1, array.shape[-1])


@hypothesis("activation")
def forward(place: Place) -> Iterator[Candidate]:
    """Propose z = x W + b with a piece forgotten, doubled or turned."""
    if not isinstance(place.map, Dense) or not place.has("x", "W"):
        return
    x, W, b = place.inputs["x"], place.inputs["W"], place.inputs.get("b")
    if b is not None:
        yield Candidate("the bias is forgotten", x @ W, "z = x W")
        yield Candidate("the bias is added twice", x @ W + b + b, "z = x W + 2 b")
        yield Candidate("the bias is subtracted", x @ W - b, "z = x W − b")
    if W.shape[0] == W.shape[1]:
        z = x @ W.T
        yield Candidate(
            "the kernel is transposed",
            z if b is None else z + b,
            "z = x Wᵀ" + " + b" * (b is not None),
        )


@hypothesis("weight gradient")
def weight_gradient(place: Place) -> Iterator[Candidate]:
    """Propose what else may have been multiplied to xᵀ · dz, or summed to db."""
    if not isinstance(place.map, Dense) or not place.has("x", "dz", "W"):
        return
    x, dz = rows(place.inputs["x"]), rows(place.inputs["dz"])
    of_bias = place.name.endswith("/bias")
    for letter, sentence in (
        ("da", "the derivative of the activation is missing"),
        ("z", "the pre-activation stands for the gradient from the right"),
        ("a", "the activation stands for the gradient from the right"),
    ):
        if place.has(letter):
            other = rows(place.inputs[letter])
            if of_bias:
                yield Candidate(sentence, other.sum(axis=0), f"db = Σ {letter}")
            else:
                yield Candidate(sentence, x.T @ other, f"dW = xᵀ · {letter}")
    ones = dz * 0.0 + 1.0
    if of_bias:
        yield Candidate("the gradient from the right is not multiplied in", ones.sum(axis=0))
        everything = dz.sum() + dz[0] * 0.0
        yield Candidate("the sum runs over the units as well", everything, "db = Σ Σ dz")
        if len(dz) == dz.shape[-1]:
            yield Candidate("the sum runs over the units instead", dz.sum(axis=-1))
        yield from _some_samples(place, lambda x, dz: rows(dz).sum(axis=0))
        return
    yield Candidate("the gradient from the right is not multiplied in", x.T @ ones, "dW = xᵀ · 1")
    yield from _some_samples(place, lambda x, dz: rows(x).T @ rows(dz))
    yield Candidate(
        "the layer's input is left out: every row is the bias's gradient",
        (x * 0.0 + 1.0).T @ dz,
        "dW = 1ᵀ · dz",
    )
    if x.shape[0] == x.shape[1]:
        yield Candidate("the layer's input is not transposed", x @ dz, "dW = x · dz")
    for other, its in place.inputs.get("other_inputs", {}).items():
        if its.shape == place.inputs["x"].shape and its is not place.inputs["x"]:
            yield Candidate(f"the input of {other} is used instead", rows(its).T @ dz)
    if place.has("x_pre"):
        yield Candidate(
            "the pre-activation of the layer below is used instead of its activation",
            rows(place.inputs["x_pre"]).T @ dz,
            "dW = z_belowᵀ · dz",
        )
    if place.has("a") and place.inputs["a"].shape[-1] == x.shape[-1]:
        yield Candidate(
            "the layer's own output is used instead of its input",
            rows(place.inputs["a"]).T @ dz,
            "dW = aᵀ · dz",
        )


def _some_samples(place: Place, gradient: Callable[[Any, Any], Any]) -> Iterator[Candidate]:
    """Propose that some samples don't count, or that a mean is taken over steps."""
    x, dz = place.inputs["x"], place.inputs["dz"]
    for axis in range(dz.ndim - 1):
        what = "sample" if axis == 0 else "step" if dz.ndim == 3 else f"place on axis {axis}"
        size = dz.shape[axis]
        if size < 2:
            continue
        for told, start, stop in (
            ("only the first {}'s share is there", 0, 1),
            ("only the last {}'s share is there", -1, None),
            ("the first {}'s share is missing", 1, None),
            ("the last {}'s share is missing", 0, -1),
        ):
            part = (slice(None),) * axis + (slice(start, stop),)
            yield Candidate(told.format(what), gradient(x[part], dz[part]))
        if axis:
            sentence = f"the mean over the {size} {what}s stands for the sum"
            yield Candidate(sentence, gradient(x, dz) / float(size))


@hypothesis("activation gradient")
def input_gradient(place: Place) -> Iterator[Candidate]:
    """Propose what else may have been multiplied to dx = dz · Wᵀ."""
    if not isinstance(place.map, Dense) or not place.has("dz", "W"):
        return
    dz, W = place.inputs["dz"], place.inputs["W"]
    if W.shape[0] == W.shape[1]:
        yield Candidate("the kernel is not transposed", dz @ W, "dx = dz · W")
        yield Candidate("the kernel is not multiplied in", dz, "dx = dz")
    for name, other in place.inputs.get("other_kernels", {}).items():
        if other.shape == W.shape:
            yield Candidate(f"{name} is used instead", dz @ other.T, "dx = dz · Wᵀ of another")
    if place.has("kernel_new"):
        yield Candidate(
            "the already updated kernel is used", dz @ place.inputs["kernel_new"].T, "dx = dz · W⁺ᵀ"
        )
    yield Candidate(
        "the gradient from the right is not multiplied in",
        (dz * 0.0 + 1.0) @ W.T,
        "dx = 1 · Wᵀ",
    )
    if place.has("da"):
        yield Candidate(
            "the derivative of the activation is missing",
            place.inputs["da"] @ W.T,
            "dx = da · Wᵀ",
        )
        whole = "the whole layer is skipped on the way back, its activation and its kernel"
        yield Candidate(whole, place.inputs["da"], "dx = da")
    if W.shape[1] > 1:
        yield Candidate(
            "only the first unit passes its gradient on",
            dz[..., :1] @ W[:, :1].T,
            "dx = dz₁ · w₁ᵀ",
        )
    if place.has("x"):
        passed = dz @ W.T
        x = place.inputs["x"]
        yield Candidate("the layer's input is multiplied in", passed * x, "dx = dz · Wᵀ · x")
    yield Candidate(
        "the absolute values of the kernel are used", dz @ np.abs(W).T, "dx = dz · |W|ᵀ"
    )
