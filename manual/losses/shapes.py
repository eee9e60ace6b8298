"""How targets, predictions and weights of different shapes meet: Keras's rules, and NumPy's."""

from __future__ import annotations

from manual.arrays import Array


def of_one_rank(a: Array, b: Array, *, widen: bool = True) -> tuple[Array, Array]:
    """Let two arrays meet of which one has a last axis of length 1 more than the other.

    That axis is taken away; or added to the other, if that has a single axis (and ``widen``).
    """
    if a.ndim == b.ndim + 1 and a.shape[-1] == 1:
        return (a, b[..., None]) if widen and b.ndim == 1 else (a[..., 0], b)
    if b.ndim == a.ndim + 1 and b.shape[-1] == 1:
        return (a[..., None], b) if widen and a.ndim == 1 else (a, b[..., 0])
    return a, b


def summed_to(gradient: Array, shape: tuple[int, ...]) -> Array:
    """Return the gradient at an array of this shape, given the one where it has been repeated."""
    if gradient.shape == shape:
        return gradient
    more = gradient.ndim - len(shape)
    if more > 0:
        gradient = gradient.sum(axis=tuple(range(more)))
    for axis, size in enumerate(shape):
        if size == 1 < gradient.shape[axis]:
            gradient = gradient.sum(axis=axis, keepdims=True)
    return gradient.reshape(shape)
