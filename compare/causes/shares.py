"""With which share each value counts in a loss: means, sample weights, masks."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

Around = Mapping[str, Any]


def plain(array: Any) -> Any:
    """Take what is given, targets and weights, without noise."""
    return np.asarray(getattr(array, "value", array))


def share(
    around: Around, loss: Any, shape: tuple[int, ...], way: str = "", valid: Any = None
) -> Any:
    """Return with which factor each value counts in the loss; ``way`` names a slip in it.

    Which values count at all, the loss itself may say: ``valid``.
    """
    reduction = getattr(loss, "reduction", "sum_over_batch_size")
    given, mask = around.get("sample_weight"), around.get("mask")
    weight = np.ones(shape)
    if given is not None and way != "unweighted":
        weight = plain(given).astype(np.float64)
        weight = weight.reshape(shape) if shape else weight
        weight = weight * weight if way == "twice" else weight
    counts = np.ones(weight.shape)
    ignored = getattr(loss, "ignore_class", None)
    if ignored is not None and way != "ignored_class":
        counts = counts * (plain(around["y"]).reshape(shape) != ignored)
    if valid is not None:
        counts = counts * valid
    if mask is not None and way != "unmasked":
        counts = counts * plain(mask).reshape(counts.shape)
        counts = 1.0 - counts if way == "inverted" else counts
    of_each = weight * counts
    if reduction in ("sum", "none"):
        divisor = 1.0
    elif (reduction == "mean_with_sample_weight") != (way == "other_divisor"):
        divisor = float(of_each.sum())
    else:
        divisor = float(of_each.size if way == "all" else counts.sum())
    if way == "first_axis":
        divisor = float(shape[0])
    of_each = of_each * (around.get("loss_weight", 1.0) if way != "equal_heads" else 1.0)
    made = of_each / (divisor or math.inf)
    return made if shape else made.sum()


def other_shares(
    around: Around, loss: Any, shape: tuple[int, ...], valid: Any = None
) -> Iterator[tuple[str, Any]]:
    """Give the factors that come of a slip in weighing, masking or averaging."""
    ways = {}
    if around.get("sample_weight") is not None:
        ways = {
            "the sample weights are ignored": "unweighted",
            "the sample weights are applied twice": "twice",
        }
        by_sum = getattr(loss, "reduction", "") == "mean_with_sample_weight"
        ways[
            "the sample weights aren't divided by their sum, but by their number"
            if by_sum
            else "the sample weights are divided by their sum"
        ] = "other_divisor"
    if around.get("mask") is not None:
        ways |= {
            "the mask is ignored": "unmasked",
            "the mean is taken over masked values, too": "all",
            "the mask is inverted": "inverted",
        }
    if getattr(loss, "ignore_class", None) is not None:
        ways |= {
            "the class to be ignored counts": "ignored_class",
            "the mean is taken over ignored values, too": "all",
        }
    if valid is not None:
        ways |= {"the mean is taken over samples without a partner, too": "all"}
    if len(shape) > 1 and getattr(loss, "reduction", "") not in ("sum", "none"):
        ways["the mean is taken over the samples only"] = "first_axis"
    if around.get("loss_weight", 1.0) != 1.0:
        ways["the loss weight of this output is ignored"] = "equal_heads"
    for sentence, way in ways.items():
        yield sentence, share(around, loss, shape, way, valid)
