"""A network: layers joined in a graph, its weights in one flat array, and how it is trained."""

from __future__ import annotations

import copy
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from manual.arrays import Array
from manual.backpropagation import Graph, Pass
from manual.configuration import Otherwise, symbols_from_config
from manual.heads import Head, as_target, attached, of_each
from manual.layers import Layer, Symbol
from manual.optimizers import LossScaleOptimizer, Optimizer, Scattered
from manual.registry import from_keras
from manual.replay import Rehearsed


class Network(Graph):
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
    slots : dict of str to array
        The optimizer's memory: flat arrays, most of them of the same length.

    And those of its graph and its weights: ``nodes``, ``parameters``, ``values``, ``gradients``.

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
        super().__init__(
            inputs, outputs, dtype=dtype, layers=layers, trainable=trainable, unused=unused
        )
        self.precision = self.dtype.name
        self.heads: list[Head] = []
        self.optimizer: Optimizer | None = None
        self.slots: dict[str, Array] = {}
        self.iterations = 0
        self.scale = 1.0

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

    def copy(self, dtype: str | None = None) -> Network:
        """Return an independent network with the same weights, in another dtype if asked."""
        once = {id(array): array for array in self._arrays()}  # laying them out copies them
        twin = copy.deepcopy(self, once)
        twin._lay_out(dtype or self.dtype.name)
        twin.slots = {name: slot.astype(twin.dtype) for name, slot in self.slots.items()}
        return twin

    def set_weights(self, weights: Sequence[Array] | Mapping[str, Array]) -> None:
        super().set_weights(weights)
        if self.optimizer is not None and not self.iterations:  # its memory may start from them
            self.slots = self.optimizer.new_slots(self.values, self.tensors)

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
            gradient = self.handed_back(head.reads, gradient)
            so_far = upstream.get(head.reads)
            upstream[head.reads] = gradient if so_far is None else so_far + gradient
        for cost in self.costs_within(run.saved):
            total = total + cost
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
            y = values[index]
            if node.is_cost:
                ones = np.zeros_like(y) + self.loss_scale
                yield index, self.handed(None, y.sum() if y.ndim else y), ones
            if node.penalty is not None:
                gradient = node.penalty.activity_gradient(y, self.loss_scale)
                yield index, self.handed(None, node.penalty.of_activity(y)), gradient

    def costs_within(self, saved: Sequence[Any]) -> Iterator[Array]:
        """Give what activities inside of maps cost; let the maps know what scales gradients."""
        for index, layer, _ in self._calls:
            if layer.has_costs_within:
                layer.loss_scale = self.loss_scale
                for cost in layer.costs_within(saved[index]):
                    yield self.handed(None, cost)

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

    @property
    def loss_scale(self) -> float:
        """What the loss is multiplied by before it is differentiated."""
        if self.optimizer is None:
            return self.scale
        return self.optimizer.loss_scale(self.slots)

    def update(self) -> None:
        """Move all weights along the gradients, then project the constrained ones.

        Keras projects at every step, also where gradients are only added up.
        """
        assert self.optimizer is not None, "compile the network first"
        step = self.optimizer.step(self.iterations)
        tables = {
            one.name: (one, rows)
            for one, weight in self.trained
            if weight.rows and (rows := weight.gathered()) is not None
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


def batches(order: Array, batch_size: int) -> Iterator[Array]:
    """Cut row numbers into batches; the last may be smaller."""
    for start in range(0, len(order), batch_size):
        yield order[start : start + batch_size]
