"""A single number that somebody got: whether it is right, and if not, what gives it.

The training is run again with one thing done otherwise, and again with another, until one of the
runs gives the number, to the digits it was given with.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import numpy as np

from compare.cases.base import Case, Run, reproduces
from compare.errors import BadInput
from compare.submissions.ways import LOSSES, Reader, Way, possible, readings, trained_alike, ways
from manual.network import Network


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
        finite = Decimal(digits).is_finite() and bool(reproduces(digits, 1.0))
    except ArithmeticError:
        finite = False
    if not finite:
        raise BadInput(f"A number is needed, such as 0.291027924. Received: {digits!r}.")
    network = trained_alike(run)
    if network.optimizer is None or network.optimizer.slot_names or run.shuffle:
        raise BadInput(f"Numbers of {case.name} depend on its random order: only fit can tell.")
    read = _reader(run, network, weight)
    asked = case.error
    if weight is not None:
        asked = f"{weight[0]}[{','.join(map(str, weight[1]))}]"
        asked = case.symbols.get(asked, asked)
    what = f"{asked} after {_updates(after)}"
    as_it_is = readings(run, Way(""), after, read)
    answer = Answer(what, digits, as_it_is[after], reproduces(digits, as_it_is[after]))
    if answer.ok:
        return answer
    for way in [Way(""), *ways(run)]:
        found = as_it_is if not way.sentence else readings(run, way, after, read)
        for updates in (after, after - 1, after + 1):
            if updates not in found or reproduces(digits, found[updates]) == "no":
                continue
            if way.sentence and _written_alike(digits, found[updates], as_it_is[updates]):
                continue  # done otherwise, it comes to the same: that explains nothing
            off = "" if updates == after else f"{_made(updates)}, not {after:,}"
            answer.explanations.append(" and ".join(filter(None, (way.sentence, off))))
            break
    per_epoch = -(-len(run.x) // run.batch_size)
    if per_epoch > 1 and after > 0:
        updates = after * per_epoch
        if reproduces(digits, readings(run, Way(""), updates, read)[updates]) != "no":
            epochs = f"{after:,} epoch{'s' * (after != 1)} of {per_epoch:,}"
            answer.explanations.append(f"{_made(updates)}, not {after:,}: {epochs}")
    if weight is None:
        answer.explanations += _measured_otherwise(run, digits, as_it_is[after], after)
    answer.explanations.sort(key=lambda told: " and " in told)
    return answer


def _written_alike(digits: str, one: float, other: float) -> bool:
    """Say whether two numbers are the same when written with as many places as ``digits`` has."""
    if not (np.isfinite(one) and np.isfinite(other)):
        return False
    last_place = Decimal(1).scaleb(Decimal(digits).as_tuple().exponent)  # type: ignore[arg-type]
    return Decimal(one).quantize(last_place) == Decimal(other).quantize(last_place)


def _made(number: int) -> str:
    return f"{_updates(number)} {'is' if number == 1 else 'are'} made"


def _measured_otherwise(run: Run, digits: str, right: float, after: int) -> list[str]:
    """Say what gives the digits if the training is right, and only the loss is taken otherwise."""
    samples, outputs = len(run.x), run.y.shape[-1]
    factors = {
        "the loss is doubled (no ½, or a 2 too many)": 2.0,
        "the loss is halved (a ½ too many, or no 2)": 0.5,
        "the loss is added up over the samples, not averaged": float(samples),
        "the loss is averaged over the samples, not added up": 1.0 / samples,
        "the loss is added up over the outputs, not averaged": float(outputs),
        "the loss is averaged over the outputs, not added up": 1.0 / outputs,
    }
    values = {sentence: right * factor for sentence, factor in factors.items()}
    for loss, name in LOSSES.items():
        if loss != run.loss and possible(run, loss):
            read = _reader(run, trained_alike(run), None, loss)
            values[f"the loss is {name}"] = readings(run, Way(""), after, read)[after]
    return [
        sentence
        for sentence, value in values.items()
        if not _written_alike(digits, value, right) and reproduces(digits, value) != "no"
    ]


def _updates(number: int) -> str:
    return f"{number:,} update{'s' * (number != 1)}"


def _reader(run: Run, network: Network, weight: Any, of: str | None = None) -> Reader:
    if weight is None:
        judge = trained_alike(run, of)

        def loss(trained: Network) -> float:
            judge.values[...] = trained.values
            return judge.evaluate(run.x, run.y)

        return loss
    name, index = weight
    if name not in network.parameters:
        listed = ", ".join(network.parameters)
        raise BadInput(f"There is no weight {name!r}. The weights: {listed}.")
    shape = network.parameters[name].shape
    if len(index) != len(shape) or any(i >= size for i, size in zip(index, shape, strict=True)):
        raise BadInput(f"{name} has the shape {shape}. Received: {list(index)}.")
    return lambda trained: float(trained.parameters[name].value[index])
