"""Products of a recurrent layer's kernels, gate by gate, and where its numbers lie.

What belongs to a step, of shape ``(batch, units)``, lies in memory column by column, and so do its
products with a kernel: a gate's columns are then in one piece, whatever lies beside them, and NumPy
goes through whole pieces several times faster than through rows that are cut short.
"""

from __future__ import annotations

import numpy as np

from manual.activations import ActivationFunction
from manual.arrays import Array

Rows = list[Array]
"""What is multiplied to a kernel: one array for all gates, or one for each."""

# ---------------------------------------------------------------------- where numbers lie


def in_time(array: Array) -> Array:
    """Exchange the axes of samples and of time."""
    return np.moveaxis(array, 0, 1)


def stacked(steps: Rows) -> Array:
    """Return one array of all steps, each by columns and in one piece."""
    batch, columns = steps[0].shape
    pieces = np.concatenate([one.T.reshape(1, -1) for one in steps])
    return np.moveaxis(pieces.reshape(-1, columns, batch), 1, 2)


def side_by_side(steps_from_the_last: Rows) -> Array:
    """Return one array of all steps, each column in one piece: a matrix with very many rows.

    They were gathered from the last to the first.
    """
    batch, columns = steps_from_the_last[0].shape
    steps = [one.T.reshape(columns, 1, batch) for one in steps_from_the_last[::-1]]
    return np.moveaxis(np.concatenate(steps, axis=1), 0, 2)


def for_each_sample(bias: Array, samples: int) -> Array:
    """Return a row for each sample, by columns."""
    return np.repeat(bias, samples).reshape(-1, samples).T


# ---------------------------------------------------------------------- gate by gate


def dropped(h: Array, drop: Rows | None) -> Rows:
    """Return what is multiplied to the kernel: h itself, or what dropout leaves of it."""
    return [h] if drop is None else [h * one for one in drop]


def undropped(parts: Rows, drop: Rows | None) -> Array:
    """Return the gradient at h, given those at what was made of it."""
    if drop is not None:
        parts = [part * one for part, one in zip(parts, drop, strict=True)]
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total


def through(rows: Rows, kernel: Array) -> Array:
    """Return the products with a kernel, each gate's rows with its columns: they lie by columns."""
    if len(rows) == 1:
        return by_columns(rows[0], kernel)
    parts = np.split(kernel, len(rows), axis=-1)
    each = [by_columns(one, part) for one, part in zip(rows, parts, strict=True)]
    return np.concatenate(each, axis=-1)


def by_columns(rows: Array, kernel: Array) -> Array:
    """Return x W as (Wᵀ xᵀ)ᵀ: so it comes to lie by columns."""
    return np.moveaxis(kernel.T @ np.moveaxis(rows, -1, -2), -1, -2)


def back_through(dz: Array, kernel: Array, rows: int) -> Rows:
    """Return the gradients at the rows of `through`, of which there were so many."""
    if rows == 1:
        return [by_columns(dz, kernel.T)]
    gates = zip(np.split(dz, rows, axis=-1), np.split(kernel, rows, axis=-1), strict=True)
    return [by_columns(one, part.T) for one, part in gates]


def kernel_gradient(rows: Rows, dz: Array) -> Array:
    """Return the kernel's gradient: over samples and steps, all at once."""
    flat = [one.reshape(-1, one.shape[-1]) for one in rows]
    dz = dz.reshape(-1, dz.shape[-1])
    if len(rows) == 1:
        return flat[0].T @ dz
    gates = np.split(dz, len(rows), axis=-1)
    return np.concatenate([one.T @ part for one, part in zip(flat, gates, strict=True)], axis=-1)


def of_each(gate: ActivationFunction, z: Array, gates: int) -> list[Array]:
    """Return a function of the columns of several gates, which lie side by side."""
    a = gate.forward(z.reshape(*z.shape[:-1], gates, -1))
    return [a[..., place, :] for place in range(gates)]
