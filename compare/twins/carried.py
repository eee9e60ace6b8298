"""A layer without a twin, carried by Keras itself, so that all others can be verified around it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from typing import Any

import keras
import numpy as np

from compare.errors import BadInput
from compare.rounding.noise import Noisy
from compare.rounding.working_precision import UNIT_ROUNDOFF
from keras_models import naming
from keras_models.carrier import Answer, Carrier, Question
from keras_models.copies import CannotRun
from manual.layers import Layer
from manual.network import Network
from manual.randomness import Draws
from manual.recorded import NotRecordable, Recorded
from manual.registry import NoTwin

Config = Mapping[str, Any]
SAMPLES = 8
"""How often a map is run on numbers that are a little off, to see how their noise goes through."""


def carried_by_keras(model: keras.Model) -> Callable[[Config, str, NoTwin], Layer]:
    """Return what makes a `Carried` of each layer of a model that has no twin."""
    carrier = Carrier(model)

    def otherwise(entry: Config, path: str, missing: NoTwin) -> Layer:
        of_keras = (entry.get("module") or "").startswith("keras.src.ops")
        in_place = entry["class_name"] == "SpectralNormalization"  # it changes what is trained
        if not (of_keras or in_place or _costs(entry["config"])) and _is_uniform(carrier, path):
            return Carried(carrier, entry, path)
        raise missing

    return otherwise


def try_out(network: Network, xs: Sequence[np.ndarray]) -> list[Carried]:
    """Return the layers of a network that Keras carries, having run them once on a sample.

    Raises
    ------
    BadInput
        If Keras can't.
    """
    carried = [layer for layer in network.layers if isinstance(layer, Carried)]
    if carried:
        try:
            network.copy().forward([part[:1] for part in xs])
        except CannotRun as error:
            told = ", ".join(str(layer) for layer in carried)
            raise BadInput(f"{error}. Without a twin: {told}.") from None
    return carried


def _costs(config: Any) -> bool:
    """Say whether a layer, or one within it, has an ``activity_regularizer``: part of the loss."""
    if not isinstance(config, Mapping):
        return False
    return bool(config.get("activity_regularizer")) or any(map(_costs, config.values()))


def _is_uniform(carrier: Carrier, path: str) -> bool:
    """Say whether what a layer trains is all in one precision: that of adapters (LoRA) isn't."""
    trained = (one for one in carrier.layer(path).weights if one.trainable)
    return all(one.dtype == keras.config.floatx() for one in trained)


@dataclass
class _Saved:
    """What a forward pass leaves for the way back."""

    xs: list[Any]
    weights: list[Any]
    question: Callable[[Sequence[Any], Sequence[Any]], Question]
    drawn: _Drawn
    after: list[np.ndarray]


class Carried(Layer):
    """A layer that Keras carries: its output, and its vector–Jacobian product by GradientTape.

    Nothing of it is verified by itself. Its optimizer's updates are, and all maps around it.

    Where noise is followed, it is measured: a map is run in both precisions, and on inputs that are
    off by as much as their noise says.

    Parameters
    ----------
    carrier : Carrier
    entry : mapping
        The layer in the configuration of its model.
    path : str
    """

    derivation = {
        "forward": "y as Keras computes it: the layer has no twin",
        "input gradient": "dx by Keras's own GradientTape: the layer has no twin",
    }
    takes_mask = True

    def __init__(self, carrier: Carrier, entry: Config, path: str) -> None:
        super().__init__(name=path)
        self.carrier, self.path, self.layer = carrier, path, carrier.layer(path)
        kind = entry.get("registered_name") or entry["class_name"]
        operation = entry["config"].get("operation") if kind == "OneOperation" else None
        self.told = f"the {'operation' if operation else 'layer'} {path!r} ({operation or kind})"
        self.makes_mask = type(self.layer).compute_mask is not keras.layers.Layer.compute_mask
        args = [one for node in entry.get("inbound_nodes", [])[:1] for one in node["args"]]
        self.packed = len(args) == 1 and isinstance(args[0], (list, tuple))
        self.tensor_arguments = tuple(map(str, range(len(args)))) if len(args) > 1 else ()

    def __repr__(self) -> str:
        return f"{self.told}, which has no twin"

    def __deepcopy__(self, memo: Any) -> Carried:
        copy = object.__new__(Carried)  # Keras's layers are run, never changed: they can be shared
        vars(copy).update(vars(self))
        memo[id(self)] = copy
        copy.parameters, copy.draws = deepcopy((self.parameters, self.draws), memo)
        return copy

    def build(self, input_shape: Any, generator: np.random.Generator) -> None:
        for name, variable in naming.named_weights(self.layer):
            self.add_weight(
                name,
                variable.numpy(),
                variable.constraint and keras.constraints.serialize(variable.constraint),
                variable.regularizer and keras.regularizers.serialize(variable.regularizer),
                trainable=variable.trainable,
                is_state=not variable.trainable,
            )

    def output_shape(self, input_shape: Any) -> Any:
        shapes = [tuple(one.shape[1:]) for one in self.layer._inbound_nodes[0].output_tensors]
        return shapes if len(shapes) > 1 else shapes[0]

    def compute_mask(self, x: Any, mask: Any) -> Any:
        xs, masks = (x, mask) if isinstance(x, list) else ([x], [mask])
        return self.carrier.mask(self.path, [_plain(one) for one in xs], masks)

    def _arranged(self, inputs: Sequence[Any], named: Mapping[str, Any]) -> Any:
        for name, value in named.items():
            if not isinstance(value, (bool, int, float, str, list, np.ndarray)):
                raise NoTwin(
                    f"The layer {self.path!r} has no hand-derived twin, and takes {name}=… by name."
                )
        return tuple(inputs), dict(named)

    def forward(
        self, x: Any, *, training: bool = False, mask: Any = None, **options: Any
    ) -> tuple[Any, Any]:
        xs = list(x) if isinstance(x, list) else [x]
        masks = mask if isinstance(mask, list) else [mask] * len(xs)
        drawn = _Drawn(self.draws)

        def question(inputs: Sequence[Any], weights: Sequence[Any]) -> Question:
            return Question(self.path, weights, inputs, self.packed, options, masks, training)

        def run(dtype: str, numbers: Sequence[np.ndarray]) -> list[np.ndarray]:
            answer = self._answer(question(numbers[: len(xs)], numbers[len(xs) :]), dtype, drawn)
            saved.after = answer.weights
            return answer.outputs

        weights = [parameter.value for parameter in self.parameters]
        saved = _Saved(xs, weights, question, drawn, [])
        ys = _followed(run, [*xs, *weights])
        return (ys if len(ys) > 1 else ys[0]), saved

    def backward(self, dy: Any, saved: _Saved) -> Any:
        dys = list(dy) if isinstance(dy, list) else [dy]
        known = [index for index, one in enumerate(dys) if one is not None]
        inputs, weights = len(saved.xs), len(saved.weights)

        def run(dtype: str, numbers: Sequence[np.ndarray]) -> list[np.ndarray]:
            arrived: list[Any] = [None] * len(dys)
            for index, one in zip(known, numbers[inputs + weights :], strict=True):
                arrived[index] = one
            question = saved.question(numbers[:inputs], numbers[inputs : inputs + weights])
            answer = self._answer(question, dtype, saved.drawn, arrived)
            return answer.into_inputs + answer.into_weights

        found = _followed(run, [*saved.xs, *saved.weights, *(dys[index] for index in known)])
        for parameter, gradient in zip(self.parameters, found[inputs:], strict=True):
            parameter.gradient += gradient
        return found[:inputs] if inputs > 1 else found[0]

    def update_state(self, saved: _Saved) -> None:
        for parameter, after in zip(self.parameters, saved.after, strict=True):
            if parameter.is_state:
                parameter.value[...] = after

    def _answer(self, question: Question, dtype: str, drawn: _Drawn, dy: Any = None) -> Answer:
        return self.carrier.ask(question, dtype, drawn.from_the_first(), dy)


class _Drawn:
    """The random numbers of one call: the same ones whenever the call is repeated."""

    def __init__(self, draws: Draws) -> None:
        self.draws, self.arrays = draws, list[np.ndarray]()

    def from_the_first(self) -> Callable[[str, tuple[int, ...]], np.ndarray]:
        index = 0

        def draw(operation: str, shape: tuple[int, ...]) -> np.ndarray:
            nonlocal index
            if index == len(self.arrays):
                take = self.draws.normal if "normal" in operation else self.draws.uniform
                self.arrays.append(_plain(take(shape)))
            index += 1
            return self.arrays[index - 1]

        return draw


def _plain(number: Any) -> np.ndarray:
    if isinstance(number, Recorded) or isinstance(getattr(number, "value", None), Recorded):
        raise NotRecordable("a layer that Keras carries")
    return number.value if isinstance(number, Noisy) else np.asarray(number)


def _followed(
    run: Callable[[str, Sequence[np.ndarray]], list[np.ndarray]], numbers: Sequence[Any]
) -> list[Any]:
    """Run a map; where its numbers carry noise, so does what it gives.

    Two parts are measured: what Keras loses in float32 beside float64, and how much the result
    moves when every number is off by its own noise. An array's mean stands for all its elements:
    of a few samples one is too small now and then.
    """
    plain = [_plain(one) for one in numbers]
    noisy = [one for one in numbers if isinstance(one, Noisy)]
    if not noisy:
        return run(plain[0].dtype.name, plain)
    unit = noisy[0].unit
    single, double = UNIT_ROUNDOFF["float32"], UNIT_ROUNDOFF["float64"]
    try:
        values = run("float64", plain)
        own = [(a - b) / single for a, b in zip(run("float32", plain), values, strict=True)]
        off = single
    except CannotRun:  # one precision has to do
        working = "float32" if unit == single else "float64"
        values, off = run(working, plain), np.sqrt(unit)
        own = [np.zeros_like(value) for value in values]
    squares = [
        np.square(value) + np.mean(np.square(one)) for value, one in zip(values, own, strict=True)
    ]
    generator = np.random.default_rng(0)
    noises = [one.noise if isinstance(one, Noisy) else np.zeros(np.shape(one)) for one in numbers]
    if any(noise.any() for noise in noises):
        again = partial(run, "float64" if off == single or unit == double else "float32")
        for _ in range(SAMPLES):
            moved = again(
                [
                    value + off * noise * generator.standard_normal(noise.shape)
                    if noise.any()
                    else value
                    for value, noise in zip(plain, noises, strict=True)
                ]
            )
            for index, (one, value) in enumerate(zip(moved, values, strict=True)):
                passed = np.square((one - value) / off) / SAMPLES
                squares[index] = squares[index] + passed + np.mean(passed)
    return [
        Noisy(value, None if value.dtype.kind in "iub" else np.sqrt(square), unit=unit)
        for value, square in zip(values, squares, strict=True)
    ]
