"""One layer, applied to every step of a sequence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from manual.arrays import Array
from manual.layers.base import Layer, Shape
from manual.layers.wrapper import Wrapper
from manual.registry import keras_name, twin, twin_of


@twin_of("TimeDistributed")
class TimeDistributed(Wrapper):
    """A layer at each step of time, with the same weights.

    Takes x of shape ``(batch, time, …)`` and returns y of shape ``(batch, time, …)``, where step t
    is the layer's output for step t, activation included. As in Keras the steps come one after the
    other: a layer that draws draws anew for each, and moving averages move at each. Whether the
    layer within is frozen is its own affair: Keras hands down ``trainable`` only when it is set.
    What its own activity_regularizer would cost is lost there.

    Parameters
    ----------
    layer : Keras configuration of a layer
    """

    derivation = {
        "forward": "y[t] = layer(x[t]) at every step t",
        "input gradient": "dx[t] = the layer's for dy[t]",
    }
    takes_mask = True

    def __init__(
        self,
        layer: Mapping[str, Any],
        *,
        name: str | None = None,
        trainable: bool = True,
        seed: int | None = None,
    ) -> None:
        super().__init__(name=name, trainable=trainable, seed=seed)
        kind = twin("layer", keras_name(layer), f"layer {self.name!r}")
        assert issubclass(kind, Layer)
        self.layer = kind.from_config(layer["config"])
        self._holds(self.layer)

    def build(self, input_shape: Shape, generator: np.random.Generator) -> None:
        self.layer.build(input_shape[1:], generator)
        self.has_costs_within = self.layer.has_costs_within
        formulas = {what: how for what, how in self.layer.derivation.items() if what != "forward"}
        self.parameters = self.layer.parameters
        for parameter in self.parameters:
            if "/" in parameter.name:  # it goes by its path, which begins at the layer
                own = f"{self.layer.name}/{parameter.name}"
                if not parameter.is_state:
                    formulas[f"{own} gradient"] = formulas.pop(f"{parameter.name} gradient")
                parameter.name = own
        vars(self)["derivation"] = {**formulas, **self.derivation}

    def output_shape(self, input_shape: Shape) -> Shape:
        time, *step = input_shape
        return (time, *self.layer.output_shape(tuple(step)))

    def forward(
        self, x: Array, *, training: bool = False, mask: Array | None = None
    ) -> tuple[Array, Any]:
        outputs, steps = [], []
        for t in range(x.shape[1]):
            known = mask is not None and self.layer.takes_mask
            options = {"mask": mask[:, t]} if known else {}  # type: ignore[index]
            z, saved = self.layer.forward(x[:, t], training=training, **options)
            y = self.layer.activation.forward(z)
            outputs.append(y)
            steps.append((z, y, saved))
        return np.stack(outputs, axis=1), steps

    def backward(self, dy: Array, saved: Any) -> Array:
        dxs = []
        for t, (z, y, kept) in enumerate(saved):
            dz = self.layer.activation.backward(dy[:, t], z, y)
            dxs.append(self.layer.backward(dz, kept))
        return np.stack(dxs, axis=1)

    def costs_within(self, saved: Any) -> Iterator[Array]:
        """Give what activities inside a model cost; in Keras a single layer's cost nothing."""
        self.layer.loss_scale = self.loss_scale
        for _, _, kept in saved:
            yield from self.layer.costs_within(kept)

    @property
    def keeps_state(self) -> bool:
        return self.layer.keeps_state

    def update_state(self, saved: Any) -> None:
        for _, _, kept in saved:
            self.layer.update_state(kept)
