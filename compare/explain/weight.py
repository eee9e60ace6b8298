"""The chain rule of one weight, and its update, written out."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from compare.explain.page import MOST_SAMPLES, Page
from manual.heads import as_target
from manual.layers import Dense


class WeightPage(Page):
    """One weight of a dense layer."""

    def of_weight(self, name: str, index: tuple[int, ...]) -> Iterator[str]:
        """Write out the chain rule for one weight, and its update."""
        yield from self.title()
        layer_name, kind = name.rsplit("/", 1)
        node = next(
            i
            for i, n in enumerate(self.network.nodes)
            if n.layer.name == layer_name and isinstance(n.layer, Dense)
        )
        unit = index[-1]
        source = self.network.nodes[node].inputs[0]
        w = self.symbol(name, *index)
        samples = range(len(self.step.record.x))
        yield self.columns("The chain rule")
        for sample in list(samples)[:MOST_SAMPLES]:
            if len(samples) > 1:
                yield f"sample {sample + 1} of {len(samples)}"
            yield from self.delta(node, sample, unit)
            net, E = self.node_symbol(node, unit), self.E
            if kind == "kernel":
                x = self.activation(source, sample, index[0])
                at_input = self.node_symbol(source, index[0])
                yield self.row(f"∂{net}/∂{w} = {at_input}", x)
            else:
                x = (1.0, 1.0)
                yield self.row(f"∂{net}/∂{w}", x)
            dz = self.gradient(node, sample, unit)
            assert dz is not None
            share = (dz[0] * x[0], dz[1] * x[1])
            if len(samples) > 1:
                yield self.row(f"product, this sample's share of ∂{E}/∂{w}", share)
        if len(samples) > MOST_SAMPLES:
            yield f"… and so on for {len(samples) - MOST_SAMPLES} more samples"
        total = self.weight_gradient(name, index)
        yield self.row(self.chain(node, unit, w, len(samples)), total)
        if len(samples) == 1:
            yield f"    = {self.product(node, unit, index, kind, source)}"
        yield ""
        yield from self.old_and_new(name, index)

    def chain(self, node: int, unit: int, w: str, samples: int) -> str:
        factors = "Σ of the samples' shares" if samples > 1 else "their product"
        return f"∂{self.E}/∂{w}, {factors}"

    def product(self, node: int, unit: int, index: tuple[int, ...], kind: str, source: int) -> str:
        """Write ∂E/∂out · ∂out/∂net · ∂net/∂w with this step's numbers."""
        x = self.activation(source, 0, index[0])[0] if kind == "kernel" else 1.0
        after = self.activation_after(node)
        dz = self.gradient(node, 0, unit)
        assert dz is not None
        da = None if after is None else self.gradient(after, 0, unit)
        if da is None or after is None:
            return f"{_signed(dz[0], 9)} · {_signed(x, 9)}"
        local = self.local(after, 0, unit)
        return f"{_signed(da[0], 9)} · {_signed(local, 9)} · {_signed(x, 9)}"

    def delta(self, node: int, sample: int, unit: int) -> Iterator[str]:
        """Write ∂E/∂net of one unit: from the loss, or from the units to the right."""
        E, net = self.E, self.node_symbol(node, unit)
        dz = self.gradient(node, sample, unit)
        assert dz is not None
        after = self.activation_after(node)
        if after is None or self.gradient(after, sample, unit) is None:
            how = ""
            if self.head.reads == node and self.head.from_logits:
                yield f"  {type(self.head.loss).__name__} and the activation, taken together:"
            elif self.head.reads == node:
                how = " = " + self.head.loss.derivation["input gradient"].split("dp = ")[-1]
            yield self.row(f"∂{E}/∂{net}{how}", dz)
            return
        out = self.node_symbol(after, unit)
        da = self.gradient(after, sample, unit)
        assert da is not None
        if self.head.reads == after:
            target = as_target(np.asarray(self.step.record.y), self.values[after])
            yield f"  target {float(target[sample, unit]):.10g}"
        yield from self.from_the_right(after, sample, unit)
        yield self.row(f"∂{E}/∂{out}", da)
        local = self.local(after, sample, unit)
        theirs = dz[1] / da[1] if da[1] else local
        yield self.row(f"∂{out}/∂{net}", (local, theirs))

    def from_the_right(self, after: int, sample: int, unit: int) -> Iterator[str]:
        """Write ∂E/∂out = Σ ∂E/∂net · w over the units that this one feeds."""
        for index, node in enumerate(self.network.nodes):
            if after not in node.inputs or not isinstance(node.layer, Dense):
                continue
            kernel = self.step.weights[f"{node.layer.name}/kernel"]
            parts, numbers = [], []
            for k in range(kernel.shape[1]):
                dz = self.gradient(index, sample, k)
                assert dz is not None
                w = self.symbol(f"{node.layer.name}/kernel", unit, k)
                parts.append(f"∂{self.E}/∂{self.node_symbol(index, k)} · {w}")
                numbers.append(f"{_signed(dz[0], 9)} · {_signed(kernel[unit, k], 9)}")
            if len(parts) <= 3:
                yield f"  ∂{self.E}/∂{self.node_symbol(after, unit)} = {' + '.join(parts)}"
                yield f"    = {' + '.join(numbers)}"
            else:
                yield f"  the sum of {len(parts)} products, one for each unit of {node.layer.name}:"

    def old_and_new(self, name: str, index: tuple[int, ...]) -> Iterator[str]:
        w = self.symbol(name, *index)
        record = self.step.record
        yield self.columns("The update")
        old = (float(self.step.weights[name][index]), float(record.before[name][index]))
        new = (float(self.step.new_weights[name][index]), float(record.after[name][index]))
        yield self.row(f"{w} before", old)
        yield self.row(f"{w}⁺ after", new)
        optimizer = self.network.optimizer
        constraint = self.network.parameters[name].constraint
        assert optimizer is not None
        if constraint is not None:
            yield f"  {constraint.derivation['weight']}: this weight is held where it is"
        elif type(optimizer).__name__ == "SGD" and not optimizer.slot_names:
            gradient = self.weight_gradient(name, index)[0]
            yield (
                f"  {w}⁺ = {w} − η · ∂{self.E}/∂{w} = {old[0]:.9g} − {record.learning_rate:g} · "
                f"{_signed(gradient, 9)}"
            )
        else:
            yield f"  {optimizer.derivation['weight']}"


def _signed(number: float, digits: int) -> str:
    """Write a number as a factor: in brackets where it is negative."""
    written = f"{number:.{digits}g}"
    return f"({written})" if number < 0 else written
