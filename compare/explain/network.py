"""A whole step written out: forward, then layer by layer backwards, old → new weight."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from compare.explain.page import LARGEST_WRITTEN_OUT, MOST_SAMPLES, Page
from manual.layers import Dense


class NetworkPage(Page):
    """Every layer of the network."""

    def whole(self) -> Iterator[str]:
        yield from self.title()
        small = sum(w.size for w in self.step.weights.values()) <= LARGEST_WRITTEN_OUT
        samples = range(min(self.step.samples, MOST_SAMPLES)) if small else range(0)
        if not small:
            yield (
                f"{sum(w.size for w in self.step.weights.values())} weights are too many to write "
                "out; here is each layer's largest number."
            )
            name = next(iter(self.step.weights))
            yield f"For one weight: --weight '{name}[0,0]'"
            yield ""
        yield self.columns("Forward")
        for index, node in enumerate(self.network.nodes):
            if not small and not node.is_input:
                yield self.largest(node.name, self.values[index], "activation")
            for sample in samples:
                for unit in range(self.values[index].shape[-1]):
                    what = self.node_symbol(index, unit) + self.of(sample)
                    yield self.row(what, self.activation(index, sample, unit))
            if small:
                forward = getattr(node.layer, "derivation", {}).get("forward", "")
                if not node.is_input:
                    yield f"    {forward}"
        yield self.row(self.E, (self.step.loss, float(self.step.tape["loss"]["total"])))
        yield f"    {self.head.loss.derivation['forward']}"
        yield ""
        for index in reversed(range(len(self.network.nodes))):
            node = self.network.nodes[index]
            if isinstance(node.layer, Dense):
                yield from self.layer(index, samples, small)
        if self.step.samples > MOST_SAMPLES and small:
            yield f"(the first {MOST_SAMPLES} of {self.step.samples} samples)"

    def layer(self, index: int, samples: range, small: bool) -> Iterator[str]:
        """Write one layer backwards: from the right, local, to the weights, to the left."""
        node, E = self.network.nodes[index], self.E
        name = node.layer.name
        after = self.activation_after(index)
        yield self.columns(f"Backward through {name}")
        if not small:
            yield self.largest(
                f"{name}/pre_activation",
                self.step.run.gradients[index],
                "activation gradient",
                node.name,
            )
            for weight in node.layer.parameters:
                full = f"{name}/{weight.name}"
                yield self.pair_of_largest(
                    f"∂{E}/∂{full}",
                    self.step.weight_gradients[full],
                    self.step.record.gradients[full],
                )
            yield ""
            return
        for sample in samples:
            for unit in range(self.values[index].shape[-1]):
                net = self.node_symbol(index, unit)
                da = None if after is None else self.gradient(after, sample, unit)
                dz = self.gradient(index, sample, unit)
                assert dz is not None
                if after is not None and da is not None:
                    out = self.node_symbol(after, unit)
                    yield self.row(f"from the right ∂{E}/∂{out}{self.of(sample)}", da)
                    local = self.local(after, sample, unit)
                    yield self.row(
                        f"local ∂{out}/∂{net}{self.of(sample)}",
                        (local, dz[1] / da[1] if da[1] else local),
                    )
                yield self.row(f"∂{E}/∂{net}{self.of(sample)}", dz)
        for weight in node.layer.parameters:
            full = f"{name}/{weight.name}"
            for place in _unit_by_unit(weight.shape):
                w = self.symbol(full, *place)
                yield self.row(f"to the weights ∂{E}/∂{w}", self.weight_gradient(full, place))
        source = node.inputs[0]
        if not self.network.nodes[source].is_input:
            for sample in samples:
                for unit in range(self.values[source].shape[-1]):
                    pair = self.gradient(source, sample, unit)
                    if pair is not None:
                        what = f"to the left ∂{E}/∂{self.node_symbol(source, unit)}"
                        yield self.row(what + self.of(sample), pair)
        for weight in node.layer.parameters:
            full = f"{name}/{weight.name}"
            for place in _unit_by_unit(weight.shape):
                w = self.symbol(full, *place)
                old = self.step.weights[full][place]
                new = (
                    float(self.step.new_weights[full][place]),
                    float(self.step.record.after[full][place]),
                )
                yield self.row(f"{w}: {old:.9g} →", new)
        for quantity, formula in node.layer.derivation.items():
            if quantity != "forward":
                yield f"    {quantity}: {formula}"
        yield ""

    def largest(self, what: str, mine: Any, phase: str, name: str | None = None) -> str:
        theirs = self.step.tape[phase].get(name or what, mine)
        return self.pair_of_largest(what, mine, theirs)

    def pair_of_largest(self, what: str, mine: Any, theirs: Any) -> str:
        index = np.unravel_index(int(np.abs(mine).argmax()), mine.shape)
        place = ",".join(map(str, index))
        return self.row(f"{what}[{place}]", (float(mine[index]), float(theirs[index])))


def _unit_by_unit(shape: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    """Run through a weight's indices, all that lead into one unit together."""
    return (index[::-1] for index in np.ndindex(*shape[::-1]))
