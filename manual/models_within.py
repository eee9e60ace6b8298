"""A model inside a layer: ``TimeDistributed`` of a Sequential or Functional model.

Where a model is called by itself, its layers are nodes of the network around it. Inside a layer
they are run as one map, by a network of their own whose weights are the layer's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from manual.arrays import Array
from manual.backpropagation import Pass
from manual.layers.base import Layer, Shape
from manual.layers.wrapper import Wrapper
from manual.network import Network
from manual.registry import NoTwin, twin_of


@twin_of("Functional")
@twin_of("Sequential")
class ModelWithin(Wrapper):
    """A graph of layers with one input and one output, as a layer.

    Parameters
    ----------
    config : mapping
        That of the model in Keras.
    """

    derivation = {
        "forward": "y = the maps of the model's layers, one after the other",
        "input gradient": "dx = the gradients of these maps, in the opposite order",
    }

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__(name=config["name"], trainable=config.get("trainable", True))
        self.config = config

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Layer:
        return cls(config)

    def build(self, input_shape: Shape, generator: np.random.Generator) -> None:
        self.graph = graph = Network.from_config(self.config, dtype="float64", shapes=[input_shape])
        if len(graph.outputs) > 1:
            raise NoTwin(
                f"The model {self.name!r} inside a layer has several outputs, which has no "
                "hand-derived twin there."
            )
        self.has_costs_within = any(
            node.penalty is not None or node.layer.has_costs_within for node in graph.nodes
        )
        formulas = {}
        for name, parameter in graph.parameters.items():
            if not parameter.is_state:
                own = parameter.name
                formulas[f"{name} gradient"] = graph.owners[name].derivation[f"{own} gradient"]
            parameter.name = name
            self.parameters.append(parameter)
        vars(self)["derivation"] = {**formulas, **self.derivation}
        graph.regularized = []  # the network around it sees to that
        self._holds(*graph.layers)
        self.draws = self._draws

    def output_shape(self, input_shape: Shape) -> Shape:
        return self.graph.output_shapes[0]

    def forward(self, x: Array, *, training: bool = False) -> tuple[Array, Pass]:
        self.graph.dtype = x.dtype
        run = self.graph.forward(x, training=training)
        return run.values[self.graph.outputs[0]], run

    def backward(self, dy: Array, saved: Pass) -> Array:
        upstream = {self.graph.outputs[0]: dy}
        for index, _, gradient in self._penalties(saved):
            upstream[index] = upstream[index] + gradient if index in upstream else gradient
        self.graph.backward(saved, upstream)
        return saved.gradients[self.graph.inputs[0]]

    def costs_within(self, saved: Pass) -> Iterator[Array]:
        yield from self.graph.costs_within(saved.saved)
        yield from (cost for _, cost, _ in self._penalties(saved))

    def _penalties(self, saved: Pass) -> Iterator[tuple[int, Array, Array]]:
        """Give what the activities of nodes cost, as the network around scales its loss."""
        self.graph.scale = self.loss_scale
        return self.graph.activity_penalties(saved.values)

    def update_state(self, saved: Pass) -> None:
        self.graph.update_state(saved)
