"""What a planted bug is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from compare.score.networks import Planted, dense

Function = Callable[..., Any]

FACTORS = {
    2.0: "the ½ of ½ (p − y)² is missing",
    0.5: "the 2 of the square's derivative is missing",
    -1.0: "the sign is reversed",
}
"""Constants that get lost, and how the cause begins."""


@dataclass(frozen=True)
class Bug:
    """One planted bug and what must be said of it.

    Attributes
    ----------
    name : str
    owner, method : class or module, and name of what is patched
    function : callable
        What stands there instead.
    phase, where : str
        The first finding: its phase, and the name that it must have.
    causes : tuple of str
        How the cause may begin: several where several slips give the same numbers. Empty for a
        trap that has no algebraic cause.
    step : int
        When it first shows.
    dtypes : tuple of str
        In which precisions it shows.
    network : callable
        Builds the network that it is planted in, and draws the data: one of
        `compare.score.networks`, or a family's own.
    held_out : bool
        Whether there is a validation: what shows at inference only shows there.
    activation, last, loss, optimizer, options
        The network's activations, and what it is compiled with; a loss with options is given as
        what makes it, in the precision that is asked for.
    weighted : bool
        Whether the samples have weights.
    compiled
        What else the model is compiled with: metrics, loss weights.
    """

    name: str
    owner: Any
    method: str
    function: Function
    phase: str
    where: str
    causes: tuple[str, ...]
    step: int = 1
    dtypes: tuple[str, ...] = ("float32", "float64")
    network: Callable[[Any], Planted] = dense
    activation: str = "tanh"
    last: str = "linear"
    loss: Any = "mse"
    optimizer: str = "SGD"
    options: tuple[tuple[str, Any], ...] = ()
    held_out: bool = False
    weighted: bool = False
    compiled: tuple[tuple[str, Any], ...] = ()

    @contextmanager
    def planted(self) -> Iterator[None]:
        """Put the bug in its place for a while."""
        right = self.owner.__dict__[self.method]
        setattr(self.owner, self.method, self.function)
        try:
            yield
        finally:
            setattr(self.owner, self.method, right)
