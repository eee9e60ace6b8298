"""The optimizer of a model: its parts that move weights, their state, and copies of it."""

from __future__ import annotations

import re
from collections.abc import Container
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_models import naming


def is_multiple(optimizer: Any) -> bool:
    """Say whether it is made of several optimizers, each for some of the weights."""
    return isinstance(rule_of(optimizer), keras.optimizers.MultiOptimizer)


def rule_of(optimizer: Any) -> Any:
    """Return the optimizer that counts the steps, also from inside one that scales the loss."""
    return getattr(optimizer, "inner_optimizer", optimizer)


def learning_rate(model: keras.Model) -> Any:
    """Return how fast the next step learns; of several optimizers, a vector."""
    rates = [tf.convert_to_tensor(rule.learning_rate) for rule, _ in naming.rules_of(model)]
    if not is_multiple(model.optimizer):
        return rates[0]
    return tf.stack([tf.cast(rate, keras.config.floatx()) for rate in rates])


def schedules_of_users(model: keras.Model) -> list[Any]:
    """Return the schedules of a model's optimizer, or optimizers, that are none of Keras's own."""
    rates = [rule._learning_rate for rule, _ in naming.rules_of(model)]
    schedule = keras.optimizers.schedules.LearningRateSchedule
    return [
        rate
        for rate in rates
        if isinstance(rate, schedule) and not type(rate).__module__.startswith("keras.")
    ]


def config_of(model: keras.Model, without: Container[Any] = ()) -> dict[str, Any]:
    """Return Keras's configuration of the optimizer, with the rates that it rounds as they are now.

    Where a function of the user's gives the rate, or maps weights to optimizers, what it
    returns is put down.

    Parameters
    ----------
    model : keras.Model
    without : container of schedule
        In the place of these, too, the rate that they give.
    """
    optimizer, rules = model.optimizer, naming.rules_of(model)
    if not is_multiple(optimizer):
        return _config(optimizer, without)
    by_name = {
        "|".join(map(re.escape, named)): _config(rule, without) for rule, named in rules[:-1]
    }
    mapped = {"default_optimizer": _config(rules[-1][0], without), "optimizer_map": by_name}
    factor = rule_of(optimizer).loss_scale_factor
    config: dict[str, Any] = {"optimizer_map": {"config": mapped}, "loss_scale_factor": factor}
    config = {"class_name": "MultiOptimizer", "config": config}
    if rule_of(optimizer) is optimizer:
        return config
    around = {"inner_optimizer": config, **_scaling(optimizer)}
    return {"class_name": "LossScaleOptimizer", "config": around}


def _scaling(optimizer: Any) -> dict[str, Any]:
    """Return how a LossScaleOptimizer scales."""
    return {name: getattr(optimizer, name) for name in ("initial_scale", "dynamic_growth_steps")}


def _config(optimizer: Any, without: Container[Any]) -> dict[str, Any]:
    rule = rule_of(optimizer)
    rate = rule._learning_rate
    schedule = keras.optimizers.schedules.LearningRateSchedule
    is_function = callable(rate) and not isinstance(rate, (schedule, keras.Variable))
    is_function = is_function or (isinstance(rate, schedule) and rate in without)
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
    excluded, without = naming.without_weight_decay(model), schedules_of_users(model)
    own: dict[int, Any] = {}
    for one, weights in naming.rules_of(model):
        outer = one if is_multiple(optimizer) else optimizer
        made = type(outer).from_config(_config(outer, without)["config"])
        if excluded:  # the configuration doesn't say so
            rule_of(made).exclude_from_weight_decay([named[name] for name in excluded])
        own |= {id(named[name]): made for name in weights}
    if not is_multiple(optimizer):
        return made
    multiple = keras.optimizers.MultiOptimizer(lambda variable: own[id(variable)])
    multiple._inner_optimizers = list(dict.fromkeys(own.values()))  # in the model's order
    multiple.loss_scale_factor = rule_of(optimizer).loss_scale_factor
    if rule_of(optimizer) is optimizer:
        return multiple
    return keras.optimizers.LossScaleOptimizer(multiple, **_scaling(optimizer))


def set_state(model: keras.Model, iterations: Any, rate: Any) -> None:
    """Set the number of steps, and the rate unless the optimizer works it out, from a schedule."""
    several = is_multiple(model.optimizer)
    for place, (rule, _) in enumerate(naming.rules_of(model)):
        rule._iterations.assign(iterations)
        if isinstance(rule._learning_rate, keras.Variable):
            rule._learning_rate.assign(rate[place] if several else rate)
    rule_of(model.optimizer)._iterations.assign(iterations)
