"""Who takes part. A contender's module is imported in its own worker process, and only there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from benchmarks.networks import Architecture

HAND = "manual"


def every_network(architecture: Architecture, optimizer: str) -> str | None:
    """Take part everywhere."""
    return None


def dense_only(architecture: Architecture, optimizer: str) -> str | None:
    """Take part in dense networks."""
    return None if architecture.is_dense else "dense networks only"


def dense_with_sgd(architecture: Architecture, optimizer: str) -> str | None:
    """Take part in dense networks, updated by SGD."""
    return dense_only(architecture, optimizer) or (None if optimizer == "SGD" else "SGD only")


def the_wide(architecture: Architecture, optimizer: str) -> str | None:
    """Take part in the wide network, where matrix products are nearly all there is to do."""
    return None if architecture.name == "wide" else "the wide network only"


def as_a_classifier(architecture: Architecture, optimizer: str) -> str | None:
    """Take part where MLPClassifier computes the same loss.

    MLPRegressor has a linear output, and takes the derivative of a sum over the outputs for that of
    a mean; it can't train a sigmoid on a mean square.
    """
    if architecture.is_dense and architecture.loss != "mse":
        return None
    return "only dense networks that tell classes: its regression has no sigmoid at the end"


@dataclass(frozen=True)
class Entry:
    """A contender: where it is written, what it needs, and where it takes part.

    Attributes
    ----------
    home : str
        Module and class.
    title : str
    needs : str, optional
        The package without which it is left out.
    declines : callable
        Says why it doesn't take part in a network, or None.
    slow_start : bool
        Whether it takes part in few rows unless it is asked for: compiling takes long.
    """

    home: str
    title: str
    needs: str | None = None
    declines: Callable[[Architecture, str], str | None] = every_network
    slow_start: bool = False

    @property
    def installed(self) -> bool:
        return self.needs is None or find_spec(self.needs) is not None

    def load(self) -> Any:
        """Import the class."""
        module, name = self.home.split(":")
        return getattr(import_module(f"benchmarks.contenders.{module}"), name)


CONTENDERS: dict[str, Entry] = {
    HAND: Entry("by_hand:ByHand", "manual.Network.fit"),
    "inlined": Entry("inlined:Inlined", "a NumPy loop", declines=dense_with_sgd),
    "products": Entry("inlined:Products", "matrix products alone", declines=the_wide),
    "keras": Entry("keras_ways:Fit", "Keras fit"),
    "keras-xla": Entry("keras_ways:FitWithXLA", "Keras fit, XLA"),
    "tape": Entry("keras_ways:Tape", "GradientTape step"),
    "torch": Entry("torch_step:Eager", "PyTorch", "torch"),
    "torch-compile": Entry("torch_step:Compiled", "torch.compile", "torch", slow_start=True),
    "jax": Entry("jax_step:JaxStep", "JAX jit", "jax", dense_only),
    "sklearn": Entry("sklearn_fit:SklearnFit", "scikit-learn", "sklearn", as_a_classifier),
}
