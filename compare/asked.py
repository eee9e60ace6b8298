"""A single number that somebody got: whether it is right, and if not, what gives it.

The training is run again with one thing done otherwise, and again with another, until one of the
runs gives the number, to the digits it was given with.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import numpy as np

import manual.networks
from compare.cases.base import HALF_SQUARED_SUM, Case, Run, reproduces
from compare.errors import BadInput
from manual.constraints import Constant
from manual.network import Network, batches

Reader = Callable[[Network], float]


@dataclass(frozen=True)
class Way:
    """One way of training that differs from the right one.

    Attributes
    ----------
    sentence : str
    updated_first : bool
        Each layer's weights move before the gradient is carried on through them.
    factor : float
        The gradients are multiplied with it.
    loss : str, optional
        What is differentiated instead.
    biases : str, optional
        ``"trained"`` or ``"frozen"``.
    batch_size : int, optional
    """

    sentence: str
    updated_first: bool = False
    factor: float = 1.0
    loss: str | None = None
    biases: str | None = None
    batch_size: int | None = None


@dataclass
class Answer:
    """What is known about a number.

    Attributes
    ----------
    what, digits : str
    right : float
    how : str
        ``"rounded"``, ``"truncated"`` or ``"no"``: how the digits relate to the right number.
    explanations : list of str
        What gives the number as it is, the simplest first.
    """

    what: str
    digits: str
    right: float
    how: str
    explanations: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return self.how != "no"

    def __str__(self) -> str:
        if self.how == "rounded":
            return f"{self.what} is {self.digits}: right ({self.right:.12g})."
        if self.how == "truncated":
            return f"{self.what} is {self.digits}, truncated, not rounded ({self.right:.12g})."
        significant = max(len(self.digits.lstrip("-0.").replace(".", "")), 3)
        told = f"{self.what} is not {self.digits}; it is {self.right:.{significant}g}."
        if not self.explanations:
            return f"{told}\nNothing that was tried gives {self.digits}."
        first, *others = self.explanations
        also = "".join(f"\n  also: {other}" for other in others)
        return f"{told}\n{self.digits} is what one gets if {first}.{also}"


def ask(
    case: Case,
    digits: str,
    *,
    after: int = 1,
    weight: tuple[str, tuple[int, ...]] | None = None,
) -> Answer:
    """Say whether a loss, or a weight, after some updates is right, and else what gives it.

    Parameters
    ----------
    case : Case
        Its first run counts.
    digits : str
        The number as it was written down: its digits say how exact it claims to be.
    after : int
        Updates before the number is read.
    weight : (name, index), optional
        By default the number is the loss on the whole data.
    """
    run = case.runs[0]
    try:
        reproduces(digits, 1.0)
    except ArithmeticError:
        raise BadInput(f"A number is needed, such as 0.291027924. Received: {digits!r}.") from None
    network = trained_alike(run)
    if network.optimizer is None or network.optimizer.slot_names or run.shuffle:
        raise BadInput(f"Numbers of {case.name} depend on its random order: only fit can tell.")
    read = _reader(run, network, weight)
    asked = case.error if weight is None else f"{weight[0]}{list(weight[1])}"
    what = f"{asked} after {_updates(after)}"
    readings = _readings(run, Way(""), after, read)
    answer = Answer(what, digits, readings[after], reproduces(digits, readings[after]))
    if answer.ok:
        return answer
    for way in [Way(""), *ways(run)]:
        found = readings if not way.sentence else _readings(run, way, after, read)
        if way.sentence and _written_alike(digits, found[after], readings[after]):
            continue  # done otherwise, it comes to the same: that explains nothing
        for updates in (after, after - 1, after + 1):
            if updates in found and reproduces(digits, found[updates]) != "no":
                off = "" if updates == after else f"{_updates(updates)} are made, not {after:,}"
                answer.explanations.append(" and ".join(filter(None, (way.sentence, off))))
                break
    answer.explanations.sort(key=lambda told: " and " in told)
    return answer


def _written_alike(digits: str, one: float, other: float) -> bool:
    """Say whether two numbers are the same when written with as many places as ``digits`` has."""
    if not (np.isfinite(one) and np.isfinite(other)):
        return False
    last_place = Decimal(1).scaleb(Decimal(digits).as_tuple().exponent)  # type: ignore[arg-type]
    return Decimal(one).quantize(last_place) == Decimal(other).quantize(last_place)


def _updates(number: int) -> str:
    return f"{number:,} update{'s' * (number != 1)}"


def trained_alike(run: Run, loss: str | None = None) -> Network:
    """Return the hand-written network of a run, compiled, in float64."""
    network: Network = getattr(manual.networks, run.network)("float64", **run.options)
    rate = {"class_name": run.optimizer, "config": {"learning_rate": run.learning_rate}}
    network.compile(loss or run.loss, rate)
    return network


def ways(run: Run) -> Iterator[Way]:
    """Give the ways of training a run that people mix up with the right one."""
    yield Way("the deltas of a layer use the already updated weights behind it", updated_first=True)
    network = trained_alike(run)
    has_bias = any(name.endswith("/bias") for name in network.parameters)
    if any(isinstance(p.constraint, Constant) for p in network.parameters.values()):
        yield Way("the biases are trained too", biases="trained")
    elif has_bias:
        yield Way("the biases are not updated", biases="frozen")
    samples, outputs = min(run.batch_size, len(run.x)), run.y.shape[-1]
    factors = (
        (2.0, "the gradient is twice as large (no ½, or a 2 too many)"),
        (0.5, "the gradient is half as large (a ½ too many, or no 2)"),
        (float(samples), "the gradients of a batch are added up, not averaged"),
        (1.0 / samples, "the gradients of a batch are averaged, not added up"),
        (float(outputs), "the outputs' errors are added up, not averaged"),
        (1.0 / outputs, "the outputs' errors are averaged, not added up"),
        (-1.0, "the weights move uphill"),
    )
    for factor, sentence in factors:
        if factor != 1.0:
            yield Way(sentence, factor=factor)
    losses = {
        HALF_SQUARED_SUM: "½ (y − o)² is differentiated",
        "mse": "the mean squared error is differentiated",
        "mae": "the mean absolute error is differentiated",
        "binary_crossentropy": "the binary cross-entropy is differentiated",
    }
    in_range = run.y.min() >= 0.0 and run.y.max() <= 1.0
    for loss, sentence in losses.items():
        if loss != run.loss and (in_range or "cross" not in loss):
            yield Way(sentence, loss=loss)
    if run.batch_size > 1:
        yield Way("every sample makes an update of its own", batch_size=1)
    elif len(run.x) > 1:
        yield Way("all samples make one update together", batch_size=len(run.x))


def _reader(run: Run, network: Network, weight: Any) -> Reader:
    if weight is None:
        judge = trained_alike(run)

        def loss(trained: Network) -> float:
            judge.values[...] = trained.values
            return judge.evaluate(run.x, run.y)

        return loss
    name, index = weight
    if name not in network.parameters:
        listed = ", ".join(network.parameters)
        raise BadInput(f"There is no weight {name!r}. The weights: {listed}.")
    if len(index) != network.parameters[name].value.ndim:
        shape = network.parameters[name].shape
        raise BadInput(f"{name} has the shape {shape}. Received: {list(index)}.")
    return lambda trained: float(trained.parameters[name].value[index])


def _readings(run: Run, way: Way, after: int, read: Reader) -> Mapping[int, float]:
    """Train in a way; return the number after that many updates, and after one less and more."""
    network = trained_alike(run, way.loss)
    if way.biases == "trained":
        network.constrained = []
    held = (
        {name: p.value.copy() for name, p in network.parameters.items() if name.endswith("/bias")}
        if way.biases == "frozen"
        else {}
    )
    size = way.batch_size or run.batch_size
    rows = list(batches(np.arange(len(run.x)), size))
    batched = [(run.x[part].astype(float), run.y[part].astype(float)) for part in rows]
    found = {}
    for update in range(after + 2):
        if update >= after - 1:
            found[update] = read(network)
        _step(network, *batched[update % len(batched)], way)
        for name, value in held.items():
            network.parameters[name].value[...] = value
    return found


def _step(network: Network, x: Any, y: Any, way: Way) -> None:
    """Make one update in a way."""
    run = network.forward(x, training=True)
    _, upstream = network.loss(run, y)
    upstream = {index: gradient * way.factor for index, gradient in upstream.items()}
    network.clear_gradients()
    if not way.updated_first:
        network.backward(run, upstream)
        network.update()
        return

    def update_first(index: int, dy: Any) -> Any:
        layer = network.nodes[index].layer
        layer.backward(dy, run.saved[index])
        assert network.optimizer is not None
        rate = network.optimizer.learning_rate
        for parameter in layer.parameters:
            parameter.value -= rate * parameter.gradient
            if parameter in network.constrained and parameter.constraint is not None:
                parameter.constraint.apply(parameter.value)
            parameter.gradient[...] = 0.0
        return dy

    network.backward(run, upstream, altered=update_first)
