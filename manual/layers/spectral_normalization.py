"""A wrapper that keeps the largest singular value of a layer's kernel at 1."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from manual.arrays import Array
from manual.layers.base import Layer, Shape
from manual.layers.parameter import Parameter
from manual.layers.wrapper import Wrapper
from manual.registry import NoTwin, keras_name, twin, twin_of


@twin_of("SpectralNormalization")
class SpectralNormalization(Wrapper):
    """A layer whose kernel is divided, at every step of training, by its largest singular value.

    Miyato et al. 2018. The singular value σ is estimated by power iteration, which goes on from
    step to step, and from call to call, with the vector u. Keras divides the *weight itself*,
    before the layer is applied: what a step trains, and regularizes, is W / σ, and its gradient is
    taken as it is, not led through σ. A frozen kernel is divided as well. At inference nothing is.

    Parameters
    ----------
    layer : Keras configuration of a layer
        With a weight ``kernel``, or ``embeddings``.
    power_iterations : int
        How often v = W u / ‖W u‖ and u = Wᵀ v / ‖Wᵀ v‖ are worked out at each step.
    """

    derivation = {
        "forward": "y = the layer with W / σ, σ = vᵀ W u, v = W u / ‖W u‖, u⁺ = Wᵀ v / ‖Wᵀ v‖",
        "kernel gradient": "the layer's at W / σ, from where W is then moved",
        "embeddings gradient": "the layer's at W / σ, from where W is then moved",
        "vector_u": "u⁺ = Wᵀ v / ‖Wᵀ v‖, with v = W u / ‖W u‖",
        "input gradient": "dx = the layer's, with W / σ",
    }
    shortest = 1e-7
    call_options = frozenset({"times"})

    def __init__(
        self,
        layer: Mapping[str, Any],
        power_iterations: int = 1,
        *,
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(name=name, trainable=trainable)
        kind = twin("layer", keras_name(layer), f"layer {self.name!r}")
        assert issubclass(kind, Layer)
        self.layer = kind.from_config(layer["config"])
        if self.layer.activity_regularizer is not None:
            raise NoTwin(
                f"layer {self.name!r}: the activity_regularizer of the layer within has no twin."
            )
        self.power_iterations = power_iterations
        self.normalizing = 0  # of its calls so far
        self._holds(self.layer)

    def build(self, input_shape: Any, generator: np.random.Generator) -> None:
        self.layer.build(input_shape, generator)
        by_name = {one.name: one for one in self.layer.parameters}
        found = by_name.get("kernel", by_name.get("embeddings"))
        if found is None:
            raise NoTwin(f"layer {self.name!r}: the layer within has no kernel, nor embeddings.")
        self.kernel: Parameter = found
        trained = self.layer.trainable  # whatever Keras was told for the wrapper alone
        self.kernel.is_prepared, self.kernel.is_state = trained, not trained
        u = 0.02 * generator.standard_normal((1, self.kernel.shape[-1]))
        self.vector_u = self.add_weight("vector_u", u, is_state=True)
        others = [one for one in self.layer.parameters if one is not self.kernel]
        self.parameters = [self.kernel, self.vector_u, *others]
        formulas = {what: how for what, how in self.layer.derivation.items() if what != "forward"}
        vars(self)["derivation"] = {**formulas, **self.derivation}

    def apply(self, *inputs: Any, call: int, **named: Any) -> Any:
        """Make the symbol of a call, which normalizes what the calls before it have."""
        self.normalizing += named.get("training") is not False
        return super().apply(*inputs, call=call, times=self.normalizing, **named)

    def output_shape(self, input_shape: Shape) -> Any:
        return self.layer.output_shape(input_shape)

    def compute_mask(self, x: Array, mask: Any) -> Any:
        return self.layer.compute_mask(x, mask)

    def normalized(self, kernel: Array, u_before: Array) -> tuple[Array, Array]:
        """Return W / σ and the next u; of a kernel that is zero, both as they are."""
        W = kernel.reshape(-1, kernel.shape[-1])
        u = u_before
        for _ in range(self.power_iterations):
            v = self._unit(u @ W.T)
            u = self._unit(v @ W)
        sigma = v @ W @ u.T
        some = (W != 0.0).sum() > 0
        W_normalized = kernel / np.where(some, sigma, 1.0).reshape(*(1,) * kernel.ndim)
        return W_normalized, np.where(some, u, u_before)

    def _unit(self, row: Array) -> Array:
        length = np.sqrt(np.square(row).sum(axis=1, keepdims=True))
        return row * (1.0 / np.maximum(length, self.shortest))

    def forward(self, x: Array, *, training: bool = False, times: int = 1) -> tuple[Array, Any]:
        kernel, u = self.kernel.value, self.vector_u.value
        for _ in range(times if training else 0):
            kernel, u = self.normalized(kernel, u)
        self.kernel.used = kernel
        z, kept = self._within(kernel, lambda: self.layer.forward(x, training=training))
        y = self.layer.activation.forward(z)
        return y, (kernel, u, z, y, kept)

    def backward(self, dy: Array, saved: Any) -> Array:
        kernel, _, z, y, kept = saved
        dz = self.layer.activation.backward(dy, z, y)
        return self._within(kernel, lambda: self.layer.backward(dz, kept))

    def _within(self, kernel: Array, run: Any) -> Any:
        """Run the layer with another kernel in place of its own."""
        own = self.kernel.value
        self.kernel.value = kernel
        try:
            return run()
        finally:
            self.kernel.value = own

    def update_state(self, saved: Any) -> None:
        kernel, u, *_ = saved
        self.kernel.value[...] = kernel
        self.vector_u.value[...] = u
