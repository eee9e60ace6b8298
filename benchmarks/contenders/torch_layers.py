"""Keras's layers as PyTorch modules that hold the same weights.

Keras keeps images with the channels last and kernels as (height, width, in, out); PyTorch keeps the
channels first. Whatever can be turned once, before anything is timed, is turned here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.functional import scaled_dot_product_attention

from benchmarks.networks import Architecture, Layer

Weights = Mapping[str, np.ndarray]
Maker = Callable[[Mapping[str, Any], Weights], nn.Module]


def fill(parameter: nn.Parameter, value: np.ndarray) -> None:
    """Set a parameter."""
    with torch.no_grad():
        parameter.copy_(torch.from_numpy(np.ascontiguousarray(value)))


def with_activation(module: nn.Module, activation: str | None) -> nn.Module:
    """Put an activation behind a module; the loss itself knows what to do with a softmax."""
    activations = {"relu": nn.ReLU, "sigmoid": nn.Sigmoid}
    if activation in activations:
        return nn.Sequential(module, activations[activation]())
    return module


def dense(options: Mapping[str, Any], weights: Weights) -> nn.Module:
    """Return a linear map, whose weights PyTorch keeps as (out, in)."""
    kernel = weights["kernel"]
    linear = nn.Linear(*kernel.shape)
    fill(linear.weight, kernel.T)
    fill(linear.bias, weights["bias"])
    return with_activation(linear, options["activation"])


def convolution(options: Mapping[str, Any], weights: Weights) -> nn.Module:
    """Return a convolution in two dimensions."""
    kernel = weights["kernel"].transpose(3, 2, 0, 1)
    module = nn.Conv2d(
        kernel.shape[1],
        kernel.shape[0],
        kernel.shape[2],
        padding=options.get("padding", "valid"),
        bias="bias" in weights,
    )
    fill(module.weight, kernel)
    if module.bias is not None:
        fill(module.bias, weights["bias"])
    return with_activation(module, options.get("activation"))


def batch_normalization(options: Mapping[str, Any], weights: Weights) -> nn.Module:
    """Return batch normalization with Keras's ε and momentum."""
    module = nn.BatchNorm2d(len(weights["gamma"]), eps=1e-3, momentum=0.01)
    fill(module.weight, weights["gamma"])
    fill(module.bias, weights["beta"])
    return module


def layer_normalization(options: Mapping[str, Any], weights: Weights) -> nn.Module:
    """Return layer normalization with Keras's ε."""
    module = nn.LayerNorm(len(weights["gamma"]), eps=1e-3)
    fill(module.weight, weights["gamma"])
    fill(module.bias, weights["beta"])
    return module


class LastStep(nn.Module):
    """A recurrent module of which only the last output is wanted."""

    def __init__(self, recurrent: nn.RNNBase) -> None:
        super().__init__()
        self.recurrent = recurrent

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        last: torch.Tensor = self.recurrent(x)[0][:, -1]
        return last


def lstm(options: Mapping[str, Any], weights: Weights) -> nn.Module:
    """Return an LSTM; both libraries have its gates in the same order."""
    units = options["units"]
    module = nn.LSTM(len(weights["kernel"]), units, batch_first=True)
    fill(module.weight_ih_l0, weights["kernel"].T)
    fill(module.weight_hh_l0, weights["recurrent_kernel"].T)
    fill(module.bias_ih_l0, weights["bias"])
    fill(module.bias_hh_l0, np.zeros(4 * units))
    module.bias_hh_l0.requires_grad_(False)  # a second bias that Keras doesn't have
    return LastStep(module)


def gru(options: Mapping[str, Any], weights: Weights) -> nn.Module:
    """Return a GRU; both libraries reset the state after its product."""
    units = options["units"]
    module = nn.GRU(len(weights["kernel"]), units, batch_first=True)
    places = np.arange(3 * units).reshape(3, units)
    order = places[[1, 0, 2]].ravel()  # Keras: update, reset, candidate; PyTorch: reset first
    fill(module.weight_ih_l0, weights["kernel"].T[order])
    fill(module.weight_hh_l0, weights["recurrent_kernel"].T[order])
    fill(module.bias_ih_l0, weights["bias"][0][order])
    fill(module.bias_hh_l0, weights["bias"][1][order])
    return LastStep(module)


class Attention(nn.Module):
    """Four projections around ``scaled_dot_product_attention``."""

    def __init__(self, options: Mapping[str, Any], weights: Weights) -> None:
        super().__init__()
        self.heads = options["num_heads"]
        for name in ("query", "key", "value"):
            kernel = weights[f"{name}/kernel"]
            self.add_module(
                name, projection(kernel.reshape(len(kernel), -1), weights[f"{name}/bias"])
            )
        kernel = weights["attention_output/kernel"]
        self.result = projection(
            kernel.reshape(-1, kernel.shape[-1]), weights["attention_output/bias"]
        )

    def forward(self, query: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        q, k, v = (
            module(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for module, x in ((self.query, query), (self.key, value), (self.value, value))
        )
        taken = scaled_dot_product_attention(q, k, v)
        result: torch.Tensor = self.result(taken.transpose(1, 2).flatten(2))
        return result


def projection(kernel: np.ndarray, bias: np.ndarray) -> nn.Linear:
    """Return a linear map with a kernel of (in, out)."""
    linear = nn.Linear(*kernel.shape)
    fill(linear.weight, kernel.T)
    fill(linear.bias, bias.ravel())
    return linear


class Sum(nn.Module):
    """The sum of two branches."""

    def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return a + b


class Mean(nn.Module):
    """The mean over the axes of space or time."""

    def __init__(self, *axes: int) -> None:
        super().__init__()
        self.axes = axes

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.mean(self.axes)


MAKERS: dict[str, Maker] = {
    "Dense": dense,
    "Conv2D": convolution,
    "MaxPooling2D": lambda options, weights: nn.MaxPool2d(options["pool_size"]),
    "Flatten": lambda options, weights: nn.Flatten(),
    "BatchNormalization": batch_normalization,
    "LayerNormalization": layer_normalization,
    "Activation": lambda options, weights: with_activation(nn.Identity(), options["activation"]),
    "Add": lambda options, weights: Sum(),
    "GlobalAveragePooling2D": lambda options, weights: Mean(2, 3),
    "GlobalAveragePooling1D": lambda options, weights: Mean(1),
    "LSTM": lstm,
    "GRU": gru,
    "MultiHeadAttention": Attention,
}


class Graph(nn.Module):
    """The network: modules in order, each with the places of what it takes."""

    def __init__(self, architecture: Architecture, weights: Weights) -> None:
        super().__init__()
        self.steps = nn.ModuleList()
        places = {"input": 0}
        self.sources: list[tuple[int, ...]] = []
        weights = channels_first(architecture, weights)
        for number, layer in enumerate(architecture.layers):
            own = weights_of(layer, weights)
            self.steps.append(MAKERS[layer.kind](layer.options, own))
            self.sources.append(tuple(places[name] for name in layer.takes) or (number,))
            places[layer.name] = number + 1

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        values = [x]
        for step, sources in zip(self.steps, self.sources, strict=True):
            values.append(step(*[values[source] for source in sources]))
        return values[-1]


def weights_of(layer: Layer, weights: Weights) -> dict[str, np.ndarray]:
    """Return a layer's own weights, by their names within it."""
    start = layer.name + "/"
    return {name[len(start) :]: w for name, w in weights.items() if name.startswith(start)}


def channels_first(architecture: Architecture, weights: Weights) -> dict[str, np.ndarray]:
    """Turn the kernel behind a Flatten, which meets the channels first in PyTorch."""
    turned = dict(weights)
    for flat, behind in zip(architecture.layers, architecture.layers[1:], strict=False):
        if flat.kind == "Flatten":
            name = f"{behind.name}/kernel"
            channels = architecture.layers[2].options["filters"]
            rows = np.arange(len(weights[name])).reshape(-1, channels)
            turned[name] = weights[name][rows.T.ravel()]
    return turned
