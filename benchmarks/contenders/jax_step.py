"""A dense network in JAX: one call of a jitted step for each batch."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from benchmarks.contenders.base import Stepwise
from benchmarks.problem import Problem

ACTIVATIONS: dict[str, Callable[[Any], Any]] = {"sigmoid": jax.nn.sigmoid, "relu": jax.nn.relu}


class JaxStep(Stepwise):
    """``jax.jit`` of loss, gradients and update together; the old weights are given away."""

    def __init__(self, problem: Problem) -> None:
        jax.config.update("jax_enable_x64", problem.dtype == "float64")
        super().__init__(problem)
        activations = [layer.options["activation"] for layer in problem.architecture.layers]
        update = UPDATES[problem.optimizer]

        def loss_of(weights: list[Any], x: Any, y: Any) -> Any:
            a = x
            for activation, W, b in zip(activations, weights[::2], weights[1::2], strict=True):
                z = a @ W + b
                a = z if activation == "softmax" else ACTIVATIONS[activation](z)
            if activations[-1] == "softmax":
                return -(y * jax.nn.log_softmax(a)).sum(axis=1).mean()
            return ((a - y) ** 2).mean()

        @partial(jax.jit, donate_argnums=0)
        def step(state: Any, x: Any, y: Any) -> Any:
            loss, gradients = jax.value_and_grad(loss_of)(state["w"], x, y)
            return update(state, gradients, **problem.options), loss

        self.compiled = step
        self.about = f"JAX {jax.__version__} with {os.cpu_count()} threads"

    def reset(self) -> None:
        weights = [jnp.array(weight) for weight in self.problem.weights.values()]
        self.state: dict[str, Any] = {"w": weights}
        if self.problem.optimizer == "Adam":
            self.state["m"] = [jnp.zeros_like(w) for w in weights]
            self.state["v"] = [jnp.zeros_like(w) for w in weights]
            self.state["t"] = jnp.zeros((), self.problem.dtype)

    def converted(self, x: Any, y: Any) -> tuple[Any, Any]:
        return jnp.array(x), jnp.array(y)

    def step(self, x: Any, y: Any) -> Any:
        self.state, loss = self.compiled(self.state, x, y)
        return loss


def sgd(state: Any, gradients: list[Any], learning_rate: float) -> Any:
    """Make the update w − η g."""
    return {"w": [w - learning_rate * g for w, g in zip(state["w"], gradients, strict=True)]}


def adam(
    state: Any,
    gradients: list[Any],
    learning_rate: float,
    beta_1: float,
    beta_2: float,
    epsilon: float,
) -> Any:
    """Adam as in section 2 of the paper, with both bias corrections in the rate."""
    t = state["t"] + 1
    rate = learning_rate * jnp.sqrt(1 - beta_2**t) / (1 - beta_1**t)
    m = [beta_1 * m + (1 - beta_1) * g for m, g in zip(state["m"], gradients, strict=True)]
    v = [beta_2 * v + (1 - beta_2) * g * g for v, g in zip(state["v"], gradients, strict=True)]
    moved = [
        w - rate * mi / (jnp.sqrt(vi) + epsilon) for w, mi, vi in zip(state["w"], m, v, strict=True)
    ]
    return {"w": moved, "m": m, "v": v, "t": t}


UPDATES: dict[str, Callable[..., Any]] = {"SGD": sgd, "Adam": adam}
