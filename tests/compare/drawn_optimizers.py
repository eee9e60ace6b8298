"""Optimizers of every kind with any of their options, drawn, and a small model of many ranks."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from numpy.random import Generator

S = keras.optimizers.schedules


def maybe(draw: Generator, likely: float, options: dict[str, Any]) -> dict[str, Any]:
    """Give each of these options or leave it at Keras's default."""
    return {name: value for name, value in options.items() if draw.random() < likely}


def chosen(draw: Generator, *values: Any) -> Any:
    """Draw one of some values."""
    return values[draw.integers(len(values))]


def between(draw: Generator, low: float, high: float) -> float:
    """Draw a number of four digits."""
    return float(np.round(draw.uniform(low, high), 4))


def yes(draw: Generator) -> bool:
    """Toss a coin."""
    return bool(draw.integers(2))


def schedule(draw: Generator) -> Any:
    """Draw a schedule with any of its options, in the first steps of which much happens."""
    rate, steps = between(draw, 0.005, 0.1), int(draw.integers(1, 5))
    low = between(draw, 0.0001, 0.004)
    restarts = {"t_mul": chosen(draw, 1.0, 1.5, 2.0), "m_mul": 0.8, "alpha": 0.1}
    kind = draw.integers(6)
    if kind == 0:
        return S.ExponentialDecay(rate, steps, between(draw, 0.3, 0.99), staircase=yes(draw))
    if kind == 1:
        return S.InverseTimeDecay(rate, steps, between(draw, 0.1, 2.0), staircase=yes(draw))
    if kind == 2:
        return S.PiecewiseConstantDecay([steps, steps + 2], [rate, rate / 2, rate / 8])
    if kind == 3:
        power = chosen(draw, 0.5, 1.0, 2.0)
        return S.PolynomialDecay(rate, steps, low, power, cycle=yes(draw))
    if kind == 4:
        warming = {"warmup_target": 2 * rate, "warmup_steps": int(draw.integers(0, 4))}
        more = warming if yes(draw) else {}
        return S.CosineDecay(rate, steps, chosen(draw, 0.0, 0.2), **more)
    return S.CosineDecayRestarts(rate, steps, **maybe(draw, 0.5, restarts))


def learning_rate(draw: Generator) -> Any:
    """Draw a number, a schedule, or a function."""
    rate = between(draw, 0.001, 0.1)
    kind = draw.integers(5)
    return schedule(draw) if kind < 2 else (lambda: rate) if kind == 2 else rate


def surroundings(draw: Generator, table: bool) -> dict[str, Any]:
    """Draw what every optimizer can have around its rule."""
    bound = chosen(
        draw,
        {},
        {},
        {"clipnorm": between(draw, 0.01, 2.0)},
        {"clipvalue": between(draw, 0.001, 0.5)},
        {"global_clipnorm": between(draw, 0.01, 2.0)},
    )
    average = {
        "use_ema": True,
        **maybe(draw, 0.5, {"ema_momentum": 0.7}),
        **maybe(draw, 0.5, {"ema_overwrite_frequency": int(draw.integers(1, 4))}),
    }
    rest = {
        "weight_decay": between(draw, 0.001, 0.2),
        "gradient_accumulation_steps": int(draw.integers(2, 4)),
        # Keras can't divide a list of rows: a table and a loss scale factor don't go together.
        **({} if table else {"loss_scale_factor": chosen(draw, 2.0, 1000.0, 0.3)}),
    }
    return {**bound, **(average if draw.random() < 0.3 else {}), **maybe(draw, 0.3, rest)}


def betas(draw: Generator) -> dict[str, float]:
    """Draw what rules that are like Adam forget by."""
    return {
        "beta_1": between(draw, 0.1, 0.95),
        "beta_2": between(draw, 0.5, 0.9999),
        "epsilon": chosen(draw, 1e-7, 1e-3, 1e-10),
    }


OF_RULES: dict[str, Any] = {
    "SGD": lambda draw: {"momentum": between(draw, 0.1, 0.99), "nesterov": yes(draw)},
    "Adam": lambda draw: {**betas(draw), "amsgrad": True},
    "AdamW": lambda draw: {**betas(draw), "amsgrad": True},
    "Adamax": betas,
    "Nadam": betas,
    "RMSprop": lambda draw: {
        "rho": between(draw, 0.5, 0.99),
        "momentum": between(draw, 0.1, 0.9),
        "centered": True,
        "epsilon": chosen(draw, 1e-7, 1e-3),
    },
    "Adagrad": lambda draw: {
        "initial_accumulator_value": between(draw, 0.0, 0.5),
        "epsilon": chosen(draw, 1e-7, 1e-3),
    },
    "Adadelta": lambda draw: {"rho": between(draw, 0.5, 0.99), "epsilon": chosen(draw, 1e-7, 1e-3)},
    "Ftrl": lambda draw: {
        "learning_rate_power": chosen(draw, -0.5, -0.3, -0.9, 0.0),
        "initial_accumulator_value": between(draw, 0.05, 0.5),
        "l1_regularization_strength": between(draw, 0.0, 0.05),
        "l2_regularization_strength": between(draw, 0.0, 0.1),
        "l2_shrinkage_regularization_strength": between(draw, 0.0, 0.1),
        "beta": between(draw, 0.0, 0.3),
    },
    "Lion": lambda draw: {"beta_1": between(draw, 0.1, 0.95), "beta_2": between(draw, 0.5, 0.999)},
    "Lamb": betas,
    "Adafactor": lambda draw: {
        "beta_2_decay": between(draw, -0.95, -0.3),
        "epsilon_1": chosen(draw, 1e-30, 1e-8),
        "epsilon_2": chosen(draw, 1e-3, 0.1),
        "clip_threshold": chosen(draw, 1.0, 0.05),
        "relative_step": yes(draw),
    },
    "Muon": lambda draw: {
        "adam_beta_1": between(draw, 0.1, 0.95),
        "adam_beta_2": between(draw, 0.5, 0.999),
        "adam_weight_decay": chosen(draw, None, 0.1),
        "epsilon": chosen(draw, 1e-7, 1e-3),
        "exclude_layers": chosen(draw, ["last"], ["words", "kern"]),
        "exclude_embeddings": yes(draw),
        "muon_a": between(draw, 3.0, 3.6),
        "muon_b": between(draw, -4.9, -4.5),
        "muon_c": between(draw, 1.9, 2.1),
        "adam_lr_ratio": between(draw, 0.1, 2.0),
        "momentum": between(draw, 0.5, 0.99),
        "ns_steps": int(draw.integers(1, 6)),
        "nesterov": yes(draw),
        "rms_rate": chosen(draw, None, 0.3),
    },
    "ScheduleFreeAdamW": lambda draw: {**betas(draw), "warmup_steps": int(draw.integers(0, 5))},
}


def optimizer(rule: str, draw: Generator, table: bool, precision: str = "float32") -> Any:
    """Draw an optimizer; now and then inside one that scales the loss.

    Two things that Keras itself can't do are left out: Muon of float64 weights takes no schedule,
    whose rates are float32's, and a centered RMSprop of a table may root a negative number.
    """
    options = {**maybe(draw, 0.5, OF_RULES[rule](draw)), **surroundings(draw, table)}
    if rule == "RMSprop" and table:
        options["centered"] = False
    rate = learning_rate(draw)
    if rule == "Muon" and precision == "float64":
        rate = 0.03
    drawn = getattr(keras.optimizers, rule)(learning_rate=rate, **options)
    scaled = draw.random() < 0.15
    if draw.random() < 0.2:
        drawn.exclude_from_weight_decay(var_names=["bias", "last"])
    if scaled and not options.get("loss_scale_factor"):
        scale, steps = chosen(draw, 2.0**15, 3.0, 1e38), int(draw.integers(1, 4))
        return keras.optimizers.LossScaleOptimizer(
            drawn, initial_scale=scale, dynamic_growth_steps=steps
        )
    return drawn


def model(optimizer: Any, draw: Generator, table: bool) -> keras.Model:
    """Build weights of ranks 1 to 4, one layer of which isn't trained."""
    keras.utils.set_random_seed(int(draw.integers(1000)))
    layers = keras.layers
    if table:
        inputs = keras.Input((6,), dtype="int32")
        x = layers.Embedding(5, 4, name="words", embeddings_initializer="normal")(inputs)
    else:
        x = inputs = keras.Input((6, 4))
    x = layers.Conv1D(3, 2, activation="tanh", bias_constraint=chosen(draw, None, "non_neg"))(x)
    x = layers.Reshape((5, 3, 1))(x)
    x = layers.Conv2D(2, 2, activation="sigmoid", kernel_regularizer=chosen(draw, None, "l2"))(x)
    x = layers.Flatten()(x)
    x = layers.Dense(4, "tanh", trainable=False, name="frozen")(x)
    built = keras.Model(inputs, layers.Dense(2, name="last")(x))
    built.compile(optimizer, "mse", jit_compile=False)
    return built


def data(draw: Generator, table: bool, samples: int = 14) -> tuple[np.ndarray, np.ndarray]:
    """Draw samples: of a table, numbers of which most occur again and again."""
    x = draw.integers(0, 5, (samples, 6)) if table else draw.normal(size=(samples, 6, 4))
    return x, draw.normal(size=(samples, 2))
