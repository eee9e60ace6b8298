"""What surrounds each number of a training step: the inputs of the map that makes it.

They go by the letters of the literature: a layer takes ``x``, has the weights ``W`` and ``b`` (and
all of them under their own names), and gives ``y``; where its activation follows, what it gives is
``z`` and the activation ``a``. A gradient is that letter with a ``d``. Everything is gathered only
where something disagrees.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from compare.causes import Facts
from manual.graph import Node
from manual.heads import Head, as_target, of_each
from manual.layers import Activation, Dense
from manual.network import Network

Trace = dict[str, dict[str, np.ndarray]]
Inputs = dict[str, Any]


class Surroundings:
    """The surroundings of numbers, wherever the values and gradients themselves come from.

    Parameters
    ----------
    network : manual.Network
    facts : Facts
    sample_weight : array, optional
    """

    def __init__(self, network: Network, facts: Facts, sample_weight: Any) -> None:
        self.network, self.facts, self.sample_weight = network, facts, sample_weight
        self._activation_of = {
            node.inputs[0]: index
            for index, node in enumerate(network.nodes)
            if isinstance(node.layer, Activation)
            and node.call == network.nodes[node.inputs[0]].call
        }

    # ------------------------------------------------------------------ to be known

    def value(self, index: int) -> Any:
        """Return a node's output."""
        raise NotImplementedError

    def output(self, index: int) -> Any:
        """Return a node's output, with the noise of its last operation."""
        return self.value(index)

    def gradient(self, index: int) -> Any:
        """Return the gradient at a node's output; None if it has none."""
        raise NotImplementedError

    def mask(self, index: int) -> Any:
        """Return the mask of a node's output; None if it has none."""
        return None

    def arriving_mask(self, index: int) -> Any:
        """Return the mask that a node is called with; None if there is none."""
        sources = self.network.nodes[index].inputs
        return self.mask(sources[0]) if sources else None

    def loss_mask(self, head: Head) -> Any:
        """Return the mask that a loss sees; None if it sees none."""
        return self.mask(head.output)

    def drawn(self, call: str) -> list[Any]:
        """Return the random numbers that a layer drew in one of its calls."""
        return []

    def weights(self) -> Mapping[str, Any]:
        """Return all weights by name."""
        raise NotImplementedError

    def new_weights(self) -> Mapping[str, Any]:
        """Return all weights after the step, as far as they are known."""
        return {}

    def weight_gradients(self) -> Mapping[str, Any]:
        """Return the gradients of all weights that have one."""
        raise NotImplementedError

    # ------------------------------------------------------------------ one for each kind of map

    def of_map(self, index: int) -> Inputs:
        """Gather what a node takes, gives and has, and the gradient that arrives at it."""
        node = self.network.nodes[index]
        values = [self.value(source) for source in node.inputs]
        if isinstance(node.layer, Activation):
            others = self._nodes_like(index, Activation)
            return {
                "z": values[0],
                "a": self.output(index),
                "da": self.gradient(index),
                "other_activations": {
                    other.name: (other.layer, self.value(other.inputs[0])) for other in others
                },
            }
        inputs: Inputs = {
            "x": values[0] if len(values) == 1 else values,
            "y": self.output(index),
            "dz": self.gradient(index),
            "mask": self.arriving_mask(index),
            "masks": [self.mask(source) for source in node.inputs],
            "options": node.options,
            "drawn": self.drawn(node.call),
            **self._weights_of(node.layer),
        }
        if isinstance(node.layer, Dense):
            inputs["outputs"] = node.layer.units
            others = self._nodes_like(index, Dense)
            inputs["other_inputs"] = {
                other.layer.name: self.value(other.inputs[0]) for other in others
            }
            weights = self.weights()
            inputs["other_kernels"] = {
                f"{other.layer.name}/kernel": weights[f"{other.layer.name}/kernel"]
                for other in others
            }
        after = self._activation_of.get(index)
        if after is not None:
            inputs |= {"z": inputs["y"], "a": self.value(after), "da": self.gradient(after)}
        if node.inputs:
            below = self.network.nodes[node.inputs[0]]
            if isinstance(below.layer, Activation):
                inputs["x_pre"] = self.value(below.inputs[0])
        return inputs

    def _nodes_like(self, index: int, kind: type) -> list[Node]:
        """Return the other nodes of a kind of layer: their numbers are taken by mistake."""
        return [
            other
            for place, other in enumerate(self.network.nodes)
            if place != index and isinstance(other.layer, kind)
        ]

    def of_input_gradient(self, index: int, source: int) -> Inputs:
        """Gather what a node's share in the gradient of one of its inputs is made of.

        ``which`` says at which places the node takes that input: more than one in self-attention.
        """
        inputs = self.network.nodes[index].inputs
        which = [place for place, other in enumerate(inputs) if other == source]
        return {**self.of_map(index), "which": which}

    def of_loss_gradient(self, head: Head, target: Any) -> Inputs:
        """Gather what a loss, and its gradient, is made of."""
        p, heads = self.value(head.reads), self.network.heads
        return {
            "p": p,
            "y": as_target(np.asarray(target), p),
            "outputs": p.shape[-1],
            "sample_weight": of_each(heads, self.sample_weight)[heads.index(head)],
            "mask": self.loss_mask(head),
            "logits": head.from_logits or bool(head.loss.from_logits),
            "activated": isinstance(self.network.nodes[head.reads].layer, Activation),
            "loss_weight": head.weight,
        }

    def of_weight_gradient(self, name: str) -> Inputs:
        """Gather what a weight's gradient is made of."""
        inputs = {"other_gradients": self.weight_gradients(), **self.of_state(name)}
        if self.network.regularized:
            inputs["w"] = self.weights()[name]
            inputs["regularizer"] = self.network.parameters[name].regularizer
            inputs["regularizers"] = [one.regularizer for one in self.network.regularized]
        return inputs

    def of_state(self, name: str) -> Inputs:
        """Gather what surrounds a weight: its layer's call, or the calls of a shared layer."""
        calls = [
            index
            for index, node in enumerate(self.network.nodes)
            if node.layer is self.network.owners[name] and node.is_run
        ]
        if len(calls) == 1:
            return self.of_map(calls[0])
        return {"calls": [self.of_map(index) for index in calls]}

    def _weights_of(self, layer: Any) -> Inputs:
        named: Inputs = {}
        for letter, weights in (("{}", self.weights()), ("{}_new", self.new_weights())):
            for parameter in layer.parameters:
                name = f"{layer.name}/{parameter.name}"
                if name in weights:
                    short = {"kernel": "W", "bias": "b"}.get(parameter.name, parameter.name)
                    for key in {short, parameter.name}:
                        named[letter.format(key)] = weights[name]
        return named
