"""Two recurrent layers over the same sequence, one from each end (Schuster & Paliwal 1997)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from manual.arrays import Array
from manual.layers.base import Shape
from manual.layers.recurrence import Recurrent
from manual.layers.wrapper import Wrapper
from manual.registry import NoTwin, keras_name, twin, twin_of

CELLS = {"SimpleRNN": "simple_rnn_cell", "LSTM": "lstm_cell", "GRU": "gru_cell"}
"""What Keras calls the part of a recurrent layer that has the weights."""


@twin_of("Bidirectional")
class Bidirectional(Wrapper):
    """Two recurrent layers, one of which goes through time from the end, and their outputs merged.

    Takes x of shape ``(batch, time, inputs)`` and returns y of shape ``(batch, width)``, or with
    ``return_sequences`` in the layers ``(batch, time, width)``, where step t has both layers'
    outputs for it; the width is twice the units where they are concatenated, else the units. Steps
    that a mask leaves out are zero in a sequence, whatever the layers say of it.

    Parameters
    ----------
    layer, backward_layer : Keras configurations of recurrent layers
        The second is the first with its direction turned, if it is left out.
    merge_mode : str
        ``"concat"``, ``"sum"``, ``"ave"`` or ``"mul"``.
    """

    derivation = {
        "forward": "y = [h, h̃], h + h̃, ½ (h + h̃) or h h̃, with h of the first layer, h̃ of the "
        "one that starts at the end",
        "input gradient": "dx = dx of the first layer for dh + dx of the second for dh̃; "
        "dh, dh̃ = dy's halves, dy, ½ dy, or dy h̃ and dy h",
    }
    takes_mask = True

    def __init__(
        self,
        layer: Mapping[str, Any],
        merge_mode: str | None = "concat",
        backward_layer: Mapping[str, Any] | None = None,
        *,
        name: str | None = None,
        trainable: bool = True,
        seed: int | None = None,
    ) -> None:
        super().__init__(name=name, trainable=trainable, seed=seed)
        if merge_mode not in ("concat", "sum", "ave", "mul"):
            raise NoTwin(f"layer {self.name!r}: merge_mode={merge_mode!r} has no twin yet.")
        self.merge_mode = merge_mode
        there = self._one_way(layer, "forward_")
        if backward_layer is None:
            turned = {**layer["config"], "go_backwards": True}
            back = self._one_way({**layer, "config": turned}, "backward_")
        else:
            back = self._one_way(backward_layer)
        self.both = (there, back)
        self.return_sequences = there.return_sequences
        for one in self.both:
            one.zero_output_for_mask = self.return_sequences
        self._holds(*self.both)

    def _one_way(self, config: Mapping[str, Any], prefix: str = "") -> Recurrent:
        kind = twin("layer", keras_name(config), f"layer {self.name!r}")
        if not issubclass(kind, Recurrent):
            raise NoTwin(
                f"layer {self.name!r}: within Bidirectional only SimpleRNN, LSTM and GRU have "
                f"twins. Received: {keras_name(config)}."
            )
        own = config["config"]
        name = prefix + own["name"].removeprefix(prefix)
        made = kind.from_config({**own, "name": name, "trainable": self.trainable})
        if made.activity_regularizer is not None:
            raise NoTwin(
                f"layer {self.name!r}: the activity_regularizer of a layer within Bidirectional "
                "has no hand-derived twin."
            )
        assert isinstance(made, Recurrent)
        return made

    def build(self, input_shape: Shape, generator: np.random.Generator) -> None:
        formulas = dict(self.derivation)
        for one in self.both:
            one.build(input_shape, generator)
            within = f"{one.name}/{CELLS[type(one).__name__]}"
            for parameter in one.parameters:
                what = f"{parameter.name} gradient"
                parameter.name = f"{within}/{parameter.name}"
                formulas[f"{within}/{what}"] = one.derivation[what]
            self.parameters += one.parameters
        vars(self)["derivation"] = formulas  # each weight's is that of the layer that it lies in

    def output_shape(self, input_shape: Shape) -> Shape:
        *time, units = self.both[0].output_shape(input_shape)
        return (*time, 2 * units if self.merge_mode == "concat" else units)

    def compute_mask(self, x: Array, mask: Any) -> Any:
        return self.both[0].compute_mask(x, mask)

    def forward(
        self, x: Array, *, training: bool = False, mask: Array | None = None
    ) -> tuple[Array, Any]:
        (h, kept), (h_back, kept_back) = (
            one.forward(x, training=training, mask=mask) for one in self.both
        )
        h_back = self._turned(h_back)
        if self.merge_mode == "concat":
            y = np.concatenate([h, h_back], axis=-1)
        elif self.merge_mode == "mul":
            y = h * h_back
        else:
            y = h + h_back
        if self.merge_mode == "ave":
            y = y / 2.0
        return y, (h, h_back, kept, kept_back)

    def backward(self, dy: Array, saved: Any) -> Array:
        h, h_back, kept, kept_back = saved
        there, back = self.both
        if self.merge_mode == "concat":
            dh, dh_back = np.split(dy, 2, axis=-1)
        elif self.merge_mode == "mul":
            dh, dh_back = dy * h_back, dy * h
        else:
            dh = dh_back = dy / 2.0 if self.merge_mode == "ave" else dy
        return there.backward(dh, kept) + back.backward(self._turned(dh_back), kept_back)

    def _turned(self, sequence: Array) -> Array:
        """Return the steps in the other order, where there are several."""
        return sequence[:, ::-1] if self.return_sequences else sequence
