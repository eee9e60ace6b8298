"""Slips that show at inference only: a layer that goes on doing what it does in training."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from compare.causes.base import Candidate, Place, hypothesis
from manual.layers import (
    AlphaDropout,
    BatchNormalization,
    Dropout,
    GaussianDropout,
    GaussianNoise,
    Layer,
)

KINDS: dict[tuple[type[Layer], ...], str] = {
    (BatchNormalization,): "the batch's own statistics are used at inference",
    (Dropout, GaussianDropout, AlphaDropout, GaussianNoise): (
        "dropout or noise is applied at inference"
    ),
}
"""What goes wrong with layers that are another map in training."""

Group = tuple[str, tuple[Layer, ...]]
"""A slip, and the layers that it is made in."""


def changing(layers: Sequence[Layer]) -> list[Group]:
    """Return which layers are another map in training, together and one by one."""
    groups: list[Group] = []
    every: tuple[Layer, ...] = ()
    for kinds, slip in KINDS.items():
        found = tuple(layer for layer in layers if isinstance(layer, kinds) and changes(layer))
        if found:
            groups.append((slip, found))
        if len(found) > 1:
            groups += [(f"{slip}, by {layer.name!r}", (layer,)) for layer in found]
        every += found
    if len(every) > len(groups[0][1] if groups else ()):
        groups.append(("at inference every layer does what it does in training", every))
    return groups


def changes(layer: Layer) -> bool:
    """Whether a layer is another map in training at all."""
    if isinstance(layer, BatchNormalization):
        return layer.trainable
    return any(getattr(layer, size, 0.0) > 0.0 for size in ("rate", "stddev"))


@hypothesis("metric")
def as_in_training(place: Place) -> Iterator[Candidate]:
    """Propose a validation in which some layers behave as in training."""
    for (slip, _), value in place.inputs.get("as_in_training", ()):
        yield Candidate(slip, value, "training=True")
