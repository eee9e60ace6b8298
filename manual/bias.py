"""Where Keras adds a bias: not always along the axis that it was made for.

On TensorFlow Keras hands an array of which only one axis is longer than 1 to ``bias_add``. That
knows two places for channels, the last axis and axis 1, and Keras takes the last if it has the
right size, else axis 1 if that has it, whatever axis broadcasting would mean: a defect of Keras
3.15. So a bias of shape ``(n, 1)`` of n heads is added along n steps, and channels that come first
get their bias along a last axis of their number. What is computed that way is differentiated so,
too.
"""

from __future__ import annotations

from manual.arrays import Array

Shape = tuple[int, ...]


def misplaced_axis(bias: Shape, z: Shape) -> int | None:
    """Return the axis of z along which Keras adds the bias, unless it is the one that is meant.

    Examples
    --------
    >>> misplaced_axis((3, 1), (8, 5, 3, 1)) is None
    True
    >>> misplaced_axis((3, 1), (8, 3, 3, 1))
    1
    """
    longer = [axis for axis, size in enumerate(bias) if size > 1]
    if len(longer) != 1 or len(z) < 2:
        return None
    size, meant = bias[longer[0]], len(z) - len(bias) + longer[0]
    taken = len(z) - 1 if z[-1] == size else 1 if z[1] == size else meant
    return None if taken == meant else taken


def as_added(bias: Array, z: Shape) -> Array:
    """Return the bias, lying along the axis of z where Keras adds it."""
    axis = misplaced_axis(bias.shape, z)
    if axis is None:
        return bias
    return bias.reshape(-1, *(1,) * (len(z) - 1 - axis))
