"""What surrounds each number of a training step: the inputs of the map that makes it.

They go by the letters of the literature: a layer takes ``x``, has the weights ``W`` and ``b`` (and
all of them under their own names), and gives ``y``; where its activation follows, what it gives is
``z`` and the activation ``a``. A gradient is that letter with a ``d``. Everything is gathered only
where something disagrees.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from compare.causes import Facts
from compare.causes.optimizers import State
from compare.noise import Noisy
from compare.reference import Reference
from keras_models.recorder import StepRecord
from manual.graph import Node
from manual.heads import Head, as_target
from manual.layers import Activation, Dense, Embedding
from manual.network import Network
from manual.optimizers import Muon

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
            and node.layer.name == network.nodes[node.inputs[0]].layer.name
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

    def drawn(self, name: str) -> list[Any]:
        """Return the random numbers that a node drew."""
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
            "drawn": self.drawn(node.name),
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
        p = self.value(head.reads)
        return {
            "p": p,
            "y": as_target(np.asarray(target), p),
            "outputs": p.shape[-1],
            "sample_weight": self.sample_weight,
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
            if node.layer.name == name.split("/")[0] and not isinstance(node.layer, Activation)
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


class Places(Surroundings):
    """The surroundings of every number of one step, all of them Keras's own.

    Parameters
    ----------
    reference : Reference
    record : StepRecord
    tape : Trace
    batch_size : int
        Of a full batch.
    previous : StepRecord, optional
        The step before.
    loss_weights : sequence of float, optional
        As Keras was told.
    """

    def __init__(
        self,
        reference: Reference,
        record: StepRecord,
        tape: Trace,
        batch_size: int,
        previous: StepRecord | None,
        loss_weights: Sequence[float] | None = None,
    ) -> None:
        inputs = record.x if isinstance(record.x, (list, tuple)) else [record.x]
        samples = len(inputs[0])
        facts = Facts(samples, max(batch_size, samples), record.learning_rate)
        super().__init__(reference.network, facts, record.sample_weight)
        self.reference, self.record, self.tape = reference, record, tape
        self.previous, self.loss_weights = previous, loss_weights
        self.masks: list[Any] = [None] * len(self.network.nodes)
        self._fed = dict(zip(self.network.inputs, inputs, strict=True))

    def value(self, index: int) -> Any:
        node = self.network.nodes[index]
        return self.reference.exact(
            self._fed[index] if node.is_input else self.tape["activation"][node.name]
        )

    def output(self, index: int) -> Noisy:
        """Return an activation as a map's own result: it carries the noise of its last operation.

        The hand derivation may have computed it anew, in more digits than Keras has.
        """
        node = self.network.nodes[index]
        inputs = [self.value(source) for source in node.inputs]
        node.layer.draws.replay(self.drawn(node.name))
        by_hand, _ = self.reference.forward(node, inputs, self.mask_options(index))
        return Noisy(self.value(index).value, by_hand.noise, unit=self.reference.unit)

    def gradient(self, index: int) -> Any:
        found = self.tape["activation gradient"].get(self.network.nodes[index].name)
        return None if found is None else self.reference.exact(found)

    def mask(self, index: int) -> Any:
        return self.masks[index]

    def arriving_mask(self, index: int) -> Any:
        """Return Keras's own: one that is lost by hand shall be told from the right one."""
        found = self.tape.get("mask", {}).get(self.network.nodes[index].name)
        return super().arriving_mask(index) if found is None else found > 0.0

    def mask_in_keras(self, index: int) -> Any:
        """Return the mask that Keras calls a node with.

        Those of several inputs it doesn't tell: then it is what the hand-written half has.
        """
        node = self.network.nodes[index]
        if len(node.inputs) > 1:
            return self.mask_options(index).get("mask")
        found = self.tape.get("mask", {}).get(node.name)
        return None if found is None else found > 0.0

    def loss_mask(self, head: Head) -> Any:
        """Return Keras's own, as `arriving_mask` does."""
        found = self.tape.get("mask", {}).get(f"loss/{self.network.heads.index(head)}")
        return None if found is None else found > 0.0

    def mask_options(self, index: int) -> dict[str, Any]:
        """Return what a node's layer has to be told of the masks that arrive at it."""
        node = self.network.nodes[index]
        masks = [self.masks[source] for source in node.inputs]
        if not node.layer.takes_mask or all(mask is None for mask in masks):
            return {}
        return {"mask": masks[0] if len(masks) == 1 else masks}

    @property
    def drawn_in_step(self) -> dict[str, np.ndarray]:
        """All random numbers of the step."""
        return self.tape.get("draw", {})

    def drawn(self, name: str) -> list[Any]:
        start = name.split("/")[0] + "/"
        return [
            self.reference.exact(array)
            for key, array in self.drawn_in_step.items()
            if key.startswith(start)
        ]

    def weights(self) -> Mapping[str, Any]:
        return _Exact(self.reference, self.record.before)

    def new_weights(self) -> Mapping[str, Any]:
        return _Exact(self.reference, self.record.after)

    def weight_gradients(self) -> Mapping[str, Any]:
        return _Exact(self.reference, self.tape["weight gradient"])

    # ------------------------------------------------------------------ what only a lock-step knows

    def of_loss_gradient(self, head: Head, target: Any) -> Inputs:
        inputs = super().of_loss_gradient(head, target)
        if self.loss_weights is not None:
            inputs["loss_weight"] = self.loss_weights[self.network.heads.index(head)]
        return inputs

    def of_loss(self) -> Inputs:
        """Gather what the loss is made of, also the weights that cost something themselves.

        Everything of the first output is there by its own letter; what each output's loss is made
        of stands in ``heads``, beside the loss itself.
        """
        y = self.record.y
        targets = y if isinstance(y, (list, tuple)) else [y]
        heads = [
            {**self.of_loss_gradient(head, target), "loss": head.loss}
            for head, target in zip(self.network.heads, targets, strict=True)
        ]
        regularized = [
            (self.weights()[name], parameter.regularizer)
            for name, parameter in self.network.parameters.items()
            if parameter in self.network.regularized
        ]
        return {**heads[0], "heads": heads, "regularized": regularized}

    def of_weight_gradient(self, name: str) -> Inputs:
        inputs = super().of_weight_gradient(name)
        if self.previous is not None:
            inputs["previous_gradient"] = self.reference.exact(self.previous.gradients[name])
        if "calls" in inputs:
            inputs["call_shares"] = self._shares_of_calls(name)
        return inputs

    def _shares_of_calls(self, name: str) -> list[Any]:
        """Return what each call of a shared layer adds to the gradient of one of its weights."""
        parameter, shares = self.network.parameters[name], []
        for index, node in enumerate(self.network.nodes):
            dy = self.gradient(index)
            if parameter not in node.layer.parameters or dy is None:
                continue
            for one in node.layer.parameters:
                one.gradient = self.reference.exact(np.zeros(one.shape))
            node.layer.draws.replay(self.drawn(node.name))
            inputs = [self.value(source) for source in node.inputs]
            _, saved = self.reference.forward(node, inputs, self.mask_options(index))
            self.reference.backward(node, dy, saved)
            shares.append(parameter.gradient)
        return shares

    def of_schedule(self) -> Inputs:
        """Gather what a learning rate depends on: the number of steps so far."""
        optimizer = self.network.optimizer
        assert optimizer is not None
        return {
            "iterations": self.record.iterations,
            "epoch": self.record.epoch,
            "accumulation": optimizer.gradient_accumulation_steps,
        }

    def of_update(
        self,
        gradients: Mapping[str, Any],
        processed: Mapping[str, np.ndarray],
        name: str,
        quantity: str,
    ) -> Inputs:
        """Gather what a processed gradient, a slot or a weight (``quantity``) is made of.

        What exists once for all weights, under no weight's name, is described by the first.
        """
        exact, record, optimizer = self.reference.exact, self.record, self.network.optimizer
        assert optimizer is not None
        weight = name if name in gradients else next(iter(gradients))
        slots = {
            slot: exact(named[weight] if weight in named else next(iter(named.values())))
            for slot, named in record.slots_before.items()
            if weight in named or slot in optimizer.shared
        }
        g = gradients[weight]
        state = State(
            exact(record.before[weight]),
            g if isinstance(g, Noisy) else exact(g),
            slots,
            self._update(),
            record.learning_rate,
            self._settings(weight),
            processed=exact(processed[weight]) if processed else None,
            name=weight,
            gradients=_Exact(self.reference, gradients),
            accumulators=_Exact(
                self.reference, record.slots_before.get("gradient_accumulator", {})
            ),
            iterations=record.iterations,
            decays=weight not in optimizer.excluded_from_weight_decay,
            constraint=self.network.parameters[weight].constraint,
            starts=optimizer.starts,
            squares=self._squares_of_occurrences(weight),
        )
        previous = self.previous
        inputs: Inputs = {
            "state": state,
            "quantity": quantity,
            "constraints": [one.constraint for one in self.network.constrained],
            "regularizer": self.network.parameters[weight].regularizer,
        }
        if previous is not None and weight in previous.gradients:
            inputs["previous_gradient"] = exact(previous.gradients[weight])
            inputs["previous_rate"] = previous.learning_rate
        return inputs

    def of_frozen(self, name: str) -> Inputs:
        """Gather what would move a weight that isn't trained: it has a gradient, but no memory."""
        optimizer, weight = self.network.optimizer, self.network.parameters[name]
        assert optimizer is not None
        nothing = self.reference.exact(np.zeros(weight.shape))
        state = State(
            self.weights()[name],
            self.reference.exact(weight.gradient.value),
            {slot: nothing + optimizer.starts.get(slot, 0.0) for slot in optimizer.rule_slots},
            self._update(),
            self.record.learning_rate,
            numbers_of(optimizer),
            name=name,
        )
        return {"frozen": state}

    def _squares_of_occurrences(self, weight: str) -> Any:
        """Add up, for each row of an embedding, the squared gradients of its occurrences."""
        layer_name = weight.split("/")[0]
        calls = [i for i, node in enumerate(self.network.nodes) if node.layer.name == layer_name]
        if len(calls) != 1 or not isinstance(self.network.nodes[calls[0]].layer, Embedding):
            return None
        (index,) = calls
        dz = self.gradient(index)
        if dz is None:
            return None
        rows = self.value(self.network.nodes[index].inputs[0]).astype(np.intp).reshape(-1)
        squares = self.reference.exact(np.zeros(self.network.parameters[weight].shape))
        np.add.at(squares, rows, (dz * dz).reshape(len(rows), -1))
        return squares

    def _update(self) -> float:
        """Return the number of this update, counted from 1."""
        steps = getattr(self.network.optimizer, "gradient_accumulation_steps", None) or 1
        return float(self.record.iterations // steps + 1)

    def _settings(self, weight: str) -> dict[str, Any]:
        """Return the optimizer's numbers by their names, as they are for a weight."""
        optimizer = self.network.optimizer
        settings = numbers_of(optimizer)
        if isinstance(optimizer, Muon):
            rates = optimizer.adam_weight_decay, optimizer.weight_decay
            tensor = next(one for one in self.network.tensors if one.name == weight)
            if optimizer.goes_by_adam(tensor):
                adam = numbers_of(optimizer.adam)
                settings |= {name: adam[name] for name in ("beta_1", "beta_2", "epsilon")}
            else:
                rates = rates[::-1]
            settings |= {"weight_decay": rates[0], "other_weight_decay": rates[1]}
        return settings


def numbers_of(optimizer: Any) -> dict[str, Any]:
    """Return the settings that are numbers, or left out."""
    return {
        key: value
        for key, value in vars(optimizer).items()
        if value is None or isinstance(value, (int, float, bool))
    }


class _Exact(Mapping[str, Any]):
    """Arrays by name, each taken as an exact input when it is asked for."""

    def __init__(self, reference: Reference, arrays: Mapping[str, Any]) -> None:
        self.reference, self.arrays = reference, arrays

    def __getitem__(self, name: str) -> Noisy:
        array = self.arrays[name]
        return array if isinstance(array, Noisy) else self.reference.exact(array)

    def __iter__(self) -> Any:
        return iter(self.arrays)

    def __len__(self) -> int:
        return len(self.arrays)
