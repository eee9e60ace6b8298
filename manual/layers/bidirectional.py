"""Two recurrent layers over the same sequence, one from each end (Schuster & Paliwal 1997)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from manual.arrays import Array
from manual.layers.recurrence import OverTime, batch_size, first
from manual.layers.symbol import Symbol
from manual.layers.wrapper import Wrapper, adopted
from manual.registry import NoTwin, keras_name, twin, twin_of


@twin_of("Bidirectional")
class Bidirectional(Wrapper):
    """Two recurrent layers, one of which goes through time from the end, and their outputs merged.

    Takes x of shape ``(batch, time, …)``, or ``[x, *initial_states]``, and returns y of shape
    ``(batch, …, width)``, or with ``return_sequences`` in the layers ``(batch, time, …, width)``,
    where step t has both layers' outputs for it; the width is twice a layer's where they are
    concatenated. With ``merge_mode=None`` they are two outputs. With ``return_state`` in the layers
    the states follow, the first layer's before the second's. Steps that a mask leaves out are zero
    in a sequence, whatever the layers say of it. Stateful layers can't return their states: Keras
    raises a TypeError.

    Parameters
    ----------
    layer, backward_layer : Keras configurations of recurrent layers
        The second is the first with its direction turned, if it is left out.
    merge_mode : str or None
        ``"concat"``, ``"sum"``, ``"ave"``, ``"mul"`` or None.
    """

    derivation = {
        "forward": "y = [h, h̃], h + h̃, ½ (h + h̃) or h h̃, with h of the first layer, h̃ of the "
        "one that starts at the end",
        "input gradient": "dx = dx of the first layer for dh + dx of the second for dh̃; "
        "dh, dh̃ = dy's halves, dy, ½ dy, or dy h̃ and dy h",
    }
    takes_mask = always_moves = True
    tensor_arguments = ("sequences", "initial_state")
    call_options = frozenset({"masked"})

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
        if merge_mode not in ("concat", "sum", "ave", "mul", None):
            raise NoTwin(f"layer {self.name!r}: merge_mode={merge_mode!r} has no twin.")
        self.merge_mode = merge_mode
        there = self._one_way(layer, "forward_")
        if backward_layer is None:
            turned = {**layer["config"], "go_backwards": True}
            back = self._one_way({**layer, "config": turned}, "backward_")
        else:
            back = self._one_way(backward_layer)
        self.both = (there, back)
        self.return_sequences, self.return_state = there.return_sequences, there.return_state
        self._holds(*self.both)
        self.has_costs_within = any(one.activity_regularizer is not None for one in self.both)

    def _one_way(self, config: Mapping[str, Any], prefix: str = "") -> OverTime:
        kind = twin("layer", keras_name(config), f"layer {self.name!r}")
        if not issubclass(kind, OverTime):
            raise NoTwin(
                f"layer {self.name!r}: within Bidirectional only recurrent layers have twins. "
                f"Received: {keras_name(config)}."
            )
        own = dict(config["config"])
        own["name"] = prefix + own["name"].removeprefix(prefix)
        own["trainable"] = self.trainable and own.get("trainable", True)
        own["zero_output_for_mask"] = own.get("return_sequences", False)
        made = kind.from_config(own)
        assert isinstance(made, OverTime)
        return made

    def apply(self, *inputs: Symbol, call: int, **named: Any) -> Any:
        for one in self.both:
            one.samples = batch_size(inputs[0])
        return super().apply(*inputs, call=call, **named)

    def build(self, input_shape: Any, generator: np.random.Generator) -> None:
        for one in self.both:
            one.build(first(input_shape), generator)
        within = [(f"{one.name}/{path}", part) for one in self.both for path, part in one.parts()]
        adopted(self, within)
        remembered = [parameter for one in self.both for parameter in one.remembered]
        for place, parameter in enumerate(remembered):
            parameter.name = f"rnn_state/{place}"
        self.parameters += remembered

    def output_shape(self, input_shape: Any) -> Any:
        sequence = first(input_shape)
        shape = first(self.both[0].output_shape(sequence))
        if self.merge_mode == "concat":
            shape = (*shape[:-1], 2 * shape[-1])
        outputs = [shape] if self.merge_mode else [shape] * 2
        if self.return_state:
            outputs += [shape for one in self.both for shape in one.carries]
        return outputs if len(outputs) > 1 else shape

    def compute_mask(self, x: Any, mask: Any) -> Any:
        mask = first(self.both[0].compute_mask(x, mask))
        outputs = [mask] if self.merge_mode else [mask] * 2
        if self.return_state:
            outputs += [None for one in self.both for _ in one.carries]
        return outputs if len(outputs) > 1 else mask

    def forward(
        self, x: Any, *, training: bool = False, mask: Any = None, masked: bool = False
    ) -> tuple[Any, Any]:
        x, *given = x if isinstance(x, list) else [x]
        starts = [given[: len(given) // 2], given[len(given) // 2 :]]
        ((h, *state), kept), ((h_back, *state_back), kept_back) = (
            (made if isinstance(made, list) else [made], kept)
            for made, kept in (
                one.forward([x, *start], training=training, mask=mask, masked=masked)
                for one, start in zip(self.both, starts, strict=True)
            )
        )
        h_back = self._turned(h_back)
        if self.merge_mode is None:
            outputs = [h, h_back]
        elif self.merge_mode == "concat":
            outputs = [np.concatenate([h, h_back], axis=-1)]
        elif self.merge_mode == "mul":
            outputs = [h * h_back]
        else:
            y = h + h_back
            outputs = [y / 2.0 if self.merge_mode == "ave" else y]
        outputs += [*state, *state_back]
        made = outputs if len(outputs) > 1 else outputs[0]
        states = state, state_back
        return made, (h, h_back, states, kept, kept_back, bool(given))

    def backward(self, dy: Any, saved: Any) -> Any:
        h, h_back, states, *kept, given = saved
        dy, *others = dy if isinstance(dy, list) else [dy]
        if self.merge_mode is None:
            dh, dh_back, *others = dy, *others
        elif dy is None:
            dh = dh_back = None
        elif self.merge_mode == "concat":
            dh, dh_back = np.split(dy, 2, axis=-1)
        elif self.merge_mode == "mul":
            dh, dh_back = dy * h_back, dy * h
        else:
            dh = dh_back = dy / 2.0 if self.merge_mode == "ave" else dy
        half = len(others) // 2
        arriving = [dh, *others[:half]], [dh_back, *others[half:]]
        for one, back, given_out in zip(self.both, arriving, _each(h, h_back, states), strict=True):
            if one.activity_regularizer is not None:
                for place, y in enumerate(given_out):
                    cost = one.activity_regularizer.activity_gradient(y, self.loss_scale)
                    back[place] = cost if back[place] is None else back[place] + cost
        arriving[1][0] = self._turned(arriving[1][0])
        dx, dstates = None, []
        for one, back, own in zip(self.both, arriving, kept, strict=True):
            if all(gradient is None for gradient in back):  # nothing depends on this layer
                dstates += [np.zeros((len(h), *shape), h.dtype) for shape in one.carries]
                continue
            made = one.backward(back, own)
            part, *dstart = made if isinstance(made, list) else [made]
            dx = part if dx is None else dx + part
            dstates += dstart
        return [dx, *dstates] if given else dx

    def costs_within(self, saved: Any) -> Iterator[Array]:
        for one, given_out in zip(self.both, _each(*saved[:3]), strict=True):
            if one.activity_regularizer is not None:
                yield from map(one.activity_regularizer.of_activity, given_out)

    def update_state(self, saved: Any) -> None:
        *_, kept, kept_back, _ = saved
        for one, own in zip(self.both, (kept, kept_back), strict=True):
            one.update_state(own)

    def _turned(self, sequence: Any) -> Any:
        """Return the steps in the other order, where there are several."""
        if sequence is None or not self.return_sequences:
            return sequence
        return sequence[:, ::-1]


def _each(h: Array, h_back: Array, states: tuple[list[Array], list[Array]]) -> list[list[Array]]:
    """Return all that each of the two layers gives."""
    return [[h, *states[0]], [h_back, *states[1]]]
