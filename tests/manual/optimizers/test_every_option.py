"""Every option of every rule takes another value than its own, alone, and agrees with Keras."""

from __future__ import annotations

from typing import Any

import keras
import pytest

from compare.coverage.public import options

OTHER: dict[str, Any] = {
    "learning_rate": 0.02,
    "weight_decay": 0.03,
    "clipnorm": 1.3,
    "clipvalue": 0.3,
    "global_clipnorm": 2.1,
    "use_ema": True,
    "ema_momentum": 0.7,
    "ema_overwrite_frequency": 2,
    "loss_scale_factor": 1000.0,
    "gradient_accumulation_steps": 2,
    "beta_1": 0.7,
    "beta_2": 0.8,
    "epsilon": 1e-3,
    "amsgrad": True,
    "rho": 0.7,
    "momentum": 0.6,
    "nesterov": True,
    "centered": True,
    "initial_accumulator_value": 0.3,
    "learning_rate_power": -0.7,
    "l1_regularization_strength": 0.05,
    "l2_regularization_strength": 0.07,
    "l2_shrinkage_regularization_strength": 0.03,
    "beta": 0.2,
    "beta_2_decay": -0.6,
    "epsilon_1": 1e-3,
    "epsilon_2": 0.1,
    "clip_threshold": 0.5,
    "relative_step": False,
    "warmup_steps": 3,
    "adam_beta_1": 0.7,
    "adam_beta_2": 0.8,
    "adam_weight_decay": 0.1,
    "adam_lr_ratio": 0.5,
    "exclude_layers": ["tall"],
    "exclude_embeddings": False,
    "muon_a": 3.0,
    "muon_b": -4.0,
    "muon_c": 2.0,
    "ns_steps": 3,
    "rms_rate": None,
}
WITH: dict[str, dict[str, Any]] = {
    "ema_momentum": {"use_ema": True},
    "ema_overwrite_frequency": {"use_ema": True},
}
"""What else has to be switched on, for an option to change anything."""
UNLIKE = {("Muon", "nesterov"): False}
"""Where the other value is Keras's default."""
AROUND = ("LossScaleOptimizer", "MultiOptimizer")  # tested in a running fit
RULES = [
    name
    for name, one in vars(keras.optimizers).items()
    if isinstance(one, type)
    and issubclass(one, keras.optimizers.Optimizer)
    and one is not keras.optimizers.Optimizer
    and name == one.__name__
    and name not in AROUND
]
ALL = [(rule, option) for rule in RULES for option in options(getattr(keras.optimizers, rule))]


@pytest.mark.parametrize(
    ("rule", "option"),
    [
        pytest.param(*one, marks=[pytest.mark.slow] if place % 24 else [])
        for place, one in enumerate(ALL)
    ],
)
def test_every_option_of_every_rule(
    rule: str, option: str, ruler: Any, side_by_side: Any, found: Any
) -> None:
    value = UNLIKE.get((rule, option), OTHER[option])
    given = {} if option == "learning_rate" else {option: value, **WITH.get(option, {})}
    rate = OTHER["learning_rate"] if option == "learning_rate" else 0.05
    side = side_by_side(rule, given, rate)
    told = side.optimizer.get_config()
    assert option == "learning_rate" or told[option] != default(rule, option), "the same"
    for taken in side.steps():
        side.agree(taken.after, *side.again(taken), f"after step {taken.iterations + 1}")
    found.agrees("optimizer", rule, told, ruler.precision, ruler.largest)


def default(rule: str, option: str) -> Any:
    return getattr(keras.optimizers, rule)().get_config()[option]
