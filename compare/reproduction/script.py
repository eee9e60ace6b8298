"""Writes a finding as a script of Keras and NumPy alone, and runs it."""

from __future__ import annotations

import io
from collections.abc import Sequence
from contextlib import redirect_stdout
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from compare.errors import BadInput, in_a_sentence
from compare.findings.collecting import GRADIENTS
from compare.findings.referee import BY_HAND, KERAS
from compare.reproduction.building import built, model_lines
from compare.reproduction.text import Writer, check_all_of_keras, number, numbers
from compare.reproduction.trial import Trial
from compare.reproduction.words import blame, comment, hand_number, keras_number, reasons
from compare.rounding.judge import BOUND
from keras_models import naming
from keras_models.precision import precision

OF_UPDATES = ("processed gradient", "optimizer slot", "weight", "state", "metric")
"""The phases in which it matters what the optimizer remembers."""

PROBE = """probe = keras.layers.Lambda(lambda x: x + probe.zeros, name="probe")
probe.zeros = keras.Variable(np.zeros({shape}))  # gets the gradient of what passes"""
SLOPE = """
def loss(h):
{move}{seeds}
    return np.sum(model.compute_loss(x, y, model(x, training=True){weighted}))


slope = (loss(1e-5) - loss(-1e-5)) / 2e-5"""
MOVE_ONE = "    model.weights[{place}].assign(weights[{place}] + h)"
MOVE = """    moved = weights[{place}].copy()
    moved[{index}] += h
    model.weights[{place}].assign(moved)"""
RESEEDED = """
    for one in model.variables:
        if one.name == "seed_generator_state":
            one.assign([0, 0])"""


class Script:
    """What shows a finding.

    Parameters
    ----------
    trial : Trial

    Attributes
    ----------
    text : str
    """

    def __init__(self, trial: Trial) -> None:
        self.draft, self.finding = trial.draft, trial.finding
        node = trial.nodes.get(self.finding.name)
        self.node = None if node is None else node.tensor
        self.shape = () if node is None else node.shape
        name = self.finding.name  # that of an operation is Keras's count of all it has made
        name = name if name.partition("/")[0] in self.draft.parts else self.node or name
        phase, several = self.finding.phase, self.finding.verdict.size > 1
        element = f" {list(self.finding.worst_element)}" if several else ""
        self.title = "the loss" if phase == "loss" else f"{phase} of {name}{element}"
        self.by_gradient = self.finding.phase in GRADIENTS
        with precision(self.draft.floatx):
            self._model = self._built()
            self.text = "\n".join(self._lines())

    def check(self) -> None:
        """Run the script: it must give the number that the lock-step has found."""
        space: dict[str, Any] = {}
        with precision(self.draft.floatx), redirect_stdout(io.StringIO()):
            try:
                exec(self.text, space)
            except Exception as error:
                raise BadInput(f"No short script shows this: {in_a_sentence(error)}") from error
        seen, found = float(space["value"]), keras_number(self.finding)
        # both are Keras's, of the same numbers: each lies within the bound of what it should be
        near = abs(seen - found) <= 2 * BOUND * self.finding.verdict.noise
        if not (near or seen == found or (np.isnan(seen) and np.isnan(found))):
            raise BadInput(
                f"No short script shows this finding: alone, Keras gives {seen:.10g} and not "
                f"{found:.10g}."
            )

    # ------------------------------------------------------------------ the model

    @property
    def _behind(self) -> dict[str, str]:
        """What stands behind which tensor: a probe, where its gradient is asked for."""
        if self.finding.phase != "activation gradient":
            return {}
        if self.node is None:
            raise self._refusal()
        return {self.node: "probe"}

    @property
    def _probe(self) -> str:
        """What makes the probe: as many zeros as the node gives numbers."""
        return PROBE.format(shape=self.shape) if self._behind else ""

    def _built(self) -> keras.Model:
        """Build the model as the script has it, in the state that it begins with."""
        model = built(self.draft).model
        if not self._behind:
            return model
        writer = Writer(self.draft.floatx, self.draft.functions)
        lines = model_lines(self.draft, writer, self._behind.get)
        space: dict[str, Any] = {"keras": keras, "np": np, **writer.own}
        exec("\n".join([self._probe, *lines]), space)
        weights = naming.weights(model)
        for name, variable in naming.weights(space["model"]).items():
            if name in weights:
                variable.assign(weights[name])
        return space["model"]

    def _lines(self) -> list[str]:
        writer, draft = Writer(self.draft.floatx, self.draft.functions), self.draft
        model = model_lines(draft, writer, self._behind.get)
        check_all_of_keras(writer)
        lines = [*self._head(), "import keras", "import numpy as np", ""]
        if draft.floatx != "float32":
            lines.append(f'keras.config.set_floatx("{draft.floatx}")')
        if self._behind:
            lines += self._probe.split("\n")
        for name in ("x", "y", "sample_weight"):
            arrays = [f"np.array({numbers(one)})" for one in getattr(draft, name)]
            if arrays:
                made = arrays[0] if len(arrays) == 1 else f"[{', '.join(arrays)}]"
                lines.append(f"{name} = {made}")
        return [*lines, *model, *self._state(), *self._reading(), *self._evidence(), *self._end()]

    def _state(self) -> list[str]:
        """Write the lines that set weights, and what the optimizer remembers."""
        probe = naming.weights(self._model)[self._moved] if self._behind else None
        values = [
            f"np.zeros({self.shape})" if one is probe else f"np.array({numbers(one.numpy())})"
            for one in self._model.weights
        ]
        lines = [f"weights = [{', '.join(values)}]", "model.set_weights(weights)"]
        if self.draft.iterations and self.finding.phase in OF_UPDATES:
            state = ", ".join(numbers(one.numpy()) for one in self._model.optimizer.variables)
            lines += [
                "model.optimizer.build(model.trainable_variables)",
                f"for one, number in zip(model.optimizer.variables, [{state}]):",
                "    one.assign(number)",
            ]
        return lines

    # ------------------------------------------------------------------ the two numbers

    def _reading(self) -> list[str]:
        """Write the lines that let Keras compute the number."""
        phase, name, draft = self.finding.phase, self.finding.name, self.draft
        weighted = ", sample_weight" if draft.sample_weight else ""
        at = _index(self.finding.worst_element)
        step = f"model.train_on_batch(x, y{weighted})"
        if draft.steps > 1 or phase == "metric":
            many = f"batch_size={draft.batch_size}, shuffle=False, verbose=0"
            many += f", epochs={draft.epochs}" if draft.epochs > 1 else ""
            weighted = ", sample_weight=sample_weight" if weighted else ""
            step = f"model.fit(x, y{weighted}, {many})"
        if phase == "metric":
            return [f'value = {step}.history["{name}"][-1]']
        if phase == "loss":
            value = f"model.compute_loss(x, y, model(x, training=True){weighted})"
            return [f"value = keras.ops.convert_to_numpy({value})[{at}]"]
        if phase == "activation" and self.node is not None:
            tensor = f'model.get_layer("{self.node}").output' if draft.is_chain else self.node
            x = "x" if len(draft.x) > 1 else "[x]"
            taken = f"keras.Model(model.inputs, {tensor})({x}, training=True)"
            return [f"given = {taken}", f"value = keras.ops.convert_to_numpy(given)[{at}]"]
        if self.by_gradient or phase == "processed gradient":
            place = self._place_of_gradient()
            value = f"value = keras.ops.convert_to_numpy(seen[{place}])[{at}]"
            return [*self._keeping(step), value]
        if phase == "optimizer slot" and name == "learning_rate":
            return ["value = float(model.optimizer.learning_rate)"]
        if self.finding.step == 0:
            step = "model.optimizer.build(model.trainable_variables)"
        value = f"value = keras.ops.convert_to_numpy({self._variable()})[{at}]"
        return [step, value]

    def _keeping(self, step: str) -> list[str]:
        """Write the lines that take a step and keep its gradients."""
        if not self.draft.run_eagerly:
            raise BadInput(
                "The finding shows only inside a graph, out of which Keras alone hands no gradient."
            )
        if self.finding.phase == "processed gradient":
            keep = "update_step = lambda gradient, variable, rate: seen.append(gradient)"
        elif self.draft.steps == 1:
            keep = "apply = lambda gradients, variables: seen.extend(gradients)"
        else:
            return [
                "seen, apply = [], model.optimizer.apply",
                "def keep(gradients, variables):",
                "    seen[:] = gradients",
                "    apply(gradients, variables)",
                "model.optimizer.apply = keep",
                step,
            ]
        return ["seen = []", f"model.optimizer.{keep}", step]

    def _place_of_gradient(self) -> int:
        return naming.trainable_names(self._model).index(self._moved)

    @property
    def _moved(self) -> str:
        """The weight whose gradient is asked for: of a node, that of the probe behind it."""
        names = naming.weights(self._model)
        of_probe = (one for one in names if one.startswith("probe/"))
        return next(of_probe, self.finding.name)

    def _variable(self) -> str:
        """Write where a weight, a state or a slot is found after the step."""
        name, model = self.finding.name, self._model
        if self.finding.phase == "state" and name == "iterations":
            return "model.optimizer.iterations"
        if self.finding.phase == "optimizer slot":
            weight, _, slot = name.rpartition("/")
            variable = naming.slots(model).get(slot, {}).get(weight)
            place = _place(model.optimizer.variables, variable)
            where = "model.optimizer.variables"
        else:
            place = _place(model.weights, naming.weights(model).get(name))
            where = "model.weights"
        if place is None:
            raise self._refusal()
        return f"{where}[{place}]"

    def _evidence(self) -> list[str]:
        """Write the lines that ask the loss itself about a gradient."""
        if not self._has_evidence:
            return []
        variable = naming.weights(self._model)[self._moved]
        place, index = _place(self._model.weights, variable), self.finding.worst_element
        move = MOVE_ONE if np.size(variable) == 1 else MOVE
        slope = SLOPE.format(
            move=move.format(place=place, index=_index(index)),
            seeds=RESEEDED if naming.seeds(self._model) else "",
            weighted=", sample_weight" if self.draft.sample_weight else "",
        )
        return ["", *slope.split("\n")]

    @property
    def _has_evidence(self) -> bool:
        ruling = self.finding.diagnosis.ruling if self.finding.diagnosis else None
        decided = ruling is not None and ruling.supports in (KERAS, BY_HAND)
        return self.by_gradient and decided and self.draft.floatx == "float64"

    # ------------------------------------------------------------------ the words

    def _head(self) -> list[str]:
        """Say in comments what is shown, and with what."""
        finding = self.finding
        told = [
            f"{self.title}: {blame(finding)}",
            *reasons(finding),
            f"formula: {finding.derivation.formula}",
            f"Keras {keras.__version__}, TensorFlow {tf.__version__}, NumPy {np.__version__}",
        ]
        return [line for one in told for line in comment(one)]

    def _end(self) -> list[str]:
        finding = self.finding
        lines = [
            f"by_hand = {number(hand_number(finding))}",
            f'print("{self.title}")',
            'print(f"Keras               {value:.10g}\\nby hand             {by_hand:.10g}")',
        ]
        if self._has_evidence:
            near = 'side = "Keras" if abs(slope - value) < abs(slope - by_hand) else "by hand"'
            lines += [near, 'print(f"central difference  {slope:.10g}, which supports: {side}")']
        return lines

    def _refusal(self) -> BadInput:
        return BadInput(
            f"No short script shows this: {self.finding.phase} of {self.finding.name!r} is nothing "
            "that Keras hands out."
        )


def _index(index: Sequence[int]) -> str:
    return ", ".join(map(str, index)) or "()"


def _place(variables: Sequence[Any], variable: Any) -> int | None:
    return next((place for place, one in enumerate(variables) if one is variable), None)
