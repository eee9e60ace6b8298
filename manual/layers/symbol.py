"""What stands for an output while a network is put together: which layer is called on what."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from manual.arrays import Array

if TYPE_CHECKING:
    from manual.layers.base import Layer, Shape


@dataclass(frozen=True)
class GivenMasks:
    """Masks that a call is given, in place of those that its inputs bring along.

    Attributes
    ----------
    at : mapping of int to object
        Under the place of each input where its mask comes from: a `Symbol`, or in a graph the
        position of a node, whose numbers other than 0 count; None takes a mask away.
    go_on : bool
        Whether the output's mask is made of them too.
    """

    at: Mapping[int, Any] = field(default_factory=dict)
    go_on: bool = False

    def told(self, arriving: Sequence[Any], value: Callable[[int], Array]) -> list[Any]:
        """Return the masks that the layer is told, given those that arrive."""
        told = list(arriving)
        for place, position in self.at.items():
            told += [None] * (place + 1 - len(told))
            told[place] = None if position is None else value(position) != 0.0
        return told


NO_MASKS = GivenMasks()


@dataclass(frozen=True, eq=False)
class Symbol:
    """A value in the graph before any number is known: which layer made it, and from what.

    With ``is_logits`` it is what a last sigmoid or softmax of its layer is applied to. Of a call
    with several outputs the first is ``of_several``, and the only input of the others. Its
    ``masks`` are those that the call was given by hand. Where an input that it depends on says how
    many ``samples`` a batch has, it knows: asked for later, that would be looked for along every
    path there is, and where branches meet again and again, they are 2ⁿ.
    """

    layer: Layer
    inputs: Sequence[Symbol]
    shape: Shape
    call: int = 0
    is_activation_of_its_input: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)
    of_several: int = 0
    output: int = 0
    masks: GivenMasks = NO_MASKS
    is_logits: bool = False
    samples: int | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        found = [one.samples for one in self.inputs] or [getattr(self.layer, "samples", None)]
        object.__setattr__(self, "samples", next((one for one in found if one), None))

    @property
    def sources(self) -> Iterator[Symbol]:
        """What it depends on: its inputs, and the masks that it is given."""
        yield from self.inputs
        yield from (one for one in self.masks.at.values() if one is not None)


def several(
    layer: Layer,
    inputs: Sequence[Symbol],
    shapes: Sequence[Shape],
    call: int,
    options: Mapping[str, Any],
    masks: GivenMasks = NO_MASKS,
) -> list[Symbol]:
    """Make the symbols of a call with several outputs."""
    count = len(shapes)
    first = Symbol(layer, inputs, shapes[0], call, False, options, count, masks=masks)
    further = [
        Symbol(layer, (first,), shape, call, of_several=count, output=which)
        for which, shape in enumerate(shapes[1:], start=1)
    ]
    return [first, *further]
