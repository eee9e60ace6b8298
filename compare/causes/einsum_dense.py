"""Slips in a dense layer along named axes: in its product, and in each of its derivatives."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from itertools import combinations, permutations
from typing import Any

import numpy as np

from compare.causes.base import Candidate, Place, hypothesis
from manual.layers import EinsumDense


class Product:
    """Σ x W along named axes, and its derivatives.

    Parameters
    ----------
    place : Place
        Of anything in such a layer.
    """

    def __init__(self, place: Place) -> None:
        arrays, self.of_z = place.map.projection.equation.split("->")
        self.of_x, self.of_w = arrays.split(",")
        self.x: Any = place.inputs["x"]
        self.W: Any = place.inputs["W"]
        self.b: Any = place.inputs.get("b")
        self.of_b = place.map.bias_axes
        self.sizes = dict(zip(self.of_x + self.of_w, (*self.x.shape, *self.W.shape), strict=True))

    def z(self, *, x: Any = None, W: Any = None) -> Any:
        """Return the product, without the bias."""
        x, W = (self.x if x is None else x), (self.W if W is None else W)
        return contracted(self.of_x, x, self.of_w, W, self.of_z)

    def of_kernel(self, dz: Any, x: Any = None) -> Any:
        """Σ x dz over the axes that W lacks."""
        return contracted(self.of_x, self.x if x is None else x, self.of_z, dz, self.of_w)

    def of_input(self, dz: Any, W: Any = None) -> Any:
        """Σ dz W over the axes that x lacks."""
        return contracted(self.of_z, dz, self.of_w, self.W if W is None else W, self.of_x)

    def of_bias(self, dz: Any, over: str) -> Any:
        """Σ dz over these axes."""
        return dz.sum(axis=tuple(self.of_z.index(axis) for axis in over)) if over else dz

    def kernels(self) -> Iterator[tuple[str, Any]]:
        """Give every exchange of the kernel's axes that keeps its shape."""
        axes = range(len(self.of_w))
        for order in permutations(axes):
            turned = np.transpose(self.W, order)
            if order != tuple(axes) and turned.shape == self.W.shape:
                moved = "".join(self.of_w[place] for place in order)
                yield f"the kernel's axes lie in the order {moved} instead of {self.of_w}", turned


def contracted(of_a: str, a: Any, of_b: str, b: Any, of_y: str) -> Any:
    """Multiply along the axes that both have, and sum over those that the result lacks."""
    sizes = dict(zip(of_a + of_b, (*a.shape, *b.shape), strict=True))
    shared = [axis for axis in of_a if axis in of_b]
    along, summed = ([i for i in shared if (i in of_y) == kept] for kept in (True, False))
    left, right = [i for i in of_a if i not in shared], [i for i in of_b if i not in shared]

    def size(axes: list[str]) -> int:
        return math.prod(sizes[axis] for axis in axes)

    def laid_out(array: Any, of: str, first: list[str], last: list[str]) -> Any:
        order = [of.index(axis) for axis in [*along, *first, *last]]
        return np.transpose(array, order).reshape(size(along), size(first), size(last))

    y = laid_out(a, of_a, left, summed) @ laid_out(b, of_b, summed, right)
    axes = [*along, *left, *right]
    return np.transpose(y.reshape(*(sizes[i] for i in axes)), [axes.index(i) for i in of_y])


def misread(axes: str, array: Any, first: int = 1) -> Iterator[tuple[str, Any]]:
    """Give an array with two neighbouring axes laid out the other way round, in its own shape."""
    for place in range(first, len(axes) - 1):
        order = list(range(len(axes)))
        order[place : place + 2] = place + 1, place
        told = f"the axes {axes[place]} and {axes[place + 1]} are mixed up"
        swapped = tuple(array.shape[i] for i in order)
        yield told, np.transpose(array, order).reshape(*array.shape)
        yield told, np.transpose(array.reshape(*swapped), order)


@hypothesis("activation")
def along_axes(place: Place) -> Iterator[Candidate]:
    """Propose z = Σ x W + b with a piece forgotten, doubled or turned."""
    if not isinstance(place.map, EinsumDense) or not place.has("x", "W"):
        return
    product = Product(place)
    z, b = product.z(), 0.0 if product.b is None else product.b
    if product.b is not None:
        yield Candidate("the bias is forgotten", z, "z = Σ x W")
        yield Candidate("the bias is added twice", z + b + b, "z = Σ x W + 2 b")
        yield Candidate("the bias is subtracted", z - b, "z = Σ x W − b")
    for sentence, W in product.kernels():
        yield Candidate(sentence, product.z(W=W) + b, "z = Σ x Wᵀ + b")
    for told, x in misread(product.of_x, product.x):
        yield Candidate(f"{told} in the input: reshaped, not transposed", product.z(x=x) + b)
    for told, mixed in misread(product.of_z, z):
        yield Candidate(f"{told} in the result: reshaped, not transposed", mixed + b)
    for told, mixed in misread(product.of_z, z + b):
        yield Candidate(f"{told} in the result: reshaped, not transposed", mixed)
    for axis in product.of_w:
        if axis not in product.of_z:
            sentence = f"the product is averaged over the axis {axis} instead of summed"
            yield Candidate(sentence, z / float(product.sizes[axis]) + b, "z = 1/n Σ x W + b")


@hypothesis("weight gradient")
def of_weights_along_axes(place: Place) -> Iterator[Candidate]:
    """Propose other sums of x dz, or of dz, than those over the axes that the weight lacks."""
    if not isinstance(place.map, EinsumDense) or not place.has("x", "W", "dz"):
        return
    product, dz = Product(place), place.inputs["dz"]
    right: Any = place.right
    of_bias = place.name.endswith("/bias")
    lacking = "".join(
        i for i in product.of_z if i not in (product.of_b if of_bias else product.of_w)
    )

    def made(dz: Any, x: Any = None) -> Any:
        found = product.of_bias(dz, lacking) if of_bias else product.of_kernel(dz, x)
        return found.reshape(*right.shape)

    for letter, sentence in (
        ("da", "the derivative of the activation is missing"),
        ("z", "the pre-activation stands for the gradient from the right"),
        ("a", "the activation stands for the gradient from the right"),
    ):
        if place.has(letter):
            yield Candidate(sentence, made(place.inputs[letter]), f"{letter} for dz")
    sentence = "the gradient from the right is not multiplied in"
    yield Candidate(sentence, made(dz * 0.0 + 1.0), "1 for dz")
    yield from _averaged(product, right, lacking)
    for axis in lacking:
        for end, told in ((slice(0, 1), "first"), (slice(-1, None), "last")):
            part = _only(dz, product.of_z.index(axis), end)
            sentence = f"only the {told} share along the axis {axis} is there"
            if axis in product.of_x:
                x = _only(product.x, product.of_x.index(axis), end)
                yield Candidate(sentence, made(part, x))
            else:
                yield Candidate(sentence, made(part))
    if not of_bias:
        ones = product.x * 0.0 + 1.0
        yield Candidate("the layer's input is left out", made(dz, ones), "dW = Σ dz")
        for told, x in misread(product.of_x, product.x):
            yield Candidate(f"{told} in the input: reshaped, not transposed", made(dz, x))
        for told, mixed in misread(product.of_w, product.of_kernel(dz), first=0):
            yield Candidate(f"{told} in the gradient: reshaped, not transposed", mixed)
    for axis in product.of_b if of_bias else "":
        total = product.of_bias(dz, lacking + axis)
        kept = [i for i in product.of_z if i in product.of_b]
        spread = np.stack([total] * product.sizes[axis], axis=kept.index(axis))
        sentence = f"the sum runs over the axis {axis} as well, which the bias has"
        yield Candidate(sentence, spread.reshape(*right.shape), "db = Σ dz over more axes")
    if of_bias:
        total = right.sum() + right * 0.0
        yield Candidate("the sum runs over all axes", total, "db = Σ dz")


def _averaged(product: Product, right: Any, lacking: Iterable[str]) -> Iterator[Candidate]:
    """Propose means over some of the axes that are summed."""
    lacking = tuple(lacking)
    for count in range(1, len(lacking) + 1):
        for axes in combinations(lacking, count):
            n = math.prod(product.sizes[axis] for axis in axes)
            told = f"axis {axes[0]}" if count == 1 else f"axes {' and '.join(axes)}"
            sentence = f"the gradient is averaged over the {told} instead of summed"
            yield Candidate(sentence, right / float(n), f"1/{n} Σ")


def _only(array: Any, axis: int, where: slice) -> Any:
    return array[(slice(None),) * axis + (where,)]


@hypothesis("activation gradient")
def of_input_along_axes(place: Place) -> Iterator[Candidate]:
    """Propose what else may have been multiplied to dx = Σ dz W."""
    if not isinstance(place.map, EinsumDense) or not place.has("x", "W", "dz"):
        return
    product, dz = Product(place), place.inputs["dz"]
    for sentence, W in product.kernels():
        yield Candidate(sentence, product.of_input(dz, W), "dx = Σ dz Wᵀ")
    if place.has("W_new"):
        new = product.of_input(dz, place.inputs["W_new"])
        yield Candidate("the already updated kernel is used", new, "dx = Σ dz W⁺")
    if place.has("da"):
        bare = product.of_input(place.inputs["da"])
        yield Candidate("the derivative of the activation is missing", bare, "dx = Σ da W")
    ones = product.of_input(dz * 0.0 + 1.0)
    yield Candidate("the gradient from the right is not multiplied in", ones, "dx = Σ W")
    for told, mixed in misread(product.of_z, dz):
        sentence = f"{told} in the gradient from the right: reshaped, not transposed"
        yield Candidate(sentence, product.of_input(mixed))
    for told, mixed in misread(product.of_x, product.of_input(dz)):
        yield Candidate(f"{told} in the gradient: reshaped, not transposed", mixed)
    yield from _averaged(
        product, product.of_input(dz), [i for i in product.of_z if i not in product.of_x]
    )
