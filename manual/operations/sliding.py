"""Convolutions and pooling as operations: the maps of the layers, with kernels that are given.

A layer is made for each call and does the work. It adds to its weights' gradients; here the weights
are arguments, and what it adds is theirs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from manual import layers
from manual.arrays import Array
from manual.layers.base import Layer
from manual.operations.base import Operation
from manual.registry import NoTwin, twin_of

Sizes = int | Sequence[int]


class Gathered:
    """Where a layer adds its weight's gradient: the sum, of whatever kind of array it is."""

    def __init__(self) -> None:
        self.total: Any = None

    def __iadd__(self, term: Array) -> Gathered:
        self.total = term if self.total is None else self.total + term
        return self


class Sliding(Operation):
    """What slides over space; ``of_rank`` has the layer for each number of spatial axes."""

    of_rank: ClassVar[Mapping[int, type[Layer]]] = {}

    def __init__(self, data_format: str | None = None, **options: Any) -> None:
        super().__init__()
        self.options = {"data_format": data_format or "channels_last", **options}

    @property
    def channels(self) -> int:
        """The axis of the channels."""
        return -1 if self.options["data_format"] == "channels_last" else 1

    def layer(self, x: Array, **more: Any) -> Any:
        """Return a layer for an input, built."""
        if x.ndim - 2 not in self.of_rank:
            raise NoTwin(
                f"operation {self.name!r}: over {x.ndim - 2} axes it has no hand-derived twin."
            )
        made = self.of_rank[x.ndim - 2](**self.options, **more)
        made.build(tuple(x.shape[1:]), np.random.default_rng(0))
        return made

    def run(self, layer: Layer, x: Array, *weights: Any) -> tuple[Array, Any]:
        """Run the layer with these weights."""
        for parameter, weight in zip(layer.parameters, weights, strict=True):
            parameter.value, parameter.gradient = weight, None
        y, saved = layer.forward(x)
        return y, (layer, saved)

    def gradients(self, dy: Array, saved: Any) -> tuple[Any, ...]:
        layer, kept = saved
        for parameter in layer.parameters:
            parameter.gradient = Gathered()
        dx = layer.backward(dy, kept)
        return (dx, *(parameter.gradient.total for parameter in layer.parameters))


class Pooling(Sliding):
    """One number for each window."""

    def __init__(
        self,
        pool_size: Sizes,
        strides: Sizes | None = None,
        padding: str = "valid",
        data_format: str | None = None,
    ) -> None:
        super().__init__(data_format, pool_size=pool_size, strides=strides, padding=padding)

    def compute(self, inputs: Array) -> tuple[Array, Any]:
        return self.run(self.layer(inputs), inputs)


@twin_of("MaxPool")
class MaxPool(Pooling):
    derivation = layers.MaxPooling2D.derivation
    of_rank = {1: layers.MaxPooling1D, 2: layers.MaxPooling2D, 3: layers.MaxPooling3D}


@twin_of("AveragePool")
class AveragePool(Pooling):
    derivation = layers.AveragePooling2D.derivation
    of_rank = {1: layers.AveragePooling1D, 2: layers.AveragePooling2D, 3: layers.AveragePooling3D}


class Convolving(Sliding):
    """A kernel, given as an argument, that slides over the input."""

    def __init__(
        self,
        strides: Sizes = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: Sizes = 1,
    ) -> None:
        super().__init__(
            data_format,
            strides=strides,
            padding=padding,
            dilation_rate=dilation_rate,
            use_bias=False,
        )


@twin_of("Conv")
class Conv(Convolving):
    derivation = layers.Conv2D.derivation
    of_rank = {1: layers.Conv1D, 2: layers.Conv2D, 3: layers.Conv3D}

    def compute(self, inputs: Array, kernel: Any) -> tuple[Array, Any]:
        *size, channels, filters = kernel.shape
        groups = inputs.shape[self.channels] // channels
        layer = self.layer(inputs, filters=filters, kernel_size=size, groups=groups)
        return self.run(layer, inputs, kernel)


@twin_of("DepthwiseConv")
class DepthwiseConv(Convolving):
    derivation = layers.DepthwiseConv2D.derivation
    of_rank = {1: layers.DepthwiseConv1D, 2: layers.DepthwiseConv2D}

    def compute(self, inputs: Array, kernel: Any) -> tuple[Array, Any]:
        *size, _, multiplier = kernel.shape
        layer = self.layer(inputs, kernel_size=size, depth_multiplier=multiplier)
        return self.run(layer, inputs, kernel)


@twin_of("SeparableConv")
class SeparableConv(Convolving):
    derivation = layers.SeparableConv2D.derivation
    of_rank = {1: layers.SeparableConv1D, 2: layers.SeparableConv2D}

    def compute(
        self, inputs: Array, depthwise_kernel: Any, pointwise_kernel: Any
    ) -> tuple[Array, Any]:
        *size, _, multiplier = depthwise_kernel.shape
        filters = pointwise_kernel.shape[-1]
        layer = self.layer(inputs, filters=filters, kernel_size=size, depth_multiplier=multiplier)
        return self.run(layer, inputs, depthwise_kernel, pointwise_kernel)
