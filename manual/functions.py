"""What Keras's layers are given as functions: those inside ``Lambda``, activations, penalties.

Most of them are made of Keras's operations. Then whoever has the function at hand puts the graph of
its operations into the layer's configuration, and its derivative is the chain rule. The twin of any
other is registered under the function's name, or the layer's.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np

from manual.activations import ActivationFunction
from manual.arrays import Array
from manual.composed import Composed
from manual.constraints import Constraint
from manual.layers import Activation, Layer, Symbol
from manual.registry import NoTwin, from_keras, keras_name, twin, twin_of
from manual.regularizers import Regularizer


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
    """A function that is made of operations: they are run one after the other, and back again.

    Parameters
    ----------
    graph : Keras configuration of a model of operations
    at_inference : the same, optional
        Of what the function does at inference, where it asks for ``training``.
    mask_graph : the same, optional
        Of what it makes the output's mask of: its inputs, and their masks where they have any.
    takes_mask : bool
        Whether the graph has the input's mask for its last input.
    """

    reads = frozenset({"function", "arguments", "output_shape"})
    """What `from_config` takes of Keras's options, though the constructor doesn't."""
    GRAPH = "graph"
    AT_INFERENCE = "graph_at_inference"
    OF_MASK = "graph_of_mask"
    WITH_MASK = "with_mask"
    """Where in a layer's configuration these stand, if somebody put them."""

    def __init__(
        self,
        graph: Mapping[str, Any],
        at_inference: Mapping[str, Any] | None = None,
        mask_graph: Mapping[str, Any] | None = None,
        takes_mask: bool = False,
        *,
        name: str,
    ) -> None:
        super().__init__(name=name)
        self.graphs = graph, at_inference, mask_graph
        self.takes_mask = takes_mask  # type: ignore[misc]
        self.makes_mask = mask_graph is not None

    def build(self, input_shape: Any, generator: np.random.Generator) -> None:
        shapes = [*input_shape, *input_shape] if _is_several(input_shape) else [input_shape] * 2
        graph, at_inference, mask_graph = self.graphs
        self.function = Composed(graph, shapes)
        self.last: ActivationFunction | None = None
        if at_inference is None and (parts := self.function.before_last()) is not None:
            self.function, self.last = parts
        self.at_inference = self.function
        if at_inference is not None:
            self.at_inference = Composed(at_inference, shapes)
        self.of_mask = None if mask_graph is None else Composed(mask_graph, shapes)
        self.derivation = {  # type: ignore[misc]
            "forward": self.function.formula,
            "input gradient": "the gradients of these operations, in the opposite order",
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Layer:
        """Build what is registered for the function; else what its graph says."""
        layer = cls._of_function(config)
        if (penalty := config.get("activity_regularizer")) is not None:
            owner = f"layer {config['name']!r} (Lambda)"
            layer.activity_regularizer = from_keras("regularizer", penalty, owner)
        return layer

    @classmethod
    def _of_function(cls, config: Mapping[str, Any]) -> Layer:
        for known_as in (keras_name(config["function"]), config["name"]):
            try:
                registered = twin("function", known_as)
            except NoTwin:
                continue
            arguments = config.get("arguments", {})
            made: Layer = registered.from_config({"name": config["name"], **arguments})  # type: ignore[attr-defined]
            return made
        if config.get(cls.GRAPH) is not None:
            return cls(
                config[cls.GRAPH],
                config.get(cls.AT_INFERENCE),
                config.get(cls.OF_MASK),
                config.get(cls.WITH_MASK, False),
                name=config["name"],
            )
        raise NoTwin(
            f"The function of the layer {config['name']!r} (Lambda) isn't made of Keras's "
            "operations alone, so it has no hand-derived twin. Register yours, a manual.Function, "
            f'with @manual.twin_of("{config["name"]}").'
        )

    def apply(self, *inputs: Symbol, call: int, **named: Any) -> Any:
        """Make the symbol of a call; the last sigmoid or softmax is a step of its own."""
        made = super().apply(*inputs, call=call, **named)
        if self.last is None:
            return made
        if self.function.outputs != self.function.inputs:
            return self.activated(replace(made, is_logits=True), self.last)
        symbol = self.activated(made, self.last)  # it is a sigmoid or softmax
        vars(symbol.layer)["compute_mask"] = self.compute_mask
        return replace(symbol, inputs=inputs, is_activation_of_its_input=False)

    def output_shape(self, input_shape: Any) -> Any:
        shapes = self.function.shapes
        return shapes if len(shapes) > 1 else shapes[0]

    def compute_mask(self, x: Any, mask: Any) -> Any:
        """Give the mask that its own function makes; else none: Keras doesn't pass one on."""
        if self.of_mask is None:
            return None
        taken = [one for one in (*_list(x), *_list(mask)) if one is not None]
        (made,), _ = self.of_mask.forward(taken)
        return made

    def forward(self, x: Any, *, training: bool = False, mask: Any = None) -> tuple[Any, Any]:
        function = self.function if training else self.at_inference
        taken = [*_list(x), *(_list(mask) if self.takes_mask else [])]
        outputs, saved = function.forward(taken, training=training)
        return (outputs if len(outputs) > 1 else outputs[0]), (function, len(_list(x)), saved)

    def backward(self, dy: Any, saved: Any) -> Any:
        function, count, kept = saved
        return function.backward(_list(dy), kept)[:count]


def _is_several(shape: Any) -> bool:
    return bool(shape) and isinstance(shape[0], (tuple, list))


def _list(given: Any) -> list[Any]:
    return given if isinstance(given, list) else [given]


OF_OPERATIONS = "OfOperations"
"""The class name in a configuration that stands for a function of the user's own, of which the
graph is known."""


@twin_of(OF_OPERATIONS)
class ActivationOfOperations(ActivationFunction):
    """An activation that is made of operations.

    Of a single one, such as ``lambda z: keras.activations.elu(z, alpha=0.3)``, it is that
    activation function.
    """

    derivation = {
        "forward": "a: its operations, one after the other",
        "input gradient": "the gradients of these operations, in the opposite order",
    }

    def __new__(cls, graph: Mapping[str, Any] | None = None, name: str = "") -> Any:
        only = Composed(graph).only if graph is not None else None  # None: it is copied
        return only.function if isinstance(only, Activation) else super().__new__(cls)

    def __init__(self, graph: Mapping[str, Any], name: str = "") -> None:
        self.composed = Composed(graph)
        self.derivation = {**self.derivation, "forward": self.composed.formula}  # type: ignore[misc]

    @property
    def parts(self) -> tuple[ActivationFunction, ...]:
        found = self.composed.before_last()
        if found is None:
            return (self,)
        before = copy.copy(self)
        before.composed = found[0]
        return before, found[1]

    def forward(self, z: Array) -> Array:
        (a,), _ = self.composed.forward([z])
        return a

    def backward(self, da: Array, z: Array, a: Array) -> Array:
        _, saved = self.composed.forward([z])
        (dz,) = self.composed.backward([da], saved)
        return da * 0.0 if dz is None else dz


@twin_of(OF_OPERATIONS)
class RegularizerOfOperations(Regularizer):
    """A penalty that is made of operations."""

    derivation = {
        "forward": "R: its operations, one after the other",
        "gradient": "the gradients of these operations, in the opposite order",
    }

    def __init__(self, graph: Mapping[str, Any], name: str = "") -> None:
        self.composed = Composed(graph)
        self.derivation = {**self.derivation, "forward": self.composed.formula}  # type: ignore[misc]

    def forward(self, w: Array) -> Array:
        (cost,), _ = self.composed.forward([w])
        return cost

    def backward(self, w: Array) -> Array:
        (cost,), saved = self.composed.forward([w])
        (dw,) = self.composed.backward([cost * 0.0 + 1.0], saved)
        return w * 0.0 if dw is None else dw


@twin_of(OF_OPERATIONS)
class ConstraintOfOperations(Constraint):
    """A projection that is made of operations."""

    derivation = {"weight": "w⁺: its operations, one after the other"}

    def __init__(self, graph: Mapping[str, Any], name: str = "") -> None:
        self.composed = Composed(graph)
        self.derivation = {"weight": self.composed.formula}  # type: ignore[misc]

    def apply(self, w: Array) -> None:
        (projected,), _ = self.composed.forward([w])
        w[...] = projected
