"""Backpropagation: a graph of layers is run forward, and the loss's gradient carried back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from manual.arrays import Array
from manual.graph import Node, in_causal_order, nodes_of
from manual.layers import Layer, Parameter, Symbol
from manual.layers.base import Shape
from manual.weights import Weights


@dataclass
class Pass:
    """What one run through the network computed, node by node.

    ``values``, ``saved`` and ``masks`` are filled on the way forward, ``gradients`` (of the loss at
    each node's output) on the way back; None where no gradient flows. ``shares`` says of what each
    gradient is the sum: for every node, the nodes that use its output and what came from them.
    """

    values: list[Array]
    saved: list[Any]
    masks: list[Array | None]
    gradients: list[Array | None] = field(default_factory=list)
    shares: list[dict[int, Array]] = field(default_factory=list)


class Graph(Weights):
    """Layers joined in a graph: run forward, and backward through their hand-written derivatives.

    It is made as a `manual.network.Network` is, which learns besides.

    Attributes
    ----------
    nodes : list of Node
        Every step of the forward pass in causal order.
    inputs, outputs : lists of int
        The positions of those at the two ends.
    """

    def __init__(
        self,
        inputs: Symbol | Sequence[Symbol],
        outputs: Symbol | Sequence[Symbol],
        *,
        dtype: str = "float32",
        layers: Sequence[Layer] | None = None,
        trainable: Container[str] | None = None,
        unused: Sequence[Symbol] = (),
    ) -> None:
        inputs = [inputs] if isinstance(inputs, Symbol) else list(inputs)
        outputs = [outputs] if isinstance(outputs, Symbol) else list(outputs)
        order = in_causal_order([*outputs, *unused, *inputs])
        place = {id(symbol): index for index, symbol in enumerate(order)}
        self.nodes: list[Node] = nodes_of(order)
        self.inputs = [place[id(symbol)] for symbol in inputs]
        self.outputs = [place[id(symbol)] for symbol in outputs]
        self.output_shapes: list[Shape] = [symbol.shape for symbol in outputs]
        self._calls = [
            (index, node.layer, node.inputs) for index, node in enumerate(self.nodes) if node.is_run
        ]
        self._masked = any(
            node.layer.makes_mask or node.masks.at or (node.outputs and node.layer.masks_further)
            for node in self.nodes
        )
        ordered = layers if layers is not None else [node.layer for node in self.nodes]
        twice = [name for name, n in Counter(node.name for node in self.nodes).items() if n > 1]
        if twice:
            raise ValueError(f"Layers need different names. Two are called {twice[0]!r}.")
        super().__init__(ordered, dtype=dtype, trainable=trainable)
        self.stateful = [
            (index, layer)
            for index, layer, _ in self._calls
            if layer.keeps_state
            and (self.nodes[index].options.get("training", True) or layer.always_moves)
        ]

    def forward(
        self,
        x: Array | Sequence[Array],
        *,
        training: bool = False,
        replaced: Mapping[int, Array] | None = None,
    ) -> Pass:
        """Run all nodes on a batch; ``replaced`` puts other outputs in the place of some nodes'."""
        run = Pass([None] * len(self.nodes), [None] * len(self.nodes), [None] * len(self.nodes))
        for index, value in zip(
            self.inputs, x if isinstance(x, (list, tuple)) else [x], strict=True
        ):
            run.values[index] = value if value.dtype == self.dtype else value.astype(self.dtype)
        for index, layer, sources in self._calls:
            if len(sources) == 1:
                taken = self.handed(index, run.values[sources[0]])
            else:
                taken = [self.handed(index, run.values[source]) for source in sources]
            options = self.nodes[index].options
            if self._masked:
                options = {**options, **self.mask_options(run, index, taken)}
            told = {"training": training, **options}
            given, run.saved[index] = layer.forward(taken, **told)
            for place, value in self.nodes[index].spread(index, given):
                run.values[place] = replaced.get(place, value) if replaced else value
            for place, mask in self.nodes[index].further_masks(run.saved[index]):
                run.masks[place] = mask
        return run

    def handed(self, index: int | None, numbers: Any) -> Any:
        """Return what a node (None: a loss) is handed, as it takes it: here, as it is.

        Who follows rounding errors has layers that compute in several precisions.
        """
        return numbers

    def handed_back(self, index: int, gradient: Any) -> Any:
        """Return the gradient that arrives at a node's output, as the node takes it."""
        return gradient

    def mask_options(self, run: Pass, index: int, taken: Any) -> dict[str, Any]:
        """Carry the masks on by one node; return what its layer has to be told of them."""
        node = self.nodes[index]
        told, mask = node.told_masks(run.masks, run.values.__getitem__)
        made = node.layer.compute_mask(taken, mask)
        if made is not None:
            for place, one in node.spread(index, made):
                run.masks[place] = one
        return told

    def backward(
        self,
        run: Pass,
        upstream: Mapping[int, Array],
        *,
        altered: Callable[[int, Array], Array] | None = None,
    ) -> None:
        """Carry the loss's gradients from the outputs back through every node.

        Parameters
        ----------
        run : Pass
            Of `forward`; its ``gradients`` are filled.
        upstream : mapping of node position to array
            The gradient of the loss at the nodes that the loss reads.
        altered : callable, optional
            Receives the position of every node and the gradient at its output, and returns the
            gradient to go on with: what would have come of a slip.
        """
        gradients = run.gradients = [None] * len(self.nodes)
        shares = run.shares = [{} for _ in self.nodes]
        for index, gradient in upstream.items():
            gradients[index] = gradient
        for index, layer, sources in reversed(self._calls):
            if altered is not None:
                for place in self.nodes[index].outputs or (index,):
                    if place is not None and gradients[place] is not None:
                        gradients[place] = altered(place, gradients[place])
            dy = self.nodes[index].gathered(index, gradients)
            if dy is None:
                continue
            dx = layer.backward(dy, run.saved[index])
            for source, part in zip(sources, dx if isinstance(dx, list) else [dx], strict=True):
                if part is None:
                    continue
                part = self.handed_back(source, part)
                so_far, share = gradients[source], shares[source].get(index)
                gradients[source] = part if so_far is None else so_far + part
                shares[source][index] = part if share is None else share + part
        self.add_regularization_gradients()

    def add_regularization_gradients(self) -> None:
        """Add to each regularized weight's gradient what the weight itself costs."""
        for parameter in self.regularized:
            assert parameter.regularizer is not None
            penalty = parameter.regularizer.backward(_regularized(parameter))
            parameter.gradient += penalty if self.loss_scale == 1.0 else penalty * self.loss_scale

    @property
    def loss_scale(self) -> float:
        """What the loss is multiplied by before it is differentiated."""
        return 1.0

    def regularization_loss(self) -> Array:
        """Return what the weights themselves cost, all together."""
        total: Array = 0.0
        for parameter in self.regularized:
            assert parameter.regularizer is not None
            total = total + parameter.regularizer.forward(_regularized(parameter))
        return total

    def update_state(self, run: Pass) -> None:
        """Change what layers remember of a forward pass in training: moving averages."""
        for index, layer in self.stateful:
            layer.update_state(run.saved[index])

    def carry_on(self, run: Pass) -> None:
        """Change what layers remember of any forward pass: what they carry from batch to batch."""
        for index, layer in self.stateful:
            if layer.always_moves:
                layer.update_state(run.saved[index])


def _regularized(parameter: Parameter) -> Array:
    return parameter.value if parameter.used is None else parameter.used
