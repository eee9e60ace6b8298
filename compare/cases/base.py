"""What a case is: data, a network by name, how it is trained, and what is known about it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from decimal import ROUND_DOWN, ROUND_HALF_EVEN, Decimal
from typing import Any, Protocol

import numpy as np

from compare.errors import BadInput

HALF_SQUARED_SUM = "KerasLockstep>HalfSquaredSum"


class Moment(Protocol):
    """One half of a network after some updates: what a published number is read from.

    Both halves offer the same: the updates are made by each half alone, from its own weights.
    """

    weights: dict[str, np.ndarray]

    def activations(self, x: np.ndarray) -> dict[str, np.ndarray]:
        """Return every node's output for a batch."""

    def gradients(self) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """Return the activation gradients and the weight gradients on the whole training data."""

    def loss(self) -> float:
        """Return the loss on the whole training data, as one batch."""


@dataclass(frozen=True)
class Number:
    """A number that is printed somewhere, or follows from what is printed.

    Attributes
    ----------
    what : str
    digits : str
        As printed (or as recomputed to that many digits, where nothing is printed).
    value : callable
        Reads the number from a `Moment`.
    after : int
        How many updates before the number is read.
    right : str, optional
        Where what is printed is wrong: the right number.
    why : str
        What the reader should know: how the wrong number comes about, say.
    printed : bool
        False for a number that nobody printed but that has been worked out independently.
    run : int
        Which of the case's runs it belongs to.
    long : bool
        Reached only with ``--full``.
    """

    what: str
    digits: str
    value: Callable[[Any], float]
    after: int = 0
    right: str | None = None
    why: str = ""
    printed: bool = True
    run: int = 0
    long: bool = False


@dataclass(frozen=True)
class Goal:
    """Something that both halves must reach by the end of a run: a metric and its least value."""

    what: str
    metric: str
    at_least: float
    run: int = 0


@dataclass(frozen=True)
class Run:
    """One training that is done in lock-step.

    Attributes
    ----------
    network : str
        The name of the function that builds it, in both ``networks.py``.
    x, y : arrays
    loss, optimizer : str
        Keras's names.
    learning_rate : float
    batch_size, epochs : int
    label : str
        What distinguishes this run from the case's others.
    options : mapping
        Keyword arguments for both building functions.
    drawn_by_keras : bool
        The initial weights are Keras's own random draw, which the manual half takes over.
    metrics : tuple of str
    shuffle : bool
    validation_split : float
    dtype : str
    seed : int
        For Keras's draw of weights and order.
    other_ways : mapping of str to str
        Functions of ``manual/other_ways.py`` by the name they are reported under.
    stop_when_close : float, optional
        Stop when every prediction is this close to its target.
    print_every : int
        Epochs between two printed lines.
    """

    network: str
    x: np.ndarray
    y: np.ndarray
    loss: str
    learning_rate: float
    batch_size: int
    epochs: int
    label: str = ""
    optimizer: str = "SGD"
    options: Mapping[str, Any] = field(default_factory=dict)
    drawn_by_keras: bool = False
    metrics: tuple[str, ...] = ()
    shuffle: bool = False
    validation_split: float = 0.0
    dtype: str = "float64"
    seed: int = 0
    other_ways: Mapping[str, str] = field(default_factory=dict)
    stop_when_close: float | None = None
    print_every: int = 1

    @property
    def rows(self) -> int:
        """How many rows are trained on; those behind them are held out for validation."""
        return int(np.floor(len(self.x) * (1.0 - self.validation_split)))

    @property
    def steps_per_epoch(self) -> int:
        return -(-self.rows // self.batch_size)

    @property
    def of_fit(self) -> dict[str, Any]:
        """How ``fit`` takes it, by the names of ``fit``."""
        names = "batch_size", "epochs", "shuffle", "validation_split"
        return {name: getattr(self, name) for name in names}

    def changed(self, **settings: Any) -> Run:
        """Return the run with some settings replaced; None leaves a setting as it is."""
        return replace(
            self, **{name: value for name, value in settings.items() if value is not None}
        )


@dataclass(frozen=True)
class Case:
    """A worked example.

    Attributes
    ----------
    name, title : str
    runs : tuple of Run
    numbers : tuple of Number
    goals : tuple of Goal
    lesson : str
        One sentence that is printed with the result.
    symbols : mapping of str to str
        The tutorial's own names: ``{"output/kernel[0,0]": "w5", "hidden[0]": "out_h1"}``.
    error : str
        The tutorial's letter for what it differentiates.
    """

    name: str
    title: str
    runs: tuple[Run, ...]
    numbers: tuple[Number, ...] = ()
    goals: tuple[Goal, ...] = ()
    lesson: str = ""
    symbols: Mapping[str, str] = field(default_factory=dict)
    error: str = "E"


@dataclass(frozen=True)
class Settings:
    """What the user wants otherwise than the case has it; None where it stays."""

    epochs: int | None = None
    steps: int | None = None
    batch_size: int | None = None
    optimizer: str | None = None
    learning_rate: float | None = None
    dtype: str | None = None
    seed: int | None = None

    @property
    def leave_the_case_as_it_is(self) -> bool:
        """Whether the published numbers still belong to what is run."""
        return not any((self.batch_size, self.optimizer, self.learning_rate, self.dtype, self.seed))

    @property
    def flags(self) -> str:
        """What the command line has to be told to get these settings, but for the steps."""
        given = {
            "--epochs": self.epochs,
            "--batch-size": self.batch_size,
            "--optimizer": self.optimizer,
            "--learning-rate": self.learning_rate,
            "--dtype": self.dtype,
            "--seed": self.seed,
        }
        return "".join(f" {flag} {value}" for flag, value in given.items() if value is not None)

    def applied(self, run: Run) -> Run:
        """Return the run with these settings, checked against its data."""
        if self.batch_size is not None and self.batch_size > len(run.x):
            raise BadInput(
                f"The batch size must lie between 1 and the {len(run.x)} samples there are. "
                f"Received: {self.batch_size}."
            )
        if self.learning_rate is not None and not np.isfinite(self.learning_rate):
            raise BadInput(f"The learning rate must be finite. Received: {self.learning_rate}.")
        return run.changed(
            epochs=self.epochs,
            batch_size=self.batch_size,
            optimizer=self.optimizer,
            learning_rate=self.learning_rate,
            dtype=self.dtype,
            seed=self.seed,
        )


Reader = Callable[[Moment], float]


def output(x: np.ndarray, node: str, unit: int, sample: int = 0) -> Reader:
    """Read what one unit of a node puts out for one sample of x."""
    return lambda moment: float(moment.activations(x)[node][sample, unit])


def weight(name: str, *index: int) -> Reader:
    """Read one weight."""
    return lambda moment: float(moment.weights[name][index])


def gradient(name: str, *index: int) -> Reader:
    """Read the gradient of one weight on the whole training data."""
    return lambda moment: float(moment.gradients()[1][name][index])


def delta(node: str, unit: int, sample: int = 0) -> Reader:
    """Read the gradient of the loss at one unit's output."""
    return lambda moment: float(moment.gradients()[0][node][sample, unit])


def loss(moment: Moment) -> float:
    """Read the loss on the whole training data."""
    return moment.loss()


def reproduces(digits: str, value: float) -> str:
    """Say how a value relates to printed digits.

    Returns
    -------
    str
        ``"rounded"``, ``"truncated"`` or ``"no"``.

    Examples
    --------
    >>> reproduces("0.899", 0.8991), reproduces("0.899", 0.8995288), reproduces("7.5", 3.9)
    ('rounded', 'truncated', 'no')
    """
    if not np.isfinite(value):
        return "no"
    printed, exact = Decimal(digits), Decimal(float(value))
    last_place = Decimal(1).scaleb(printed.as_tuple().exponent)  # type: ignore[arg-type]
    if exact.quantize(last_place, ROUND_HALF_EVEN) == printed:
        return "rounded"
    if exact.quantize(last_place, ROUND_DOWN) == printed:
        return "truncated"
    return "no"
