"""The optimizer of a model: its parts that move weights, their state, and copies of it."""

from __future__ import annotations

import re
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_models import naming


def is_multiple(optimizer: Any) -> bool:
    """Say whether it is made of several optimizers, each for some of the weights."""
    return isinstance(optimizer, keras.optimizers.MultiOptimizer)


def rule_of(optimizer: Any) -> Any:
    """Return the optimizer that counts the steps, also from inside one that scales the loss."""
    return getattr(optimizer, "inner_optimizer", optimizer)


def learning_rate(model: keras.Model) -> Any:
    """Return how fast the next step learns; of several optimizers, a vector."""
    rates = [tf.convert_to_tensor(rule.learning_rate) for rule, _ in naming.rules_of(model)]
    if not is_multiple(model.optimizer):
        return rates[0]
    return tf.stack([tf.cast(rate, keras.config.floatx()) for rate in rates])


def config_of(model: keras.Model) -> dict[str, Any]:
    """Return Keras's configuration of the optimizer, with the rates that it rounds as they are now.

    Where a function of the user's gives the rate, or maps weights to optimizers, what it
    returns is put down.
    """
    optimizer, rules = model.optimizer, naming.rules_of(model)
    if not is_multiple(optimizer):
        return _config(optimizer)
    by_name = {"|".join(map(re.escape, named)): _config(rule) for rule, named in rules[:-1]}
    mapped = {"default_optimizer": _config(rules[-1][0]), "optimizer_map": by_name}
    factor = optimizer.loss_scale_factor
    config = {"optimizer_map": {"config": mapped}, "loss_scale_factor": factor}
    return {"class_name": "MultiOptimizer", "config": config}


def _config(optimizer: Any) -> dict[str, Any]:
    rule = rule_of(optimizer)
    rate = rule._learning_rate
    schedule = keras.optimizers.schedules.LearningRateSchedule
    is_function = callable(rate) and not isinstance(rate, (schedule, keras.Variable))
    if is_function:  # it can't always be written down
        rule._learning_rate = 0.0
    try:
        config: dict[str, Any] = keras.optimizers.serialize(optimizer)
    finally:
        if is_function:
            rule._learning_rate = rate
    own = config["config"].get("inner_optimizer", config)["config"]
    if is_function or isinstance(own["learning_rate"], float):  # else it is a schedule
        own["learning_rate"] = float(np.asarray(rule.learning_rate))
    return config


def copy_into(copy: keras.Model, model: keras.Model) -> Any:
    """Return a fresh optimizer for a copy of a model, like the model's."""
    optimizer, named = model.optimizer, naming.weights(copy)
    excluded = naming.without_weight_decay(model)
    own: dict[int, Any] = {}
    for one, weights in naming.rules_of(model):
        outer = one if is_multiple(optimizer) else optimizer
        made = type(outer).from_config(_config(outer)["config"])
        if excluded:  # the configuration doesn't say so
            rule_of(made).exclude_from_weight_decay([named[name] for name in excluded])
        own |= {id(named[name]): made for name in weights}
    if not is_multiple(optimizer):
        return made
    multiple = keras.optimizers.MultiOptimizer(lambda variable: own[id(variable)])
    multiple._inner_optimizers = list(dict.fromkeys(own.values()))  # in the model's order
    multiple.loss_scale_factor = optimizer.loss_scale_factor
    return multiple


def set_state(model: keras.Model, iterations: Any, rate: Any) -> None:
    """Set the number of steps, and the rate unless the optimizer works it out, from a schedule."""
    several = is_multiple(model.optimizer)
    for place, (rule, _) in enumerate(naming.rules_of(model)):
        rule._iterations.assign(iterations)
        if isinstance(rule._learning_rate, keras.Variable):
            rule._learning_rate.assign(rate[place] if several else rate)
    rule_of(model.optimizer)._iterations.assign(iterations)
