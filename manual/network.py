"""A network: layers joined in a graph, its weights in one flat array, and how it is trained."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from manual.arrays import Array
from manual.configuration import Otherwise, symbols_from_config
from manual.graph import Node, in_causal_order, nodes_of
from manual.heads import Head, as_target, attached, of_each
from manual.layers import Layer, Parameter, Symbol
from manual.layers.base import Shape
from manual.optimizers import LossScaleOptimizer, Optimizer, Scattered, Tensor
from manual.registry import from_keras
from manual.replay import Rehearsed


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


class Network:
    """A graph of layers that is trained by hand-written backpropagation.

    Parameters
    ----------
    inputs, outputs : Symbol or sequence of Symbol
        The two ends of the graph, built by calling layers on each other.
    layers : sequence of Layer, optional
        All of them in the order of their weights, if that isn't the order of the calls.
    trainable : container of str, optional
        The names of the weights that are trained; by default those whose layers are.
    unused : sequence of Symbol, optional
        What is computed besides, as the state of layers may change by it.
    dtype : str
        ``"float32"`` or ``"float64"``.

    Attributes
    ----------
    nodes : list of Node
        Every step of the forward pass in causal order.
    parameters : dict of str to Parameter
        By name (``"hidden/kernel"``), in Keras's order.
    owners : dict of str to Layer
        By the same names, the layer that each belongs to.
    values, gradients : arrays, shape (trainable weights,)
        All trainable weights and all their gradients; every parameter is a view into them.
    tensors : list of Tensor
        Where in the flat arrays each trainable weight lies.
    slots : dict of str to array
        The optimizer's memory: flat arrays, most of them of the same length.

    Examples
    --------
    >>> import numpy as np, manual
    >>> x = manual.Input((2,))
    >>> network = manual.Network(x, manual.Dense(1, "sigmoid", name="out")(x), dtype="float64")
    >>> network.set_weights([np.array([[0.5], [0.2]]), np.array([1.83])])
    >>> network.predict(np.array([[0.1, 0.3]])).round(9)
    array([[0.87435214]])
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
        order = in_causal_order([*outputs, *unused])
        without_use = [symbol for symbol in inputs if symbol not in order]
        if without_use:
            raise ValueError(f"No output depends on the input {without_use[0].layer.name!r}.")
        place = {id(symbol): index for index, symbol in enumerate(order)}
        self.nodes: list[Node] = nodes_of(order)
        self.inputs = [place[id(symbol)] for symbol in inputs]
        self.outputs = [place[id(symbol)] for symbol in outputs]
        self.output_shapes: list[Shape] = [symbol.shape for symbol in outputs]
        self._calls = [
            (index, node.layer, node.inputs) for index, node in enumerate(self.nodes) if node.is_run
        ]
        self._masked = any(node.layer.makes_mask for node in self.nodes)
        ordered = layers if layers is not None else [node.layer for node in self.nodes]
        self.layers: list[Layer] = list(dict.fromkeys(ordered))
        self.parameters: dict[str, Parameter] = {
            f"{layer.name}/{parameter.name}": parameter
            for layer in self.layers
            for parameter in layer.parameters
        }
        self.owners: dict[str, Layer] = {
            f"{layer.name}/{parameter.name}": layer
            for layer in self.layers
            for parameter in layer.parameters
        }
        if trainable is not None:
            for name, parameter in self.parameters.items():
                parameter.trainable = parameter.trainable and name in trainable
        self.heads: list[Head] = []
        self.optimizer: Optimizer | None = None
        self.slots: dict[str, Array] = {}
        self.iterations = 0
        twice = [name for name, n in Counter(node.name for node in self.nodes).items() if n > 1]
        if twice:
            raise ValueError(f"Layers need different names. Two are called {twice[0]!r}.")
        self._lay_out(dtype)

    @classmethod
    def from_config(
        cls,
        config: Mapping[str, Any],
        *,
        dtype: str = "float32",
        trainable: Container[str] | None = None,
        otherwise: Otherwise | None = None,
        shapes: Sequence[Sequence[int]] | None = None,
    ) -> Network:
        """Build the twin of a Keras Sequential or Functional model from its ``get_config()``.

        Parameters
        ----------
        config : mapping
        dtype : str
        trainable : container of str, optional
            The names of the weights that are trained, where a layer's are so in part: its
            configuration doesn't say.
        otherwise : callable, optional
            What to put in place of a layer without a twin.
        shapes : sequence of shape, optional
            Of a sample of each input, where the configuration leaves sizes open.

        Raises
        ------
        NoTwin
            If a layer, or an option of one, has no hand-derived counterpart.
        """
        inputs, outputs, layers, unused = symbols_from_config(config, otherwise, shapes)
        return cls(inputs, outputs, dtype=dtype, layers=layers, trainable=trainable, unused=unused)

    def _lay_out(self, dtype: str) -> None:
        """Lay all trainable weights in one array and make every parameter a view into it."""
        self.dtype = np.dtype(dtype)
        self.precision = getattr(self, "precision", self.dtype.name)
        trainable = {name: p for name, p in self.parameters.items() if p.trainable}
        frozen = {name: p for name, p in self.parameters.items() if not p.trainable}
        values = np.empty(sum(p.size for p in self.parameters.values()), self.dtype)
        self._all_gradients = np.zeros_like(values)
        self.slices: dict[str, slice] = {}
        start = 0
        for name, parameter in {**trainable, **frozen}.items():
            where = slice(start, start + parameter.size)
            values[where] = np.ravel(parameter.value)
            parameter.value = values[where].reshape(parameter.shape)
            parameter.gradient = self._all_gradients[where].reshape(parameter.shape)
            if parameter.trainable:
                self.slices[name] = where
            start = where.stop
        self.tensors = [
            Tensor(name, where, self.parameters[name].shape) for name, where in self.slices.items()
        ]
        size = sum(parameter.size for parameter in trainable.values())
        self.values, self.gradients = values[:size], self._all_gradients[:size]
        self.constrained = [p for p in trainable.values() if p.constraint is not None]
        self.regularized = [p for p in trainable.values() if p.regularizer is not None]
        self.stateful = [
            (index, layer)
            for index, layer, _ in self._calls
            if layer.trainable and any(parameter.is_state for parameter in layer.parameters)
        ]

    def copy(self, dtype: str | None = None) -> Network:
        """Return an independent network with the same weights, in another dtype if asked."""
        twin = copy.deepcopy(self)
        twin._lay_out(dtype or self.dtype.name)
        twin.slots = {name: slot.astype(twin.dtype) for name, slot in self.slots.items()}
        return twin

    # ------------------------------------------------------------------ weights

    def get_weights(self) -> list[Array]:
        """Return copies of all weights in Keras's order."""
        return [parameter.value.copy() for parameter in self.parameters.values()]

    def set_weights(self, weights: Sequence[Array] | Mapping[str, Array]) -> None:
        """Set all weights: a list in Keras's order, or a mapping by name."""
        if not isinstance(weights, Mapping):
            if len(weights) != len(self.parameters):
                raise ValueError(
                    f"The network has {len(self.parameters)} weights "
                    f"({', '.join(self.parameters)}). Received: {len(weights)}."
                )
            weights = dict(zip(self.parameters, weights, strict=True))
        for name, value in weights.items():
            if name not in self.parameters:
                raise ValueError(
                    f"There is no weight {name!r}. The weights: {', '.join(self.parameters)}."
                )
            parameter = self.parameters[name]
            if np.shape(value) != parameter.shape:
                raise ValueError(
                    f"The weight {name!r} has the shape {parameter.shape}. "
                    f"Received: {np.shape(value)}."
                )
        for name, value in weights.items():
            self.parameters[name].value[...] = value
        if self.optimizer is not None and not self.iterations:  # its memory may start from them
            self.slots = self.optimizer.new_slots(self.values, self.tensors)

    # ------------------------------------------------------------------ forward and backward

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
            given, run.saved[index] = layer.forward(taken, training=training, **options)
            for place, value in self.nodes[index].spread(index, given):
                run.values[place] = replaced.get(place, value) if replaced else value
        return run

    def handed(self, index: int | None, numbers: Any) -> Any:
        """Return what a node (None: a loss) is handed, as it takes it: here, as it is.

        Who follows rounding errors has layers that compute in several precisions.
        """
        return numbers

    def mask_options(self, run: Pass, index: int, taken: Any) -> dict[str, Any]:
        """Carry the masks on by one node; return what its layer has to be told of them."""
        layer, sources = self.nodes[index].layer, self.nodes[index].inputs
        arriving = [run.masks[source] for source in sources]
        mask: Any = arriving[0] if len(arriving) == 1 else arriving
        made = layer.compute_mask(taken, mask)
        if made is not None:
            for place, one in self.nodes[index].spread(index, made):
                run.masks[place] = one
        known = any(one is not None for one in arriving)
        return {"mask": mask} if known and layer.takes_mask else {}

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
                part = self.handed(source, part)
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
        return 1.0 if self.optimizer is None else self.optimizer.loss_scale(self.slots)

    def regularization_loss(self) -> Array:
        """Return what the weights themselves cost, all together."""
        total: Array = 0.0
        for parameter in self.regularized:
            assert parameter.regularizer is not None
            total = total + parameter.regularizer.forward(_regularized(parameter))
        return total

    # ------------------------------------------------------------------ training

    def compile(
        self,
        loss: Any,
        optimizer: Any = "SGD",
        *,
        loss_weights: Sequence[float | None] | None = None,
    ) -> None:
        """Attach a loss to each output, and an optimizer.

        Parameters
        ----------
        loss : str, Loss, Keras configuration, or a list of these with one entry per output
        optimizer : str, Optimizer or Keras configuration
        loss_weights : sequence of float, optional
        """
        self.heads = attached(loss, loss_weights, self.nodes, self.outputs, self.precision)
        if isinstance(optimizer, (str, Mapping)):
            optimizer = from_keras("optimizer", optimizer)
        if isinstance(optimizer, LossScaleOptimizer):
            optimizer = optimizer.inner_optimizer
        self.optimizer = optimizer
        self.slots = self.optimizer.new_slots(self.values, self.tensors)
        self.iterations = 0

    def loss(
        self,
        run: Pass,
        y: Array | Sequence[Array],
        sample_weight: Array | Sequence[Array] | None = None,
    ) -> tuple[Array, dict[int, Array]]:
        """Return the total loss and its gradient at each node that a loss reads.

        Where losses aren't reduced, the total is as long as they are, and the gradient its sum's.

        The gradients are those of the scaled loss, where the optimizer has a loss scale.
        """
        if not self.heads:
            raise RuntimeError("The network has no loss yet: call compile(loss, optimizer) first.")
        total: Array | None = None
        upstream: dict[int, Array] = {}
        targets, weights = of_each(self.heads, y), of_each(self.heads, sample_weight)
        for head, target, weight in zip(self.heads, targets, weights, strict=True):
            read = self.handed(None, run.values[head.reads])
            value, saved = head.loss.forward(
                as_target(target, read),
                read,
                logits=head.from_logits,
                sample_weight=weight,
                mask=run.masks[head.output],
            )
            gradient, factor = head.loss.backward(saved), head.weight * self.loss_scale
            value = value if head.weight == 1.0 else value * head.weight
            total = value if total is None else total + value
            gradient = gradient if factor == 1.0 else gradient * factor
            gradient = self.handed(head.reads, gradient)
            so_far = upstream.get(head.reads)
            upstream[head.reads] = gradient if so_far is None else so_far + gradient
        for index, cost, gradient in self.activity_penalties(run.values):
            total = total + cost
            so_far = upstream.get(index)
            upstream[index] = gradient if so_far is None else so_far + gradient
        if self.regularized:
            total = total + self.regularization_loss()
        return total, upstream

    def activity_penalties(self, values: Sequence[Array]) -> Iterator[tuple[int, Array, Array]]:
        """Give, for each node whose output costs something, its position, the cost and gradient.

        The cost is a mean over the batch, and of masks it takes no notice. The gradient is that of
        the scaled loss.
        """
        for index, node in enumerate(self.nodes):
            if node.penalty is not None:
                y = values[index]
                gradient = node.penalty.backward(y) * (self.loss_scale / len(y))
                yield index, self.handed(None, node.penalty.forward(y) / float(len(y))), gradient

    def train_step(
        self, x: Array | Sequence[Array], y: Array | Sequence[Array], sample_weight: Any = None
    ) -> float:
        """Learn from one batch; return its loss, as it was before the update."""
        loss = self.differentiate(x, y, sample_weight)
        self.update()
        return one_number(loss)

    def differentiate(
        self, x: Array | Sequence[Array], y: Array | Sequence[Array], sample_weight: Any = None
    ) -> Array:
        """Run forward in training and back again: fill the gradients, return the loss."""
        run = self.forward(x, training=True)
        loss, upstream = self.loss(run, y, sample_weight)
        self.clear_gradients()
        self.backward(run, upstream)
        self.update_state(run)
        return loss

    def clear_gradients(self) -> None:
        """Set every gradient to zero, so that the next `backward` starts afresh."""
        self._all_gradients.fill(0.0)
        for parameter in self.parameters.values():
            parameter.rows.clear()

    def update_state(self, run: Pass) -> None:
        """Change what layers remember of a forward pass in training: moving averages."""
        for index, layer in self.stateful:
            layer.update_state(run.saved[index])

    def update(self) -> None:
        """Move all weights along the gradients, then project the constrained ones."""
        assert self.optimizer is not None, "compile the network first"
        step = self.optimizer.step(self.iterations)
        tables = {
            one.name: (one, rows)
            for one in self.tensors
            if (rows := self.parameters[one.name].gathered()) is not None
        }
        g = Scattered(self.gradients, tables) if tables else self.gradients
        if self.optimizer.skips(g, self.slots):
            return
        self.optimizer.apply(self.values, g, self.slots, self.tensors, step)
        self.iterations += 1
        for parameter in self.constrained:
            assert parameter.constraint is not None
            parameter.constraint.apply(parameter.value)

    def fit(
        self,
        x: Array | Sequence[Array],
        y: Array | Sequence[Array],
        *,
        batch_size: int = 32,
        epochs: int = 1,
        shuffle: bool = True,
        seed: int | None = None,
        on_epoch: Callable[[int, float], None] | None = None,
    ) -> list[float]:
        """Train on arrays; return each epoch's mean loss over its samples.

        Like Keras, the mean is taken while the weights move: it is not the loss after the epoch.
        """
        generator = np.random.default_rng(seed)
        xs, ys = (
            [
                np.asarray(part, self.dtype)
                for part in (data if isinstance(data, (list, tuple)) else [data])
            ]
            for data in (x, y)
        )
        samples = len(xs[0])
        history = []
        rehearsed = Rehearsed(self)
        for epoch in range(epochs):
            order = generator.permutation(samples) if shuffle else np.arange(samples)
            total = 0.0
            for rows in batches(order, batch_size):
                total += one_number(rehearsed.differentiate(xs, ys, rows)) * len(rows)
                self.update()
            history.append(total / samples)
            if on_epoch is not None:
                on_epoch(epoch, history[-1])
        if self.optimizer is not None:
            self.optimizer.finish(self.values, self.slots, self.tensors)
        return history

    def predict(self, x: Array | Sequence[Array]) -> Array:
        """Return the output for a batch (a list where the network has several)."""
        run = self.forward(x)
        outputs = [run.values[output] for output in self.outputs]
        return outputs[0] if len(outputs) == 1 else outputs

    def evaluate(self, x: Array | Sequence[Array], y: Array | Sequence[Array]) -> float:
        """Return the loss on data, taken as one batch, without learning from it."""
        return one_number(self.loss(self.forward(x), y)[0])


def one_number(loss: Array) -> float:
    """Return what is reported of a loss: the mean of its values, where they aren't reduced."""
    return float(loss.mean() if np.ndim(loss) else loss)


def _regularized(parameter: Parameter) -> Array:
    return parameter.value if parameter.used is None else parameter.used


def batches(order: Array, batch_size: int) -> Iterator[Array]:
    """Cut row numbers into batches; the last may be smaller."""
    for start in range(0, len(order), batch_size):
        yield order[start : start + batch_size]
