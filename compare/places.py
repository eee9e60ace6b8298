"""What surrounds each number of a training step: the inputs of the map that makes it.

Everything here is Keras's own. It is gathered only where something disagrees.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from compare.causes import Facts
from compare.causes.optimizer import State
from compare.noise import Noisy
from compare.reference import Reference
from keras_models.callbacks import StepRecord
from manual.layers import Activation, Dense
from manual.network import Head, as_target

Trace = dict[str, dict[str, np.ndarray]]
Inputs = dict[str, Any]


class Places:
    """The surroundings of every number of one step.

    Parameters
    ----------
    reference : Reference
    record : StepRecord
    tape : Trace
    batch_size : int
        Of a full batch.
    previous : StepRecord, optional
        The step before.
    """

    def __init__(
        self,
        reference: Reference,
        record: StepRecord,
        tape: Trace,
        batch_size: int,
        previous: StepRecord | None,
    ) -> None:
        self.reference, self.record, self.tape = reference, record, tape
        self.network, self.previous = reference.network, previous
        inputs = record.x if isinstance(record.x, (list, tuple)) else [record.x]
        samples = len(inputs[0])
        self.facts = Facts(samples, max(batch_size, samples), record.learning_rate)
        self._fed = dict(zip(self.network.inputs, inputs, strict=True))
        self._after = {
            node.inputs[0]: index
            for index, node in enumerate(self.network.nodes)
            if isinstance(node.layer, Activation) and node.layer.name == self._owner(node.inputs[0])
        }

    def _owner(self, index: int) -> str:
        return self.network.nodes[index].layer.name

    def value(self, index: int) -> Any:
        """Return a node's output, as Keras has it."""
        node = self.network.nodes[index]
        return self.reference.exact(
            self._fed[index] if node.is_input else self.tape["activation"][node.name]
        )

    def output(self, index: int) -> Noisy:
        """Return an activation as a map's own result: it carries the noise of its last operation.

        The hand derivation may have computed it anew, in more digits than Keras has.
        """
        node = self.network.nodes[index]
        by_hand, _ = self.reference.forward(node, [self.value(source) for source in node.inputs])
        return Noisy(self.value(index).value, by_hand.noise, unit=self.reference.unit)

    def gradient(self, index: int | None) -> Any:
        """Return the gradient at a node's output, as Keras has it; None if it has none."""
        if index is None:
            return None
        found = self.tape["activation gradient"].get(self.network.nodes[index].name)
        return None if found is None else self.reference.exact(found)

    # ------------------------------------------------------------------ one for each kind of map

    def of_output(self, index: int) -> Inputs:
        """Gather what a node's output is made of."""
        node = self.network.nodes[index]
        if isinstance(node.layer, Activation):
            return {"z": self.value(node.inputs[0]), "a": self.output(index)}
        if isinstance(node.layer, Dense):
            return {"x": self.value(node.inputs[0]), **self._weights(node.layer)}
        return {}

    def of_loss(self) -> Inputs:
        head = self.network.heads[0]
        read = self.tape["activation"][self.network.nodes[head.reads].name]
        return {"outputs": read.shape[-1]}

    def of_loss_gradient(self, head: Head, target: Any) -> Inputs:
        """Gather what the gradient of a loss is made of."""
        p = self.value(head.reads)
        inputs: Inputs = {
            "p": p,
            "y": self.reference.exact(as_target(np.asarray(target), p)),
            "outputs": p.shape[-1],
        }
        if self.record.sample_weight is not None:
            inputs["sample_weight"] = np.asarray(self.record.sample_weight)
        return inputs

    def of_input_gradient(self, index: int) -> Inputs:
        """Gather what the gradient for a node's input is made of."""
        node = self.network.nodes[index]
        if isinstance(node.layer, Activation):
            return {**self.of_output(index), "da": self.gradient(index)}
        if isinstance(node.layer, Dense):
            return {
                **self._weights(node.layer),
                "W_new": self.reference.exact(self.record.after[f"{node.layer.name}/kernel"]),
                "dz": self.gradient(index),
                "da": self.gradient(self._after.get(index)),
            }
        return {"dy": self.gradient(index)}

    def of_weight_gradient(self, name: str) -> Inputs:
        """Gather what a weight's gradient is made of, where its layer is called once."""
        exact = self.reference.exact
        inputs: Inputs = {
            "other_gradients": {
                other: exact(gradient) for other, gradient in self.tape["weight gradient"].items()
            }
        }
        if self.previous is not None:
            inputs["previous_gradient"] = exact(self.previous.gradients[name])
        calls = [
            index
            for index, node in enumerate(self.network.nodes)
            if isinstance(node.layer, Dense) and node.layer.name == name.rsplit("/", 1)[0]
        ]
        if len(calls) != 1:
            return inputs
        (index,) = calls
        node = self.network.nodes[index]
        assert isinstance(node.layer, Dense)
        after, below = self._after.get(index), self.network.nodes[node.inputs[0]]
        inputs |= {
            "x": self.value(node.inputs[0]),
            "dz": self.gradient(index),
            "outputs": node.layer.units,
            **self._weights(node.layer),
        }
        if after is not None:
            inputs |= {
                "z": self.value(index),
                "a": self.value(after),
                "da": self.gradient(after),
            }
        if isinstance(below.layer, Activation):
            inputs["x_pre"] = self.value(below.inputs[0])
        return inputs

    def of_update(self, gradients: Mapping[str, np.ndarray], name: str, quantity: str) -> Inputs:
        """Gather what an optimizer's slot, or a weight (``quantity``), is made of."""
        exact, record = self.reference.exact, self.record
        slots = {
            slot: exact(named[name]) for slot, named in record.slots_before.items() if name in named
        }
        settings = {
            key: value
            for key, value in vars(self.network.optimizer).items()
            if isinstance(value, (int, float, bool))
        }
        state = State(
            exact(record.before[name]),
            exact(gradients[name]),
            slots,
            float(record.iterations + 1),
            record.learning_rate,
            settings,
        )
        return {"state": state, "quantity": quantity}

    def _weights(self, layer: Dense) -> Inputs:
        exact, before = self.reference.exact, self.record.before
        weights: Inputs = {"W": exact(before[f"{layer.name}/kernel"])}
        if layer.use_bias:
            weights["b"] = exact(before[f"{layer.name}/bias"])
        return weights
