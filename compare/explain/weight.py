"""The chain rule of one weight, and its update, written out."""

from __future__ import annotations

from collections.abc import Iterator

from compare.explain.chain import ChainPage, signed
from compare.explain.page import MOST_SAMPLES
from manual.constraints import Constant
from manual.layers import Dense
from manual.optimizers import Optimizer

AROUND = (
    "weight_decay",
    "clipnorm",
    "global_clipnorm",
    "clipvalue",
    "gradient_accumulation_steps",
    "ema_overwrite_frequency",
)
"""Settings of an optimizer beside its rule."""


class WeightPage(ChainPage):
    """One weight of a dense layer."""

    def of_weight(self, name: str, index: tuple[int, ...]) -> Iterator[str]:
        """Write out the chain rule for one weight, and its update."""
        node, w = self.node_of(name), self.symbol(name, *index)
        unit, net, E = index[-1], self.node_symbol(self.node_of(name), index[-1]), self.E
        samples = range(self.step.samples)
        yield self.columns("The chain rule")
        if self.step.run.gradients[node] is None:
            yield f"  the loss doesn't depend on {net}"
            yield ""
            yield from self.old_and_new(name, index)
            return
        for sample in samples[:MOST_SAMPLES]:
            if len(samples) > 1:
                yield f"sample {sample + 1} of {len(samples)}"
            yield from self.delta(node, sample, unit)
            by_w = self.by_weight(node, sample, index)
            at_input = ""
            if len(index) > 1:
                at_input = f" = {self.node_symbol(self.source(node), index[0])}"
            yield self.row(f"∂{net}/∂{w}{at_input}", by_w)
            if len(samples) > 1:
                share = self.share(node, sample, index)
                yield self.row(f"product, this sample's share of ∂{E}/∂{w}", share)
        if len(samples) > MOST_SAMPLES:
            yield f"… and so on for {len(samples) - MOST_SAMPLES} more samples"
        yield from self.together(node, name, index)
        yield ""
        yield from self.old_and_new(name, index)

    def node_of(self, name: str) -> int:
        """Return the call of the dense layer that a weight belongs to."""
        owner = self.network.owners[name]
        return next(
            index
            for index, node in enumerate(self.network.nodes)
            if node.layer is owner and isinstance(owner, Dense)
        )

    def source(self, node: int) -> int:
        return self.network.nodes[node].inputs[0]

    def by_weight(self, node: int, sample: int, index: tuple[int, ...]) -> tuple[float, float]:
        """Return ∂net/∂w: what the weight is multiplied by; of a bias, 1."""
        if len(index) == 1:
            return 1.0, 1.0
        return self.activation(self.source(node), sample, index[0])

    def share(self, node: int, sample: int, index: tuple[int, ...]) -> tuple[float, float]:
        """Return one sample's share of a weight's gradient."""
        dz, by_w = self.gradient(node, sample, index[-1]), self.by_weight(node, sample, index)
        assert dz is not None
        return dz[0] * by_w[0], dz[1] * by_w[1]

    def together(self, node: int, name: str, index: tuple[int, ...]) -> Iterator[str]:
        """Write a weight's gradient: of all samples together, and what the weight itself costs."""
        slope, parameter = f"∂{self.E}/∂{self.symbol(name, *index)}", self.network.parameters[name]
        one = self.step.samples == 1
        how = "their product" if one else "Σ of the samples' shares"
        total = self.weight_gradient(name, index)
        penalty = parameter.regularizer if parameter.trainable else None
        if penalty is None:
            yield self.row(f"{slope}, {how}", total)
        else:
            shares = [self.share(node, sample, index) for sample in range(self.step.samples)]
            yield self.row(how, (sum(mine for mine, _ in shares), sum(one for _, one in shares)))
        if one:
            yield f"    = {self.product(node, index)}"
        if penalty is not None:
            own = float(penalty.backward(self.step.weights[name])[index])
            yield f"  the penalty's part {own:.10g}, of {penalty.derivation['gradient']}"
            yield self.row(f"{slope}, with the penalty's part", total)

    def product(self, node: int, index: tuple[int, ...]) -> str:
        """Write ∂E/∂out · ∂out/∂net · ∂net/∂w with this step's numbers."""
        unit, by_w = index[-1], signed(self.by_weight(node, 0, index)[0], 9)
        after, dz = self.factor_after(node, 0), self.gradient(node, 0, unit)
        assert dz is not None
        if after is None or len(self.handed_on(node, after, 0, unit)) > 1:
            return f"{signed(dz[0], 9)} · {by_w}"
        da = self.gradient(after, 0, unit)
        assert da is not None
        return f"{signed(da[0], 9)} · {signed(self.local(after, 0, unit), 9)} · {by_w}"

    def old_and_new(self, name: str, index: tuple[int, ...]) -> Iterator[str]:
        w = self.symbol(name, *index)
        record = self.step.record
        yield self.columns("The update")
        old = (float(self.step.weights[name][index]), float(record.before[name][index]))
        new = (float(self.step.new_weights[name][index]), float(record.after[name][index]))
        yield self.row(f"{w} before", old)
        yield self.row(f"{w}⁺ after", new)
        optimizer, parameter = self.network.optimizer, self.network.parameters[name]
        assert optimizer is not None
        around = self.around(optimizer, name)
        if not parameter.trainable:
            yield "  this weight is not trained: it stays as it is"
        elif isinstance(parameter.constraint, Constant):
            yield f"  {parameter.constraint.derivation['weight']}: this weight is held where it is"
        elif type(optimizer).__name__ == "SGD" and not optimizer.slot_names and not around:
            gradient = self.weight_gradient(name, index)[0]
            yield (
                f"  {w}⁺ = {w} − η · ∂{self.E}/∂{w} = {old[0]:.9g} − {record.learning_rate:g} · "
                f"{signed(gradient, 9)}"
            )
        else:
            moving = "weight with momentum" if "momentum" in optimizer.slot_names else ""
            yield f"  {optimizer.derivation.get(moving, optimizer.derivation['weight'])}"
        if parameter.trainable and not isinstance(parameter.constraint, Constant):
            if around:
                yield f"  around this rule: {', '.join(around)}"
            if parameter.constraint is not None:
                yield f"  then the constraint: {parameter.constraint.derivation['weight']}"

    def around(self, optimizer: Optimizer, name: str) -> list[str]:
        """Return what an optimizer does beside its rule: to gradients before, to weights after."""
        settings = {setting: getattr(optimizer, setting) for setting in AROUND}
        if name in optimizer.excluded_from_weight_decay:
            settings["weight_decay"] = None
        return [f"{setting} {value:.7g}" for setting, value in settings.items() if value]
