"""Layers that join several inputs into one, and leave out of it what a mask leaves out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from manual.arrays import Array
from manual.layers.merging import Merge, aligned, summed_to
from manual.registry import NoTwin, twin_of

Masks = list[Array | None]


class MaskedMerge(Merge):
    """Inputs joined number by number, of which masks leave out some.

    Keras's other layers that join, as Add, take in what is masked.
    """

    takes_mask = True

    def forward(
        self,
        x: Sequence[Array],
        *,
        training: bool = False,
        mask: Sequence[Array | None] | None = None,
    ) -> tuple[Array, Any]:
        if mask is None or all(one is None for one in mask):
            y, saved = super().forward(x)
            return y, (saved, None)
        if any(one is not None and one.ndim + 1 != x[0].ndim for one in mask):
            raise NoTwin(
                f"layer {self.name!r}: masks of inputs with other axes than (batch, time, "
                "features) have no hand-derived twin."
            )
        counts = [None if one is None else one[..., None] for one in mask]
        parts = aligned(x)
        y, kept = self.merged_where(parts, counts)
        return y, ((x, parts), (counts, kept))

    def backward(self, dy: Array, saved: Any) -> list[Array]:
        saved, masked = saved
        if masked is None:
            return super().backward(dy, saved)
        x, parts = saved
        gradients = self.gradients_where(dy, parts, *masked)
        return [
            summed_to(part.shape, dx).reshape(*one.shape)
            for one, part, dx in zip(x, parts, gradients, strict=True)
        ]

    def merged_where(self, parts: Sequence[Array], counts: Masks) -> tuple[Array, Any]:
        """Join what counts, and return what `gradients_where` needs beside."""
        raise NotImplementedError

    def gradients_where(
        self, dy: Array, parts: Sequence[Array], counts: Masks, kept: Any
    ) -> Sequence[Array]:
        """Return what each input would get if none of its numbers were repeated."""
        raise NotImplementedError


def chosen(mask: Array | None, yes: Array, no: Array) -> Array:
    """Return the one where the mask says so, else the other; without a mask, the one."""
    return yes if mask is None else np.where(mask, yes, no)


@twin_of("Multiply")
class Multiply(MaskedMerge):
    """The product of the inputs, in which 1 stands for what a mask leaves out.

    Where all inputs have masks and none counts, it is 0.
    """

    derivation = {
        "forward": "y = x₁ · x₂ · …",
        "input gradient": "dxᵢ = dy · the product of all other inputs",
    }

    def merged(self, parts: Sequence[Array]) -> Array:
        y = parts[0]
        for other in parts[1:]:
            y = y * other
        return y

    def gradients(self, dy: Array, parts: Sequence[Array]) -> list[Array]:
        found = []
        for place in range(len(parts)):
            gradient = dy
            for factor in (*parts[:place], *parts[place + 1 :]):
                gradient = gradient * factor
            found.append(gradient)
        return found

    def merged_where(self, parts: Sequence[Array], counts: Masks) -> tuple[Array, Any]:
        factors = [chosen(one, x, np.ones_like(x)) for x, one in zip(parts, counts, strict=True)]
        any_counts = counts[0]
        for one in counts[1:]:
            any_counts = None if any_counts is None or one is None else any_counts | one
        return chosen(any_counts, self.merged(factors), 0.0), (factors, any_counts)

    def gradients_where(
        self, dy: Array, parts: Sequence[Array], counts: Masks, kept: Any
    ) -> list[Array]:
        factors, any_counts = kept
        gradients = self.gradients(chosen(any_counts, dy, 0.0), factors)
        return [chosen(one, dx, 0.0) for dx, one in zip(gradients, counts, strict=True)]


class Extreme(MaskedMerge):
    """The largest, or smallest, of the inputs, number by number.

    Where two are equal, the earlier one gets the whole gradient, as in TensorFlow. Where only one
    of two counts, it is taken; where neither does, the earlier one. What has no mask counts; but
    once an input without one was met, the later ones' masks are all that is asked.
    """

    def choice(self, one: Array, other: Array) -> Array:
        """Return the wanted of two."""
        raise NotImplementedError

    def is_first(self, one: Array, other: Array) -> Array:
        """Say where the wanted of two is the first one."""
        raise NotImplementedError

    def merged(self, parts: Sequence[Array]) -> Array:
        y = parts[0]
        for other in parts[1:]:
            y = self.choice(y, other)
        return y

    def gradients(self, dy: Array, parts: Sequence[Array]) -> list[Array]:
        so_far = [parts[0]]
        for other in parts[1:-1]:
            so_far.append(self.choice(so_far[-1], other))
        found = []
        for best, other in zip(reversed(so_far), reversed(parts[1:]), strict=True):
            first = self.is_first(best, other)
            found.append(np.where(first, 0.0, dy))
            dy = summed_to(best.shape, np.where(first, dy, 0.0))
        return [dy, *reversed(found)]

    def merged_where(self, parts: Sequence[Array], counts: Masks) -> tuple[Array, Any]:
        best, so_far = parts[0], counts[0]
        steps = []
        for other, here in zip(parts[1:], counts[1:], strict=True):
            right = chosen(here, other, best)
            left = chosen(so_far, best, right)
            steps.append((left, right, so_far, here, best.shape))
            best = self.choice(left, right)
            so_far = None if so_far is None or here is None else so_far | here
        return best, steps

    def gradients_where(
        self, dy: Array, parts: Sequence[Array], counts: Masks, kept: Any
    ) -> list[Array]:
        found = []
        for left, right, so_far, here, shape in reversed(kept):
            first = self.is_first(left, right)
            dleft, dright = np.where(first, dy, 0.0), np.where(first, 0.0, dy)
            dbest = chosen(so_far, dleft, 0.0)
            if so_far is not None:
                dright = dright + np.where(so_far, 0.0, dleft)
            if here is not None:
                dbest = dbest + np.where(here, 0.0, dright)
            found.append(chosen(here, dright, 0.0))
            dy = summed_to(shape, dbest)
        return [dy, *reversed(found)]


@twin_of("Maximum")
class Maximum(Extreme):
    """The largest of the inputs, number by number."""

    derivation = {
        "forward": "y = max(x₁, x₂, …)",
        "input gradient": "dxᵢ = dy where xᵢ is the largest (the first of equal ones), else 0",
    }

    def choice(self, one: Array, other: Array) -> Array:
        return np.maximum(one, other)

    def is_first(self, one: Array, other: Array) -> Array:
        return one >= other


@twin_of("Minimum")
class Minimum(Extreme):
    """The smallest of the inputs, number by number."""

    derivation = {
        "forward": "y = min(x₁, x₂, …)",
        "input gradient": "dxᵢ = dy where xᵢ is the smallest (the first of equal ones), else 0",
    }

    def choice(self, one: Array, other: Array) -> Array:
        return np.minimum(one, other)

    def is_first(self, one: Array, other: Array) -> Array:
        return one <= other
