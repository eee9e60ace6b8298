"""What a worker asks of a contender."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from benchmarks.problem import Problem


class Contender(ABC):
    """One way of training the problem's network.

    Attributes
    ----------
    problem : Problem
    about : str
        The library, its version and the threads that it uses by default.
    """

    about: str

    def __init__(self, problem: Problem) -> None:
        self.problem = problem

    @abstractmethod
    def reset(self) -> None:
        """Go back to the first weights, with nothing remembered."""

    @abstractmethod
    def losses(self, steps: int) -> list[float]:
        """Return the losses of the first steps, each as it was before its update."""

    @abstractmethod
    def burst(self, epochs: int) -> float:
        """Train for some epochs from the first weights on; return the seconds that it took."""


class Stepwise(Contender):
    """A contender that is called once a step, on batches that were cut and converted before.

    Peers aren't charged for their data that way, while `manual.Network.fit` and Keras's ``fit``
    cut their own batches.
    """

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self.batches: Sequence[tuple[Any, Any]] = [
            self.converted(x, y) for x, y in problem.batches()
        ]

    def converted(self, x: Any, y: Any) -> tuple[Any, Any]:
        """Turn a batch into what the library takes."""
        return x, y

    @abstractmethod
    def step(self, x: Any, y: Any) -> Any:
        """Learn from one batch; return its loss, which may still be on its way."""

    def number(self, loss: Any) -> float:
        """Wait for a loss."""
        return float(loss)

    def losses(self, steps: int) -> list[float]:
        self.reset()
        return [self.number(self.step(*batch)) for batch in self.batches[:steps]]

    def burst(self, epochs: int) -> float:
        self.reset()
        self.number(self.step(*self.batches[0]))
        start = time.perf_counter()
        for _ in range(epochs):
            for x, y in self.batches:
                loss = self.step(x, y)
            self.number(loss)
        return time.perf_counter() - start
