"""What Keras's ``Lambda`` layers call: functions without weights.

Most of them are made of Keras's operations. Then whoever has the function at hand puts the graph of
its operations into the layer's configuration, and its derivative is the chain rule. The twin of any
other is registered under the function's name, or the layer's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from manual.activations import ActivationFunction
from manual.arrays import Array
from manual.configuration import symbols_from_config
from manual.graph import in_causal_order, nodes_of
from manual.layers import Layer
from manual.registry import NoTwin, keras_name, twin, twin_of


class Function(Layer):
    """A function inside a ``Lambda`` layer, with its derivative.

    It is registered under the name by which Keras saves the function (``"package>name"``), or the
    name of the layer; its constructor takes what the layer has as ``arguments``.

    Examples
    --------
    >>> @twin_of("halve")
    ... class Halved(Function):
    ...     derivation = {"forward": "y = x / 2", "input gradient": "dx = dy / 2"}
    ...
    ...     def forward(self, x, *, training=False):
    ...         return x / 2.0, None
    ...
    ...     def backward(self, dy, saved):
    ...         return dy / 2.0
    """

    kind: ClassVar[str] = "function"


@twin_of("Lambda")
class Lambda(Layer):
    """A function that is made of operations: they are run one after the other, and back again."""

    reads = frozenset({"function", "arguments", "output_shape"})
    """What `from_config` takes of Keras's options, though the constructor doesn't."""
    GRAPH = "graph"
    """Where in a layer's configuration the graph of its function stands, if somebody put it."""
    LOGITS = "carries_logits"
    """Where it stands whether Keras finds logits behind what the function gives."""

    def __init__(self, graph: Mapping[str, Any], *, name: str) -> None:
        super().__init__(name=name)
        inputs, outputs, *_ = symbols_from_config(graph)
        order = in_causal_order([*outputs, *inputs])
        place = {id(symbol): index for index, symbol in enumerate(order)}
        self.nodes = nodes_of(order)
        self.inputs = [place[id(symbol)] for symbol in inputs]
        self.outputs = [place[id(symbol)] for symbol in outputs]
        self.shapes = [symbol.shape for symbol in outputs]
        formulas = [
            f"{node.name}: {node.layer.derivation.get('forward', '')}"
            for node in self.nodes
            if node.is_run
        ]
        self.derivation = {  # type: ignore[misc]
            "forward": "; ".join(formulas),
            "input gradient": "the gradients of these operations, in the opposite order",
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Layer:
        """Build what is registered for the function; else what its graph says."""
        for known_as in (keras_name(config["function"]), config["name"]):
            try:
                registered = twin("function", known_as)
            except NoTwin:
                continue
            arguments = config.get("arguments", {})
            given: Layer = registered.from_config({"name": config["name"], **arguments})  # type: ignore[attr-defined]
            return given
        if config.get(cls.GRAPH) is not None:
            made = cls(config[cls.GRAPH], name=config["name"])
            if config.get(cls.LOGITS):
                function = OfOperations(config[cls.GRAPH], config["name"], carries_logits=True)
                made.last_activation = function
            return made
        raise NoTwin(
            f"The function of the layer {config['name']!r} (Lambda) isn't made of Keras's "
            "operations alone, so it has no hand-derived twin. Register yours, a manual.Function, "
            f'with @manual.twin_of("{config["name"]}").'
        )

    def output_shape(self, input_shape: Any) -> Any:
        return self.shapes if len(self.shapes) > 1 else self.shapes[0]

    def compute_mask(self, x: Any, mask: Any) -> None:
        """Give no mask: Keras's layer doesn't pass one on."""

    def forward(self, x: Any, *, training: bool = False) -> tuple[Any, Any]:
        values: list[Any] = [None] * len(self.nodes)
        saved: list[Any] = [None] * len(self.nodes)
        for index, one in zip(self.inputs, x if isinstance(x, list) else [x], strict=True):
            values[index] = one
        for index, node in enumerate(self.nodes):
            if node.is_run:
                taken = [values[source] for source in node.inputs]
                given, saved[index] = node.layer.forward(
                    taken if len(taken) > 1 else taken[0], training=training, **node.options
                )
                for place, value in node.spread(index, given):
                    values[place] = value
        outputs = [values[index] for index in self.outputs]
        return (outputs if len(outputs) > 1 else outputs[0]), saved

    def backward(self, dy: Any, saved: Any) -> Any:
        gradients: list[Any] = [None] * len(self.nodes)

        def add(place: int, part: Any) -> None:
            if part is not None:
                so_far = gradients[place]
                gradients[place] = part if so_far is None else so_far + part

        for place, part in zip(self.outputs, dy if isinstance(dy, list) else [dy], strict=True):
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


@twin_of("KerasLockstep>OfOperations")
class OfOperations(ActivationFunction):
    """A user's own activation function: operations that are run one after the other, and back.

    Parameters
    ----------
    graph : mapping
        The configuration of the graph that the function makes of an array.
    name : str
        What the function is called.
    carries_logits : bool
        Whether Keras finds logits behind what it gives.
    """

    NAME = "KerasLockstep>OfOperations"

    def __init__(self, graph: Mapping[str, Any], name: str, carries_logits: bool = False) -> None:
        self.map = Lambda(graph, name=name)
        if len(self.map.inputs) != 1 or len(self.map.outputs) != 1:
            raise NoTwin(f"The activation {name!r} doesn't give one array for one.")
        self.derivation = self.map.derivation  # type: ignore[misc]
        self.carries_logits = carries_logits
        self.hides_logits = carries_logits and len(self.map.nodes) > 2

    @classmethod
    def entry(cls, **options: Any) -> dict[str, Any]:
        """Return what stands for such a function in the configuration of a layer."""
        return {"class_name": cls.NAME, "config": options}

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return self.forward(np.zeros((2, *shape))).shape[1:]  # type: ignore[no-any-return]

    def forward(self, z: Array) -> Array:
        return self.map.forward(z)[0]

    def backward(self, da: Array, z: Array, a: Array) -> Array:
        return self.map.backward(da, self.map.forward(z)[1])[0]
