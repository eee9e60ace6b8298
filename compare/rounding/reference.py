"""The hand-written half, run on numbers that carry their rounding noise.

A `Reference` is a float64 copy of a manual network whose weights are set, step by step, to those
of the Keras half. Every map of it can be run alone, on Keras's own inputs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from compare.derivations import Derivation, location_of
from compare.rounding.gathered import Gathered
from compare.rounding.noise import Noisy
from compare.rounding.reference_update import Named, ReferenceUpdate
from compare.rounding.working_precision import UNIT_ROUNDOFF
from manual.backpropagation import Pass
from manual.graph import Node
from manual.heads import Head, as_target
from manual.layers import Layer
from manual.network import Network
from manual.recorded import Recorded


def replay(
    network: Network, drawn: Named, taken: Callable[[Any, Layer], Any] | None = None
) -> None:
    """Hand each stochastic layer of a network what was drawn in its place.

    Parameters
    ----------
    network : manual.Network
    drawn : mapping of str to array
        Under ``layer/0``, ``layer/1`` … for the first call, ``layer@2/0`` … for the second.
    taken : callable, optional
        What to make of each array, for a layer.
    """
    for layer in network.layers:
        names = [node.call for node in network.nodes if node.layer is layer and node.is_run]
        by_call = [
            [array for key, array in drawn.items() if key.rpartition("/")[0] == name]
            for name in names
        ]
        if layer.keeps_draws:
            by_call = [own or by_call[0] for own in by_call]
        arrays = [
            np.asarray(array) if taken is None else taken(array, layer)
            for own in by_call
            for array in own
        ]
        if arrays:
            layer.draws.replay(arrays)


class Reference:
    """The maps of a manual network, in float64 with rounding noise.

    Parameters
    ----------
    network : manual.Network
        Compiled; it is copied.
    fused : bool
        Whether Keras's step is compiled by XLA, which computes several maps in one go.
    """

    def __init__(self, network: Network, *, fused: bool = False) -> None:
        self.fused = fused
        self._original = network
        self._plain: Network | None = None
        self.network = network.copy("float64")
        self.network.values = self.network.gradients = np.zeros(0)  # each weight has its own, noisy
        self.network.slots = {}  # Keras's are handed to every update
        self.unit = UNIT_ROUNDOFF[network.precision]
        self.units = [self.unit_of(node.layer) for node in self.network.nodes]
        self.is_mixed = any(unit != self.unit for unit in self.units)
        if self.is_mixed:
            self.network.handed = self.handed  # type: ignore[method-assign]
            self.network.handed_back = self.handed_back  # type: ignore[method-assign]
        self.update = ReferenceUpdate(self.network, self.unit)
        self._derivations: dict[tuple[int, str], Derivation] = {}

    def derivation(self, owner: Any, quantity: str, method: str) -> Derivation:
        """Find the formula of a quantity and the line of the method that computes it."""
        key = (id(owner), quantity)
        if key not in self._derivations:
            self._derivations[key] = Derivation(
                layer=getattr(owner, "name", type(owner).__name__),
                formula=owner.derivation.get(quantity, ""),
                location=location_of(getattr(getattr(owner, "function", owner), method)),
            )
        return self._derivations[key]

    def unit_of(self, layer: Layer) -> float:
        """Return the unit roundoff of the precision that a layer computes in."""
        return UNIT_ROUNDOFF.get(layer.precision or "", self.unit)  # whole numbers need none

    def handed(self, index: int | None, numbers: Any) -> Any:
        """Bring numbers into the precision of a node, or, without one, of the weights and losses.

        In mixed precision, noise is counted in units of what a layer computes in.
        """
        if not isinstance(numbers, Noisy):
            return numbers
        if index is None:
            return numbers.in_unit(self.unit)
        return self._brought_to(self.network.nodes[index].layer, numbers)

    def handed_back(self, index: int, gradient: Any) -> Any:
        """Bring a gradient into the precision of the node at whose output it arrives."""
        if not isinstance(gradient, Noisy):
            return gradient
        return gradient.in_unit(self.unit_of(self.network.nodes[index].layer))

    def _brought_to(self, layer: Layer, numbers: Noisy) -> Noisy:
        """Bring numbers into the precision of a layer; indices of rows are none of its numbers."""
        if layer.takes_exact:
            return numbers
        return numbers.in_unit(self.unit_of(layer))

    def exact(self, array: Any, unit: float | None = None) -> Noisy:
        """Take an array as it is given: its numbers are inputs, without noise."""
        given = array if isinstance(array, Recorded) else np.array(array)
        return Noisy(given, unit=self.unit if unit is None else unit)

    def taken(self, array: Any, expected: Noisy) -> Noisy:
        """Return what a map takes from the one before it, which Keras shows as this array.

        Where XLA computes both in one go, what passes between them isn't rounded as it is where it
        is shown, or is computed again: then it is known to within the noise of its map.
        """
        found = self.exact(array, expected.unit)
        if self.fused:
            found.variance = expected.variance
        return found

    def load(self, weights: Named, slots: Mapping[str, Named] | None = None) -> None:
        """Take over Keras's weights, and the loss scale where it is among the slots."""
        scale = (slots or {}).get("dynamic_scale")
        if scale is not None:
            self.network.slots["dynamic_scale"] = np.reshape(scale["all weights"], 1)
        for name, parameter in self.network.parameters.items():
            value = self.exact(weights[name])
            unit = self.unit_of(self.network.owners[name])
            parameter.value = value.in_unit(unit) if parameter.autocast else value

    def plain(self, weights: Named) -> Network:
        """Return a network in plain float64 numbers with the given weights."""
        if self._plain is None:
            self._plain = self._original.copy("float64")
        self._plain.set_weights(weights)
        return self._plain

    def clear_gradients(self) -> None:
        for parameter in self.network.parameters.values():
            value, unit = None, self.unit
            if isinstance(parameter.value, Noisy):  # in the precision of its layer
                value, unit = parameter.value.value, parameter.value.unit
            recorded = isinstance(value, Recorded)
            zeros = np.zeros_like(value) if recorded else np.zeros(parameter.shape)
            parameter.gradient = Noisy(zeros, unit=unit)
            parameter.rows.clear()

    def replay(self, drawn: Named) -> None:
        """Let the stochastic layers use, in their next forward pass, what Keras drew."""
        replay(self.network, drawn, lambda array, layer: self.exact(array, self.unit_of(layer)))

    # ------------------------------------------------------------------ one node alone

    def forward(
        self, node: Node, inputs: list[Noisy], options: Mapping[str, Any] | None = None
    ) -> tuple[Any, Any]:
        """Run one node on the given inputs; ``options`` holds the mask, if there is one.

        What it gives is a list where the node is the first of several outputs.
        """
        if self.is_mixed:
            inputs = [self._brought_to(node.layer, one) for one in inputs]
        taken = inputs[0] if len(inputs) == 1 else inputs
        told = {"training": True, **node.options, **(options or {})}
        value, saved = node.layer.forward(taken, **told)
        if not isinstance(value, (list, Noisy)):  # whole numbers, made without any rounding
            value = self.exact(value)
        return value, saved

    def backward(self, node: Node, dy: Any, saved: Any) -> list[Noisy]:
        """Run one node's derivative; the gradients of its weights are added to."""
        dx = node.layer.backward(dy, saved)
        shares = list(dx) if isinstance(dx, list) else [dx]
        if any(_has_burst(one) for one in (dy if isinstance(dy, list) else [dy])):
            shares = [one if one is None else _left_open(one) for one in shares]
        return [self.handed_back(to, one) for to, one in zip(node.inputs, shares, strict=True)]

    def head(
        self, head: Head, target: Any, read: Noisy, sample_weight: Any, mask: Any = None
    ) -> tuple[Noisy, Noisy]:
        """Return one output's weighted loss and its gradient at what the loss reads."""
        read = self.handed(None, read)
        value, saved = head.loss.forward(
            as_target(target, read),
            read,
            logits=head.from_logits,
            sample_weight=sample_weight,
            mask=mask,
        )
        gradient = head.loss.backward(saved) * (head.weight * self.network.loss_scale)
        return value * head.weight, self.handed_back(head.reads, gradient)

    # ------------------------------------------------------------------ a whole step

    def whole(
        self, x: Any, y: Any, sample_weight: Any, drawn: Named | None = None
    ) -> tuple[Pass, Noisy]:
        """Run forward and backward from the data; the weights' gradients are left behind."""
        self.clear_gradients()
        self.replay(drawn or {})
        inputs = x if isinstance(x, (list, tuple)) else [x]
        run = self.network.forward([self.exact(one) for one in inputs], training=True)
        loss, upstream = self.network.loss(run, y, sample_weight)
        self.network.backward(run, upstream)
        return run, loss

    def states(self, saved: Sequence[Any]) -> dict[str, Noisy]:
        """Return what layers remember after a forward pass, given what it saved at each node."""
        return {
            name: value
            for name, value in self._after_forward(saved).items()
            if self.network.parameters[name].is_state
        }

    def updated_from(self, weights: Named, saved: Sequence[Any]) -> Named:
        """Return the weights that the update starts from: what the forward pass left of them."""
        named = [name for name, one in self.network.parameters.items() if one.is_prepared]
        if not named:
            return weights
        after = self._after_forward(saved)
        return {**weights, **{name: after[name] for name in named}}

    def _after_forward(self, saved: Sequence[Any]) -> dict[str, Noisy]:
        before = {
            parameter: parameter.value
            for _, layer in self.network.stateful
            for parameter in layer.parameters
            if parameter.is_state or parameter.is_prepared
        }
        for parameter, value in before.items():
            parameter.value = self.exact(value.value.copy(), value.unit)
        for index, layer in self.network.stateful:
            layer.update_state(saved[index])
        after = {
            name: self.handed(None, parameter.value)
            for name, parameter in self.network.parameters.items()
            if parameter in before
        }
        for parameter, value in before.items():
            parameter.value = value
        return after

    def gradients(self) -> dict[str, Noisy]:
        """Return the gradients of the trainable weights as they have added up.

        That of a table knows of which rows it is the sum.
        """
        return {
            name: self.gathered(self.handed(None, parameter.gradient), parameter.gathered())
            for name, parameter in self.network.parameters.items()
            if parameter.trainable
        }

    def gathered(self, gradient: Any, rows: tuple[Any, Any] | None) -> Any:
        """Let a table's gradient know of which rows it is the sum."""
        if rows is None:
            return gradient
        numbers, given = rows
        noisy = self.handed(None, given) if isinstance(given, Noisy) else self.exact(given)
        return Gathered(np.asarray(numbers, np.intp), noisy, gradient.shape)


def _has_burst(gradient: Noisy | None) -> bool:
    """Say whether a gradient has overflown, as it may in float16 under a large loss scale."""
    if gradient is None or isinstance(gradient.value, Recorded):
        return False
    return not bool(np.isfinite(gradient.value).all())


def _left_open(share: Noisy) -> Noisy:
    """Leave open what became of ∞ · 0: NaN, or 0 where what is multiplied by 0 is left out.

    In float64 the reference has overflown where Keras has.
    """
    if share.unit <= UNIT_ROUNDOFF["float64"]:
        return share
    unknown = np.isnan(share.value)
    noise = np.where(unknown, np.inf, share.noise)
    return Noisy(np.where(unknown, 0.0, share.value), noise, unit=share.unit)
