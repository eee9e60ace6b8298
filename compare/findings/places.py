"""What surrounds each number of a lock-step, taken from what Keras computed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from compare.causes import Facts
from compare.causes.optimizers import State
from compare.findings.surroundings import Inputs, Surroundings
from compare.rounding.noise import Noisy
from compare.rounding.reference import Reference
from keras_models.step_record import StepRecord
from manual.heads import Head, of_each
from manual.optimizers import Muon

Trace = dict[str, dict[str, np.ndarray]]


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
        facts = Facts(samples, max(batch_size, samples), record.rate)
        super().__init__(reference.network, facts, record.sample_weight)
        self.reference, self.record, self.tape = reference, record, tape
        self.previous, self.loss_weights = previous, loss_weights
        self.masks: list[Any] = [None] * len(self.network.nodes)
        fed = [one.astype(float) if one.dtype.kind in "iub" else one for one in inputs]
        self._fed = dict(zip(self.network.inputs, fed, strict=True))

    def value(self, index: int) -> Any:
        node = self.network.nodes[index]
        array = self._fed[index] if node.is_input else self.tape["activation"][node.name]
        return self.reference.exact(array, self.reference.units[index])

    def output(self, index: int) -> Noisy:
        """Return an activation as a map's own result: it carries the noise of its last operation.

        The hand derivation may have computed it anew, in more digits than Keras has.
        """
        node = self.network.nodes[index]
        inputs = [self.value(source) for source in node.inputs]
        node.layer.draws.replay(self.drawn(node.call))
        given, _ = self.reference.forward(node, inputs, self.mask_options(index))
        by_hand = dict(node.spread(index, given))[index]
        return Noisy(self.value(index).value, by_hand.noise, unit=by_hand.unit)

    def gradient(self, index: int) -> Any:
        found = self.tape["activation gradient"].get(self.network.nodes[index].name)
        return None if found is None else self.reference.exact(found, self.reference.units[index])

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
        return self.network.nodes[index].told_masks(self.masks, self.value)[0]

    @property
    def drawn_in_step(self) -> dict[str, np.ndarray]:
        """All random numbers of the step."""
        return self.tape.get("draw", {})

    def drawn(self, call: str) -> list[Any]:
        node = next(one for one in self.network.nodes if one.call == call)
        unit = self.reference.unit_of(node.layer)
        return [
            self.reference.exact(array, unit)
            for key, array in self.drawn_in_step.items()
            if key.rpartition("/")[0] == call
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
        targets = of_each(self.network.heads, y)
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
        arrived = [self.gradient(index) for index in range(len(self.network.nodes))]
        for index, node in enumerate(self.network.nodes):
            if parameter not in node.layer.parameters or not node.is_run:
                continue
            dy = node.gathered(index, arrived)
            if dy is None:
                continue
            for one in node.layer.parameters:
                one.gradient = self.reference.exact(np.zeros(one.shape))
            node.layer.draws.replay(self.drawn(node.call))
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
            record.rate,
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
            inputs["previous_rate"] = previous.rate
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
            self.record.rate,
            numbers_of(optimizer),
            name=name,
        )
        return {"frozen": state}

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
