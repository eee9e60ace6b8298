"""One unit, forward and backward, written out."""

from __future__ import annotations

from collections.abc import Iterator

from compare.explain.chain import ChainPage, signed
from compare.explain.page import LARGEST_WRITTEN_OUT, MOST_SAMPLES
from manual.layers import Dense


class UnitPage(ChainPage):
    """One unit of a dense layer, or of an input."""

    most_products = LARGEST_WRITTEN_OUT

    def places(self) -> dict[str, int]:
        """Return the nodes whose units can be written out, under every name that they go by.

        A unit is a dense layer's sum together with the activation of it.
        """
        found: dict[str, int] = {}
        for index, node in enumerate(self.network.nodes):
            if self.values[index].ndim != 2:
                continue
            if node.is_input:
                found[node.name] = index
            elif isinstance(node.layer, Dense):
                found[node.name] = index
                after = self.activation_after(index)
                if after is not None:
                    found[self.network.nodes[after].name] = index
        return found

    def of_unit(self, node: int, unit: int) -> Iterator[str]:
        """Write out a unit's sum and activation, and the gradient that comes back to it."""
        if self.network.nodes[node].is_input:
            yield from self.of_input(node, unit)
            return
        yield self.columns("Forward")
        for sample in self.shown():
            yield from self.which(sample)
            yield from self.forward(node, sample, unit)
        yield from self.rest()
        yield ""
        yield self.columns("Backward")
        for sample in self.shown():
            yield from self.which(sample)
            yield from self.backward(node, sample, unit)
        yield from self.rest()

    def of_input(self, node: int, unit: int) -> Iterator[str]:
        """Write out what is fed, and what it is in the way back."""
        x = self.node_symbol(node, unit)
        yield self.columns("Forward")
        for sample in self.shown():
            yield self.row(f"{x}{self.of(sample)}", self.activation(node, sample, unit))
        yield from self.rest()
        yield ""
        yield "Backward"
        yield f"  {x} is data: nothing about it is learnt, and no gradient comes back to it."
        if any(isinstance(self.network.nodes[one].layer, Dense) for one in self.users(node)):
            yield f"  Of each weight w that leads from it to a sum net, ∂net/∂w = {x}."

    def forward(self, node: int, sample: int, unit: int) -> Iterator[str]:
        """Write net = Σ w · x + b, and what the activation makes of it."""
        layer, net = self.network.nodes[node].layer, self.node_symbol(node, unit)
        source = self.network.nodes[node].inputs[0]
        kernel = self.step.weights[f"{layer.name}/kernel"]
        products = [
            (
                f"{self.symbol(f'{layer.name}/kernel', i, unit)} · {self.node_symbol(source, i)}",
                f"{signed(kernel[i, unit], 9)} · {signed(self.values[source][sample, i], 9)}",
            )
            for i in range(len(kernel))
        ]
        bias = self.step.weights.get(f"{layer.name}/bias")
        rest = []
        if bias is not None:
            rest = [(self.symbol(f"{layer.name}/bias", unit), signed(bias[unit], 9))]
        yield from self.sum_of(net, products, "number that it takes", rest)
        yield self.row(net, self.activation(node, sample, unit))
        after = self.activation_after(node)
        if after is not None:
            yield f"  {self.network.nodes[after].layer.derivation.get('forward', '')}"
            yield self.row(self.node_symbol(after, unit), self.activation(after, sample, unit))

    def backward(self, node: int, sample: int, unit: int) -> Iterator[str]:
        """Write the gradient from the right, the local derivative, and their product."""
        for head in self.heads_at(node):
            yield from self.target(head, head.output, sample, unit)
        yield from self.delta(node, sample, unit)
        after, dz = self.factor_after(node, sample), self.gradient(node, sample, unit)
        if after is None or dz is None or len(self.handed_on(node, after, sample, unit)) > 1:
            return
        da = self.gradient(after, sample, unit)
        assert da is not None
        yield self.row(f"∂{self.E}/∂{self.node_symbol(node, unit)}, their product", dz)
        yield f"    = {signed(da[0], 9)} · {signed(self.local(after, sample, unit), 9)}"

    def shown(self) -> range:
        return range(min(self.step.samples, MOST_SAMPLES))

    def which(self, sample: int) -> Iterator[str]:
        if self.step.samples > 1:
            yield f"sample {sample + 1} of {self.step.samples}"

    def rest(self) -> Iterator[str]:
        more = self.step.samples - MOST_SAMPLES
        if more > 0:
            yield f"… and so on for {more} more samples"
