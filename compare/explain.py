"""One training step of a case written out: forward, the chain rule, old → new weight.

Every number is shown twice, by hand and from Keras; the symbols are the tutorial's own.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from compare.cases.base import Case, Run, Settings
from compare.casework import KerasHalf, ManualHalf, advance, built, precision
from compare.errors import BadInput
from keras_models import naming
from keras_models.callbacks import Recorder, StepRecord, StopWhenClose
from keras_models.stepper import Stepper
from manual.layers import Activation, Dense
from manual.network import Network, Pass, as_target

LARGEST_WRITTEN_OUT = 60
"""A network with more weights than this is shown by layers, not by elements."""
MOST_SAMPLES = 3


@dataclass
class Step:
    """Both halves at one training step.

    ``weights`` and ``new_weights`` are the hand-written half's, before and after; ``tape`` and
    ``record`` are Keras's.
    """

    network: Network
    run: Pass
    loss: float
    weights: dict[str, np.ndarray]
    weight_gradients: dict[str, np.ndarray]
    new_weights: dict[str, np.ndarray]
    record: StepRecord
    tape: dict[str, dict[str, np.ndarray]]


def take_step(case: Case, number: int, settings: Settings | None = None) -> tuple[Run, Step]:
    """Train both halves of a case up to a step and return what that step computed."""
    run = (settings or Settings()).applied(case.runs[0])
    steps_per_epoch = -(-len(run.x) // run.batch_size)
    found: list[Step] = []
    with precision(run.dtype):
        model, network = built(run)
        stepper = Stepper(model)
        skipped = 0
        if _runs_through_the_rows(run, network):
            skipped = (number - 1) // steps_per_epoch * steps_per_epoch
            keras_half = KerasHalf(
                run, stepper, {n: p.value for n, p in network.parameters.items()}
            )
            advance(keras_half, ManualHalf(run, network), skipped)
            for name, variable in naming.weights(model).items():
                variable.assign(keras_half.weights[name])

        def on_step(record: StepRecord) -> None:
            if record.step < number - skipped:
                network.train_step(record.x, record.y)
                return
            tape = stepper.step(
                record.before,
                record.slots_before,
                record.iterations,
                record.learning_rate,
                record.x,
                record.y,
                seeds=record.seeds,
            )
            found.append(_by_hand(network, record, tape))
            model.stop_training = True

        recorder = Recorder(on_step)
        callbacks: list[Any] = [recorder]
        if run.stop_when_close is not None:
            callbacks.append(StopWhenClose(run.x, run.y, run.stop_when_close))
        kept = int(np.floor(len(run.x) * (1.0 - run.validation_split)))
        try:
            model.fit(
                run.x[:kept].astype(run.dtype),
                run.y[:kept].astype(run.dtype),
                batch_size=run.batch_size,
                epochs=-(-(number - skipped) // steps_per_epoch) + 1,
                shuffle=run.shuffle,
                verbose=0,
                callbacks=callbacks,
            )
        finally:
            recorder.restore()
    if not found:
        raise BadInput(f"The training of {case.name} ends before step {number}.")
    return run, found[0]


def _runs_through_the_rows(run: Run, network: Network) -> bool:
    """Say whether whole epochs can be trained without looking: nothing but weights changes."""
    assert network.optimizer is not None
    return not (
        run.shuffle
        or run.validation_split
        or run.stop_when_close is not None
        or network.optimizer.slot_names
    )


def _by_hand(network: Network, record: StepRecord, tape: Any) -> Step:
    """Let the hand-written half take the step, and keep what it computed on the way."""
    weights = {name: p.value.copy() for name, p in network.parameters.items()}
    run = network.forward(record.x, training=True)
    loss, upstream = network.loss(run, record.y)
    network.clear_gradients()
    network.backward(run, upstream)
    gradients = {name: p.gradient.copy() for name, p in network.parameters.items()}
    network.update()
    return Step(
        network=network,
        run=run,
        loss=float(loss),
        weights=weights,
        weight_gradients=gradients,
        new_weights={name: p.value.copy() for name, p in network.parameters.items()},
        record=record,
        tape=tape,
    )


def explain(
    case: Case, *, step: int = 1, weight: str | None = None, settings: Settings | None = None
) -> str:
    """Return the explanation of a case's step as text, at most 80 columns wide.

    Parameters
    ----------
    case : Case
    step : int
        Counted from 1.
    weight : str, optional
        One weight, as ``hidden/kernel[0,1]`` or by the tutorial's own symbol (``w5``).
    """
    target = None if weight is None else weight_place(case, weight)
    run, taken = take_step(case, step, settings)
    page = _Page(case, run, taken, step)
    if target is None:
        return _text(page.whole())
    name, index = target
    if name not in taken.weights:
        raise BadInput(
            f"{case.name} has no weight {name!r}. Its weights: {', '.join(taken.weights)}."
        )
    shape = taken.weights[name].shape
    if len(index) != len(shape) or any(i >= size for i, size in zip(index, shape, strict=False)):
        raise BadInput(
            f"{name} has the shape {shape}: give {len(shape)} indices from 0, as in "
            f"{name}[{','.join('0' * len(shape))}]. Received: {list(index)}."
        )
    return _text(page.of_weight(name, index))


def _text(lines: Iterator[str]) -> str:
    """Join lines, folding the long ones (formulas, titles) at 80 columns."""
    folded = []
    for line in "\n".join(lines).splitlines():
        indent = " " * (len(line) - len(line.lstrip()) + 2)
        folded += textwrap.wrap(line, 80, subsequent_indent=indent) if len(line) > 80 else [line]
    return "\n".join(folded)


def _signed(number: float, digits: int) -> str:
    """Write a number as a factor: in brackets where it is negative."""
    written = f"{number:.{digits}g}"
    return f"({written})" if number < 0 else written


def _unit_by_unit(shape: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    """Run through a weight's indices, all that lead into one unit together."""
    return (index[::-1] for index in np.ndindex(*shape[::-1]))


def weight_place(case: Case, asked: str) -> tuple[str, tuple[int, ...]]:
    """Read ``hidden/kernel[0,1]`` or a symbol of the case."""
    for place, symbol in case.symbols.items():
        if symbol == asked and "/" in place and "pre_activation" not in place:
            asked = place
            break
    match = re.fullmatch(r"([\w@/]+)\[(\d+(?:,\s*\d+)*)\]", asked)
    if match is None:
        symbols = sorted(
            {s for place, s in case.symbols.items() if re.search(r"/(kernel|bias)\[", place)}
        )
        own = f" (or one of {', '.join(symbols)})" if symbols else ""
        raise BadInput(f"A weight is written like hidden/kernel[0,1]{own}. Received: {asked!r}.")
    return match[1], tuple(int(i) for i in match[2].split(","))


class _Page:
    """Writes one step out."""

    def __init__(self, case: Case, run: Run, step: Step, number: int) -> None:
        self.case, self.settings, self.step, self.number = case, run, step, number
        self.network, self.values = step.network, step.run.values
        self.E = case.error
        self.head = self.network.heads[0]

    # ------------------------------------------------------------------ names and numbers

    def symbol(self, name: str, *index: int) -> str:
        place = f"{name}[{','.join(map(str, index))}]"
        return self.case.symbols.get(place, place)

    def node_symbol(self, node: int, unit: int) -> str:
        name = "input" if self.network.nodes[node].is_input else self.network.nodes[node].name
        return self.symbol(name, unit)

    def activation(self, node: int, sample: int, unit: int) -> tuple[float, float]:
        mine = float(self.values[node][sample, unit])
        name = self.network.nodes[node].name
        theirs = self.step.tape["activation"].get(name)
        return mine, mine if theirs is None else float(theirs[sample, unit])

    def gradient(self, node: int, sample: int, unit: int) -> tuple[float, float] | None:
        mine = self.step.run.gradients[node]
        if mine is None:
            return None
        theirs = self.step.tape["activation gradient"].get(self.network.nodes[node].name)
        value = float(mine[sample, unit])
        return value, value if theirs is None else float(theirs[sample, unit])

    def weight_gradient(self, name: str, index: tuple[int, ...]) -> tuple[float, float]:
        theirs = self.step.record.gradients.get(name)
        mine = float(self.step.weight_gradients[name][index])
        return mine, mine if theirs is None else float(theirs[index])

    def row(self, what: str, pair: tuple[float, float]) -> str:
        label = what if len(what) <= 38 else f"{what}\n{'':<40}"
        return f"  {label:<38} {pair[0]:>18.10g}  {pair[1]:>18.10g}"

    def title(self) -> Iterator[str]:
        record = self.step.record
        yield f"{self.case.name}, step {self.number}: {self.case.title}"
        yield (
            f"loss {type(self.head.loss).__name__}, {self.settings.optimizer} with learning rate "
            f"{record.learning_rate:g}, batch of {len(record.x)}, {self.settings.dtype}"
        )
        yield ""

    def columns(self, what: str) -> str:
        return f"{what:<40} {'by hand':>18}  {'Keras':>18}"

    # ------------------------------------------------------------------ one weight

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

    def activation_after(self, node: int) -> int | None:
        for index, other in enumerate(self.network.nodes):
            if node in other.inputs and isinstance(other.layer, Activation):
                return index
        return None

    def local(self, after: int, sample: int, unit: int) -> float:
        """Return ∂a/∂z of one unit (for softmax: of the unit with respect to itself)."""
        layer = self.network.nodes[after].layer
        z = self.values[self.network.nodes[after].inputs[0]]
        one = np.zeros_like(z)
        one[sample, unit] = 1.0
        return float(layer.backward(one, (z, self.values[after]))[sample, unit])

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

    # ------------------------------------------------------------------ the whole network

    def whole(self) -> Iterator[str]:
        yield from self.title()
        small = sum(w.size for w in self.step.weights.values()) <= LARGEST_WRITTEN_OUT
        samples = range(min(len(self.step.record.x), MOST_SAMPLES)) if small else range(0)
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
        if len(self.step.record.x) > MOST_SAMPLES and small:
            yield f"(the first {MOST_SAMPLES} of {len(self.step.record.x)} samples)"

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

    def of(self, sample: int) -> str:
        return f" ({sample + 1})" if len(self.step.record.x) > 1 else ""

    def largest(self, what: str, mine: Any, phase: str, name: str | None = None) -> str:
        theirs = self.step.tape[phase].get(name or what, mine)
        return self.pair_of_largest(what, mine, theirs)

    def pair_of_largest(self, what: str, mine: Any, theirs: Any) -> str:
        index = np.unravel_index(int(np.abs(mine).argmax()), mine.shape)
        place = ",".join(map(str, index))
        return self.row(f"{what}[{place}]", (float(mine[index]), float(theirs[index])))
