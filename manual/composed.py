"""Operations joined in a graph, run one after the other, and back again."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import Any

from manual.activations import ActivationFunction
from manual.configuration import symbols_from_config
from manual.graph import in_causal_order, nodes_of
from manual.inbound_nodes import ends_of
from manual.layers import Activation, Layer
from manual.layers.base import Shape


class Composed:
    """A function that is made of operations, and its derivative: the chain rule.

    Parameters
    ----------
    graph : mapping
        The configuration of a Keras model of operations.
    shapes : sequence of shape, optional
        Of a sample of each input, as far as they are known: where the configuration leaves sizes
        open, and they aren't, any will do.
    """

    def __init__(self, graph: Mapping[str, Any], shapes: Sequence[Shape] = ()) -> None:
        told = {
            entry["config"]["name"]: entry["config"]["batch_shape"][1:]
            for entry in graph["layers"]
            if entry["class_name"] == "InputLayer"
        }
        ends = [told[name] for name, *_ in ends_of(graph["input_layers"])]
        sizes = [
            [size or known for size, known in zip(one, (*here, *(1,) * len(one)), strict=False)]
            for one, here in zip_longest(ends, shapes[: len(ends)], fillvalue=())
        ]
        inputs, outputs, *_ = symbols_from_config(graph, shapes=sizes)
        order = in_causal_order([*outputs, *inputs])
        place = {id(symbol): index for index, symbol in enumerate(order)}
        self.nodes = nodes_of(order)
        self.inputs = [place[id(symbol)] for symbol in inputs]
        self.outputs = [place[id(symbol)] for symbol in outputs]
        self.shapes = [symbol.shape for symbol in outputs]
        self._all_shapes = [symbol.shape for symbol in order]

    @property
    def formula(self) -> str:
        """What its operations compute, in their order."""
        return "; ".join(
            f"{node.name}: {node.layer.derivation.get('forward', '')}"
            for node in self.nodes
            if node.is_run
        )

    @property
    def only(self) -> Layer | None:
        """The operation that it is, if it is a single one."""
        run = [node for node in self.nodes if node.is_run]
        return run[0].layer if len(run) == 1 and not run[0].outputs else None

    def before_last(self) -> tuple[Composed, ActivationFunction] | None:
        """Return what comes before a last sigmoid or softmax, and that; None if there is none.

        A cross-entropy reads the logits behind it, and has to find them.
        """
        last = self.nodes[self.outputs[0]]
        if len(self.outputs) > 1 or not isinstance(last.layer, Activation):
            return None
        before = copy.copy(self)
        before.outputs = list(last.inputs)
        before.shapes = [self._all_shapes[before.outputs[0]]]
        return (before, last.layer.function) if last.layer.function.carries_logits else None

    def forward(self, inputs: list[Any], *, training: bool = False) -> tuple[list[Any], list[Any]]:
        """Return the outputs, and what `backward` needs."""
        values: list[Any] = [None] * len(self.nodes)
        saved: list[Any] = [None] * len(self.nodes)
        for index, one in zip(self.inputs, inputs, strict=True):
            values[index] = one
        for index, node in enumerate(self.nodes):
            if node.is_run:
                taken = [values[source] for source in node.inputs]
                given, saved[index] = node.layer.forward(
                    taken if len(taken) > 1 else taken[0], training=training, **node.options
                )
                for place, value in node.spread(index, given):
                    values[place] = value
        return [values[index] for index in self.outputs], saved

    def backward(self, upstream: list[Any], saved: list[Any]) -> list[Any]:
        """Return the gradient at each input: None where none arrives."""
        gradients: list[Any] = [None] * len(self.nodes)

        def add(place: int, part: Any) -> None:
            if part is not None:
                so_far = gradients[place]
                gradients[place] = part if so_far is None else so_far + part

        for place, part in zip(self.outputs, upstream, strict=True):
            add(place, part)
        for index in reversed(range(len(self.nodes))):
            node = self.nodes[index]
            arrived = node.gathered(index, gradients) if node.is_run else None
            if arrived is not None:
                dx = node.layer.backward(arrived, saved[index])
                for source, part in zip(
                    node.inputs, dx if isinstance(dx, list) else [dx], strict=True
                ):
                    add(source, part)
        return [gradients[index] for index in self.inputs]
