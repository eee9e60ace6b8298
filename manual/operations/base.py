"""What every operation is: a map without weights that a Keras graph calls by itself.

``x + y``, ``ops.mean(x, axis=1)`` and ``x[:, 0]`` are nodes of a Functional model as layers are. An
operation takes tensors and constants as its arguments, in any order, and where its arguments are
smaller than its result, their numbers are repeated. Both is dealt with here, once.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from manual.arrays import Array
from manual.layers.base import Layer, Shape
from manual.layers.symbol import Symbol, several
from manual.operations.arguments import Arguments, Slot, slots_in
from manual.registry import understood

BATCHES = (2, 12, 60)
"""How many samples there may be where an operation is tried."""


class Operation(Layer):
    """A map of tensors and constants, and its derivative written by hand.

    A subclass has Keras's constructor arguments for its own, and two methods:

    - ``compute(*arguments)`` takes what Keras's operation is called with, under the same names, and
      returns the result (a list of several) and what ``gradients`` needs;
    - ``gradients(dy, saved)`` returns a gradient for each of the arguments, as a tuple: None for
      one that has none, a list where the argument is a list.
    """

    kind: ClassVar[str] = "operation"
    call_options = frozenset({"arguments"})

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Operation:
        """Build the operation from Keras's configuration dictionary of its twin."""
        owner = f"operation {config['name']!r} ({cls.__name__})"
        made = cls(**understood(cls, dict(config), owner))
        made.name = config["name"]
        return made

    def compute(self, *arguments: Any) -> tuple[Any, Any]:
        """Return the result, and what `gradients` needs."""
        raise NotImplementedError

    def gradients(self, dy: Array, saved: Any) -> tuple[Any, ...]:
        """Return the gradient for each argument."""
        raise NotImplementedError

    # ------------------------------------------------------------------ as a layer of a network

    def forward(
        self, x: Any, *, training: bool = False, arguments: Arguments | None = None
    ) -> tuple[Any, Any]:
        """Put the tensors in their places among the arguments, and compute."""
        tensors = x if isinstance(x, list) else [x]
        given = arguments or Arguments(tuple(Slot(place) for place in range(len(tensors))), {})
        positional, named = given.filled(tensors)
        like = tensors[0]
        positional = tuple(in_its_precision(one, like) for one in positional)
        named = {name: in_its_precision(one, like) for name, one in named.items()}
        y, saved = self.compute(*positional, **named)
        y = [as_array(one) for one in y] if isinstance(y, list) else as_array(y)
        if self.is_exact:
            y = [np.rint(one) for one in y] if isinstance(y, list) else np.rint(y)
        return y, (given, len(tensors), saved)

    def backward(self, dy: Any, saved: Any) -> Any:
        given, count, kept = saved
        found: list[Any] = [None] * count
        for argument, gradient in zip(
            self._in_order(given), self.gradients(dy, kept), strict=False
        ):
            places = slots_in(argument)
            parts = gradient if isinstance(gradient, (list, tuple)) else [gradient] * len(places)
            for place, part in zip(places, parts, strict=True):
                found[place] = part
        return found

    def _in_order(self, given: Arguments) -> tuple[Any, ...]:
        """Return the arguments in the order in which `compute` names them."""
        if not given.named:
            return given.positional
        bound = inspect.signature(self.compute).bind(*given.positional, **given.named)
        bound.apply_defaults()
        return bound.args

    def compute_mask(self, x: Any, mask: Any) -> None:
        """Give no mask: Keras's operations don't pass one on."""

    # ------------------------------------------------------------------ shapes

    def apply(self, *inputs: Symbol, call: int, **named: Any) -> Any:
        """Make the symbol of one numbered call; what shape it has is seen by trying it."""
        options = {name: value for name, value in named.items() if value is not None}
        given = options.get("arguments")
        known = [(None, *symbol.shape) for symbol in inputs]
        shapes = known
        if given:  # which may leave sizes open that are known by now
            shapes = [
                here if len(here) == len(there) and there[0] is None else there
                for here, there in zip(known, given.shapes, strict=True)
            ]
        made = self._tried(shapes, options)
        if isinstance(made, list):
            return several(self, inputs, [one.shape[1:] for one in made], call, options)
        return Symbol(self, inputs, made.shape[1:], call, options=options)

    def _tried(self, shapes: Sequence[Sequence[int | None]], options: Mapping[str, Any]) -> Any:
        """Compute with zeros: of two samples, or of more if the operation needs as many."""
        for samples in BATCHES:
            zeros = [np.zeros([samples if n is None else n for n in shape]) for shape in shapes]
            try:
                with np.errstate(all="ignore"):
                    return self.forward(zeros if len(zeros) > 1 else zeros[0], **options)[0]
            except (ValueError, IndexError):
                if samples == BATCHES[-1]:
                    raise


class Constant(Operation):
    """A map that no gradient goes through: an answer, a place, a number that is given."""

    def gradients(self, dy: Array, saved: Any) -> tuple[Any, ...]:
        return ()


def in_its_precision(value: Any, like: Array) -> Any:
    """Give an array of constants the precision of the tensors, which they don't change."""
    if isinstance(value, (list, tuple)):
        return type(value)(in_its_precision(one, like) for one in value)
    if isinstance(value, np.ndarray) and value.dtype.kind == "f" and value.dtype != like.dtype:
        return value.astype(like.dtype)
    return value


def as_array(value: Any) -> Array:
    """Return a single number, too, as an array: NumPy's own are numbers of Python's."""
    return np.asarray(value) if isinstance(value, np.generic) else value


def shape_of(value: Any) -> Shape:
    """Return the shape of an argument: a number has none."""
    return () if isinstance(value, (int, float)) else value.shape


def unrepeated(gradient: Array, shape: Shape) -> Array:
    """Sum a gradient over the axes along which an array of this shape was repeated."""
    if gradient.shape == shape:
        return gradient
    new = gradient.ndim - len(shape)
    along = tuple(range(new)) + tuple(
        axis + new
        for axis, size in enumerate(shape)
        if size == 1 and gradient.shape[axis + new] > 1
    )
    return gradient.sum(axis=along, keepdims=True).reshape(shape) if along else gradient


class Elementwise(Operation):
    """A map number by number, of one argument or several.

    ``value(*x)`` is the map; ``dx1(dy, y, *x)``, ``dx2`` … are what each argument would get if none
    of its numbers were repeated: a repeated number gets the sum over its copies. One that is
    missing stands for a gradient of zero.

    With ``numbers_are_float32`` Keras makes a tensor of a Python number, as a float32, before it
    looks at the precision of the others.
    """

    numbers_are_float32: ClassVar[bool] = False

    def value(self, *x: Any) -> Array:
        """Return the map's value."""
        raise NotImplementedError

    def compute(self, *x: Any) -> tuple[Array, Any]:
        if self.numbers_are_float32:
            x = tuple(float(np.float32(one)) if isinstance(one, float) else one for one in x)
        y = self.value(*x)
        return y, (y, x)

    def gradients(self, dy: Array, saved: Any) -> tuple[Any, ...]:
        y, x = saved
        found: list[Any] = []
        for place, one in enumerate(x, start=1):
            derivative = getattr(self, f"dx{place}", None)
            if derivative is None or isinstance(one, (int, float)):
                found.append(None)
            else:
                found.append(unrepeated(derivative(dy, y, *x), shape_of(one)))
        return tuple(found)
