"""The graph of a network: which layer is called on what, in an order that respects causes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from manual.arrays import Array
from manual.layers import InputLayer, Layer, Symbol
from manual.layers.symbol import NO_MASKS, GivenMasks
from manual.regularizers import Regularizer


@dataclass(frozen=True)
class Node:
    """One call of a layer, or a further output of one.

    Attributes
    ----------
    name : str
        The name under which its output appears in a trace: the call's, with
        ``/pre_activation`` where an activation follows, ``/logits`` where a sigmoid or softmax
        does that ends a function of the user's own, and ``[1]`` for the second output.
    call : str
        The layer's name, with ``@2`` for its second call.
    layer : Layer
    inputs : tuple of int
        Positions of the nodes whose outputs it takes.
    options : mapping of str to object
        What the call was told besides: ``use_causal_mask``, say.
    outputs : tuple of int or None
        Where the call's outputs stand, if it has several: its own position first, and None for
        those that nothing depends on. Empty for a call with a single output.
    output : int
        Which of its call's outputs this is. Only the first is run, and gives them all.
    penalty : Regularizer, or None
        What its output costs: the layer's ``activity_regularizer``, behind its activation.
    is_cost : bool
        Whether its output is itself added to the loss.
    masks : GivenMasks
        Those of its inputs' masks that the call is given, by the positions of nodes.
    """

    name: str
    call: str
    layer: Layer
    inputs: tuple[int, ...]
    options: Mapping[str, Any] = field(default_factory=dict)
    outputs: tuple[int | None, ...] = ()
    output: int = 0
    penalty: Regularizer | None = None
    is_cost: bool = False
    masks: GivenMasks = NO_MASKS

    @property
    def is_input(self) -> bool:
        return isinstance(self.layer, InputLayer)

    @property
    def is_run(self) -> bool:
        """Whether a map of its own gives it: it is neither fed, nor given by another node's."""
        return not self.is_input and not self.output

    def told_masks(
        self, masks: Sequence[Any], value: Callable[[int], Array]
    ) -> tuple[dict[str, Any], Any]:
        """Return what its layer is told of masks, and those that its output's is made of.

        Parameters
        ----------
        masks : sequence of array or None
            Of all nodes' outputs.
        value : callable
            Gives the output of the node at a position.
        """
        arriving = [masks[source] for source in self.inputs]
        told = self.masks.told(arriving, value)
        known = self.layer.takes_mask and any(one is not None for one in told)
        goes_on = told if self.masks.go_on else arriving
        return ({"mask": one_or_all(told)} if known else {}), one_or_all(goes_on)

    def further_masks(self, saved: Any) -> Iterator[tuple[int, Any]]:
        """Say what masks the map itself has made for outputs behind the first, and where."""
        if self.outputs and self.layer.masks_further:
            for place, mask in zip(self.outputs[1:], self.layer.further_masks(saved), strict=False):
                if place is not None:
                    yield place, mask

    def spread(self, index: int, given: Any) -> Iterator[tuple[int, Any]]:
        """Say where each of the things that its call gave belongs: outputs, or their masks."""
        if not self.outputs:
            yield index, given
            return
        if not isinstance(given, list):  # one mask, which is the first output's
            yield index, given
            return
        for place, one in zip(self.outputs, given, strict=True):
            if place is not None:
                yield place, one

    def gathered(self, index: int, gradients: Sequence[Array | None]) -> Any:
        """Collect the gradients that arrive at its call's outputs; None if none does."""
        if not self.outputs:
            return gradients[index]
        arrived = [None if place is None else gradients[place] for place in self.outputs]
        return arrived if any(one is not None for one in arrived) else None


def one_or_all(masks: list[Any]) -> Any:
    """Return a mask by itself where there is one input."""
    return masks[0] if len(masks) == 1 else masks


def in_causal_order(outputs: Sequence[Symbol]) -> list[Symbol]:
    """Return every symbol behind the outputs, each after the ones it depends on."""
    order: list[Symbol] = []
    seen: set[int] = set()
    stack = [(symbol, False) for symbol in reversed(outputs)]
    while stack:
        symbol, inputs_done = stack.pop()
        if inputs_done:
            order.append(symbol)
        elif id(symbol) not in seen:
            seen.add(id(symbol))
            stack.append((symbol, True))
            stack.extend((source, False) for source in reversed(list(symbol.sources)))
    return order


def nodes_of(order: Sequence[Symbol]) -> list[Node]:
    """Name the symbols as a trace does and replace references by positions."""
    position = {id(symbol): place for place, symbol in enumerate(order)}
    applied_to = {id(symbol.inputs[0]) for symbol in order if symbol.is_activation_of_its_input}
    further = {(id(one.inputs[0]), one.output): position[id(one)] for one in order if one.output}
    nodes = []
    for symbol in order:
        name = call = symbol.layer.name + (f"@{symbol.call + 1}" if symbol.call else "")
        penalty = symbol.layer.activity_regularizer
        if id(symbol) in applied_to:
            name, penalty = f"{name}/pre_activation", None
        if symbol.is_logits:
            name, penalty = f"{call}/logits", None
        if symbol.output:
            name += f"[{symbol.output}]"
        inputs = tuple(position[id(source)] for source in symbol.inputs)
        outputs: tuple[int | None, ...] = ()
        if symbol.of_several and not symbol.output:
            others = (further.get((id(symbol), one)) for one in range(1, symbol.of_several))
            outputs = (position[id(symbol)], *others)
        masks = replace(
            symbol.masks,
            at={place: one and position[id(one)] for place, one in symbol.masks.at.items()},
        )
        several = outputs, symbol.output
        is_cost = symbol.layer.costs and symbol.output == symbol.of_several - 1
        told = symbol.options, *several, penalty, is_cost, masks
        nodes.append(Node(name, call, symbol.layer, inputs, *told))
    return nodes
