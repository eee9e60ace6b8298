"""The rules beside SGD, Adam and RMSprop, and what surrounds every rule, step by step as in Keras.

Each step is taken by hand from Keras's own state: weights of four shapes, slots, and the gradients
that were drawn for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest

from compare.judge import judge
from compare.noise import Noisy
from keras_models import naming
from manual.optimizers import Optimizer, Step, as_float32, tensors_of
from manual.registry import from_keras

STEPS = 4
SHAPES = {
    "layer/kernel": (3, 4),
    "layer/bias": (4,),
    "tall/kernel": (5, 2),
    "conv/kernel": (2, 3, 2),
}
TENSORS = tensors_of(SHAPES.items())

CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "AdamW": ("AdamW", {}),
    "AdamW, amsgrad": ("AdamW", {"amsgrad": True, "weight_decay": 0.1}),
    "Adamax": ("Adamax", {}),
    "Adamax, other betas": ("Adamax", {"beta_1": 0.7, "beta_2": 0.8, "epsilon": 1e-3}),
    "Nadam": ("Nadam", {}),
    "Nadam, other betas": ("Nadam", {"beta_1": 0.7, "beta_2": 0.8, "epsilon": 1e-3}),
    "Adagrad": ("Adagrad", {}),
    "Adagrad, from 0.7": ("Adagrad", {"initial_accumulator_value": 0.7, "epsilon": 1e-2}),
    "Adadelta": ("Adadelta", {}),
    "Adadelta, rho": ("Adadelta", {"rho": 0.7, "epsilon": 1e-3}),
    "Lion": ("Lion", {}),
    "Lion, other betas": ("Lion", {"beta_1": 0.7, "beta_2": 0.6}),
    "Ftrl": ("Ftrl", {}),
    "Ftrl, all penalties": (
        "Ftrl",
        {
            "learning_rate_power": -0.7,
            "initial_accumulator_value": 0.3,
            "l1_regularization_strength": 0.05,
            "l2_regularization_strength": 0.07,
            "l2_shrinkage_regularization_strength": 0.03,
            "beta": 0.2,
        },
    ),
    "Lamb": ("Lamb", {}),
    "Lamb, decay": ("Lamb", {"weight_decay": 0.1, "beta_1": 0.7, "epsilon": 1e-3}),
    "Adafactor": ("Adafactor", {}),
    "Adafactor, no relative step": (
        "Adafactor",
        {"relative_step": False, "clip_threshold": 0.5, "beta_2_decay": -0.6, "epsilon_2": 0.1},
    ),
    "Muon": ("Muon", {}),
    "Muon, options": (
        "Muon",
        {
            "nesterov": False,
            "momentum": 0.8,
            "ns_steps": 3,
            "rms_rate": None,
            "adam_lr_ratio": 0.5,
            "exclude_layers": ["tall"],
            "weight_decay": None,
        },
    ),
    "ScheduleFreeAdamW": ("ScheduleFreeAdamW", {}),
    "ScheduleFreeAdamW, warm-up": ("ScheduleFreeAdamW", {"warmup_steps": 3, "beta_1": 0.7}),
    "weight decay": ("SGD", {"weight_decay": 0.03}),
    "weight decay, Adam": ("Adam", {"weight_decay": 0.03}),
    "clipnorm": ("SGD", {"clipnorm": 1.3, "momentum": 0.9}),
    "clipnorm, never reached": ("SGD", {"clipnorm": 1e6}),
    "global clipnorm": ("Adam", {"global_clipnorm": 2.1}),
    "global clipnorm, never reached": ("SGD", {"global_clipnorm": 1e6}),
    "clipvalue": ("RMSprop", {"clipvalue": 0.3}),
    "loss scale": ("SGD", {"loss_scale_factor": 1000.0, "clipnorm": 1e-3}),
    "accumulation": ("SGD", {"gradient_accumulation_steps": 2}),
    "accumulation, all": (
        "Adam",
        {"gradient_accumulation_steps": 3, "clipvalue": 0.2, "weight_decay": 0.1, "use_ema": True},
    ),
    "average": ("SGD", {"use_ema": True, "ema_momentum": 0.7}),
    "average, overwriting": (
        "SGD",
        {"use_ema": True, "ema_momentum": 0.7, "ema_overwrite_frequency": 2},
    ),
    "average, accumulation": (
        "SGD",
        {
            "use_ema": True,
            "ema_momentum": 0.7,
            "ema_overwrite_frequency": 2,
            "gradient_accumulation_steps": 2,
        },
    ),
    "Nadam, accumulation": ("Nadam", {"gradient_accumulation_steps": 2}),
    "Adafactor, clipnorm": ("Adafactor", {"clipnorm": 0.5, "use_ema": True}),
}
Arrays = dict[str, np.ndarray]


class KerasSide:
    """Keras's optimizer on variables of all shapes, and the twin of its configuration."""

    def __init__(self, name: str, rate: Any, precision: str, generator: Any) -> None:
        family, options = CASES[name]
        self.weights = {
            name: keras.Variable(
                generator.normal(size=shape).astype(precision), name=name.replace("/", "_")
            )
            for name, shape in SHAPES.items()
        }
        self.optimizer = getattr(keras.optimizers, family)(learning_rate=rate, **options)
        self.optimizer.build(list(self.weights.values()))
        config = keras.optimizers.serialize(self.optimizer)
        if not isinstance(rate, keras.optimizers.schedules.LearningRateSchedule):
            config["config"]["learning_rate"] = float(np.asarray(rate, precision))
        self.by_hand: Optimizer = from_keras("optimizer", config)

    def state(self) -> tuple[Arrays, dict[str, Arrays]]:
        layer = SimpleNamespace(
            optimizer=self.optimizer,
            trainable_variables=list(self.weights.values()),
        )
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(naming, "trainable_names", lambda model: list(self.weights))
            slots = naming.slots(layer)  # type: ignore[arg-type]
        return (
            {name: variable.numpy() for name, variable in self.weights.items()},
            {
                slot: {name: variable.numpy() for name, variable in named.items()}
                for slot, named in slots.items()
            },
        )

    def apply(self, gradients: Arrays) -> None:
        self.optimizer.apply(
            [keras.ops.convert_to_tensor(g) for g in gradients.values()],
            list(self.weights.values()),
        )


def drawn(precision: str, generator: np.random.Generator) -> Iterator[Arrays]:
    """Draw a gradient of all sizes for every step; some elements are exactly 0."""
    for _ in range(STEPS):
        gradients = {}
        for name, shape in SHAPES.items():
            g = generator.normal(size=shape) * 10.0 ** generator.uniform(-3, 1, shape)
            g[generator.random(shape) < 0.1] = 0.0
            gradients[name] = g.astype(precision)
        yield gradients


def flat(arrays: Arrays, names: list[str]) -> np.ndarray:
    return np.concatenate([np.ravel(arrays[name]) for name in names])


def by_hand_step(
    optimizer: Optimizer,
    state: tuple[Arrays, dict[str, Arrays]],
    gradients: Arrays,
    iterations: int,
    rate: float,
    exact: Callable[[Any], Noisy],
) -> tuple[Noisy, dict[str, Noisy]]:
    """Take the whole step by hand, on numbers that carry noise."""
    weights, memory = state
    slots = {
        slot: exact(flat(memory[slot], [one.name for one in optimizer.layout(slot, TENSORS)]))
        for slot in optimizer.slot_names
    }
    w, g = exact(flat(weights, list(SHAPES))), exact(flat(gradients, list(SHAPES)))
    step = Step(iterations, exact(float(optimizer.updates(iterations) + 1)), exact(rate))
    with np.errstate(all="ignore"):
        optimizer.apply(w, g, slots, TENSORS, step)
    return w, slots


@pytest.mark.parametrize("name", CASES)
def test_every_step_equals_keras(name: str, ruler: Any, generator: np.random.Generator) -> None:
    rate = 0.05
    keras_side = KerasSide(name, rate, ruler.precision, generator)
    twin = keras_side.by_hand
    before = keras_side.state()
    assert set(before[1]) == set(twin.slot_names)
    moved = set()
    for iterations, gradients in enumerate(drawn(ruler.precision, generator)):
        keras_side.apply(gradients)
        after = keras_side.state()
        w, slots = by_hand_step(
            twin, before, gradients, iterations, twin.learning_rate, ruler.exact
        )
        for tensor in TENSORS:
            expected = w[tensor.place].reshape(tensor.shape)
            ruler.agrees(after[0][tensor.name], expected, f"{tensor.name}, step {iterations + 1}")
        for slot, expected in slots.items():
            for one in twin.layout(slot, TENSORS):
                what = f"{one.name}/{slot}, step {iterations + 1}"
                ruler.agrees(after[1][slot][one.name], expected[one.place].reshape(one.shape), what)
        moved.add(np.array_equal(after[0]["layer/kernel"], before[0]["layer/kernel"]))
        before = after
    assert moved == ({False, True} if twin.gradient_accumulation_steps else {False})


@pytest.mark.parametrize("name", CASES)
def test_training_alone_ends_where_keras_ends(
    name: str, precision: str, generator: np.random.Generator
) -> None:
    """In place, on plain arrays of the working precision, from a memory of its own."""
    keras_side = KerasSide(name, 0.05, precision, generator)
    twin = keras_side.by_hand
    w = flat(keras_side.state()[0], list(SHAPES))
    slots = twin.new_slots(w, TENSORS)
    for slot, named in keras_side.state()[1].items():
        layout = twin.layout(slot, TENSORS)
        np.testing.assert_array_equal(slots[slot], flat(named, [one.name for one in layout]))
    kept, kept_slots = w, dict(slots)
    for iterations, gradients in enumerate(drawn(precision, generator)):
        keras_side.apply(gradients)
        twin.apply(w, flat(gradients, list(SHAPES)), slots, TENSORS, twin.step(iterations))
    assert w is kept and w.dtype == precision
    assert all(slots[slot] is array for slot, array in kept_slots.items())
    assert {array.dtype.name for array in slots.values()} <= {precision}
    end = flat(keras_side.state()[0], list(SHAPES))
    # Not the ruler, which judges single steps: here the errors of all steps add up.
    np.testing.assert_allclose(w, end, rtol=0, atol=1e-4 if precision == "float32" else 1e-12)


def test_every_rule_is_tested(registered: Any) -> None:
    here = {family for family, _ in CASES.values()} | {"SGD", "Adam", "RMSprop"}
    assert here == set(registered("optimizer"))


ROUNDED = {
    "AdamW": ("weight_decay", 0.004, "weight"),
    "Lion, other betas": ("beta_2", 0.6, "momentum"),
    "weight decay": ("weight_decay", 0.03, "weight"),
}


@pytest.mark.parametrize("name", ROUNDED)
def test_constants_that_keras_rounds_to_float32_also_in_float64(
    name: str, ruler: Any, generator: np.random.Generator
) -> None:
    attribute, asked, quantity = ROUNDED[name]
    keras_side = KerasSide(name, 0.05, ruler.precision, generator)
    twin = keras_side.by_hand
    assert getattr(twin, attribute) == as_float32(asked) != asked
    setattr(twin, attribute, asked)
    before = keras_side.state()
    agreed = True
    for iterations, gradients in enumerate(drawn(ruler.precision, generator)):
        keras_side.apply(gradients)
        after = keras_side.state()
        w, slots = by_hand_step(twin, before, gradients, iterations, 0.05, ruler.exact)
        names = list(SHAPES)
        actual, expected = (
            (flat(after[0], names), w)
            if quantity == "weight"
            else (flat(after[1][str(quantity)], names), slots[str(quantity)])
        )
        agreed &= judge(actual, expected).agrees
        before = after
    assert agreed == (ruler.precision == "float32")


def test_excluded_weights_do_not_decay(ruler: Any, generator: np.random.Generator) -> None:
    keras_side = KerasSide("weight decay", 0.05, ruler.precision, generator)
    zero = {name: np.zeros(shape, ruler.precision) for name, shape in SHAPES.items()}
    excluded = ["layer/bias", "tall/kernel"]
    keras_side.optimizer.exclude_from_weight_decay([keras_side.weights[name] for name in excluded])
    keras_side.by_hand.excluded_from_weight_decay = frozenset(excluded)
    before = keras_side.state()
    keras_side.apply(zero)
    after = keras_side.state()[0]
    rate = keras_side.by_hand.learning_rate
    w, _ = by_hand_step(keras_side.by_hand, before, zero, 0, rate, ruler.exact)
    for tensor in TENSORS:
        same = np.array_equal(after[tensor.name], before[0][tensor.name])
        assert same == (tensor.name in excluded)
        ruler.agrees(after[tensor.name], w[tensor.place].reshape(tensor.shape), tensor.name)


def test_one_of_each_by_arithmetic() -> None:
    """Numbers that are exact in binary, so that nothing is rounded anywhere."""
    w, g = np.array([1.0, -2.0, 4.0]), np.array([3.0, 4.0, 0.5])
    tensors = tensors_of([("a", (2,)), ("b", (1,))])
    sgd = from_keras("optimizer", {"class_name": "SGD", "config": {"clipnorm": 2.5}})
    np.testing.assert_array_equal(sgd.clipped(g, tensors), [1.5, 2.0, 0.5])
    sgd = from_keras("optimizer", {"class_name": "SGD", "config": {"clipvalue": 2.0}})
    np.testing.assert_array_equal(sgd.clipped(-g, tensors), [-2.0, -2.0, -0.5])
    options = {"learning_rate": 0.5, "weight_decay": 0.25, "gradient_accumulation_steps": 2}
    sgd = from_keras("optimizer", {"class_name": "SGD", "config": options})
    slots = sgd.new_slots(w, tensors)
    sgd.apply(w, g, slots, tensors, sgd.step(0))
    np.testing.assert_array_equal(w, [1.0, -2.0, 4.0])
    np.testing.assert_array_equal(slots["gradient_accumulator"], g)
    sgd.apply(w, 3.0 * g, slots, tensors, sgd.step(1))
    np.testing.assert_array_equal(w, [0.875 - 3.0, -1.75 - 4.0, 3.5 - 0.5])
    np.testing.assert_array_equal(slots["gradient_accumulator"], 0.0)
