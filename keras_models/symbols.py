"""What a layer's ``call`` meets when it is followed: symbols in the place of all its numbers."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import keras

from keras_models import naming
from keras_models.pieces import DrawnNumbers, ForEachSample, GivenNumbers, OwnWeight

VARIABLES = ("_trainable_variables", "_non_trainable_variables")
"""Where a layer lists its own weights, which stay as they are."""


class NoGraph(ValueError):
    """A ``call`` can't be followed; the message says why."""


class BatchSize(int):
    """How many samples there are, which a graph doesn't know: -1, as in a reshape."""

    def _refused(self, other: Any = None) -> Any:
        raise NoGraph("computes with the number of samples")

    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = _refused
    __floordiv__ = __rfloordiv__ = __truediv__ = __mod__ = _refused


class Symbols(ExitStack):
    """Within this context everything that a layer's ``call`` takes is a symbol.

    So are its own weights; what its layers are called on; the random numbers that it draws from a
    generator of its own; and what it repeats for each sample. Any other weight that is read would
    become a mere number in the graph, so that this is refused.

    Parameters
    ----------
    part : keras.Layer
    anchor : KerasTensor
        One of its inputs, with as many rows as there are samples.
    costs : list
        Receives what the layer adds to the loss.
    """

    def __init__(self, part: Any, anchor: Any, costs: list[Any]) -> None:
        super().__init__()
        self.part, self.anchor, self.costs = part, anchor, costs
        self.own = {id(one) for name in VARIABLES for one in vars(part)[name]}
        self.names = {id(one): name.replace("/", "_") for name, one in naming.named_weights(part)}
        self.weights: dict[int, Any] = {}
        self.drawn: list[Any] = []
        self.depth = self.given = self.repeated = 0

    def __enter__(self) -> Symbols:
        try:
            self._enter()
        except BaseException:
            self.close()
            raise
        return self

    def _enter(self) -> None:
        attributes, before = vars(self.part), dict(vars(self.part))

        def restore() -> None:
            for name in [name for name in attributes if name not in before]:
                del attributes[name]
            attributes.update(before)

        self.callback(restore)
        for name, value in before.items():
            if name not in VARIABLES:
                attributes[name] = self._with_symbols(value)
        attributes["add_loss"] = lambda loss: self.costs.extend(keras.tree.flatten(loss))
        self._put(keras.layers.Layer, "__call__", self._called)
        self._put(keras.KerasTensor, "__getitem__", _got_item)
        self._put(keras.src.backend.Variable, "value", self._read, property)
        for name in ("normal", "uniform"):
            self._put(keras.random, name, self._draws(name))
        for name in ("shape", "reshape", "broadcast_to", "tile", "repeat", "zeros", "ones"):
            self._put(keras.ops, name, getattr(self, f"_{name}"))

    def _put(
        self, place: Any, name: str, made: Any, kind: Callable[..., Any] | None = None
    ) -> None:
        """Put in a function that takes the one whose place it has, until the context is left."""
        own, inherited = getattr(place, name), name not in vars(place)

        def function(*args: Any, **kwargs: Any) -> Any:
            return made(own, *args, **kwargs)

        setattr(place, name, kind(function) if kind else function)
        if inherited:
            self.callback(delattr, place, name)
        else:
            self.callback(setattr, place, name, own)

    # ------------------------------------------------------------------ weights and numbers

    def _with_symbols(self, value: Any) -> Any:
        """Return an attribute with symbols for weights, as it is or in a list or dict."""
        if isinstance(value, keras.Variable):
            return self._weight(value)
        if isinstance(value, (list, tuple)) and any(map(_is_variable, value)):
            return [self._weight(one) for one in value]
        if isinstance(value, dict) and any(map(_is_variable, value.values())):
            return {key: self._weight(one) for key, one in value.items()}
        return value

    def _weight(self, variable: Any) -> Any:
        key = id(variable)
        if key not in self.own:
            return variable
        if key not in self.weights:
            self.weights[key] = OwnWeight.of(variable, self.names[key])(self.anchor)
        return self.weights[key]

    def _read(self, own: Any, variable: Any) -> Any:
        if not self.depth:
            raise NoGraph(f"takes the weight {variable.path!r} of another layer")
        return own.fget(variable)

    def _number(self, array: Any) -> Any:
        self.given += 1
        kind = keras.backend.standardize_dtype(array.dtype)
        layer = GivenNumbers(keras.ops.convert_to_numpy(array), kind, name=f"numbers_{self.given}")
        return layer(self.anchor)

    def _called(self, own: Any, layer: Any, *args: Any, **kwargs: Any) -> Any:
        flat = keras.tree.flatten((args, kwargs))
        symbolic = any(keras.backend.is_keras_tensor(one) for one in flat)
        if not self.depth and not symbolic:
            args, kwargs = keras.tree.map_structure(
                lambda one: self._number(one) if is_array(one) else one, (args, kwargs)
            )
        self.depth += 1
        try:
            return own(layer, *args, **kwargs)
        finally:
            self.depth -= 1

    # ------------------------------------------------------------------ random numbers

    def _draws(self, kind: str) -> Callable[..., Any]:
        def draw(
            own: Any,
            shape: Any,
            first: Any = 0.0,
            second: Any = 1.0,
            dtype: Any = None,
            seed: Any = None,
            **named: Any,
        ) -> Any:
            first = named.get("mean", named.get("minval", first))
            second = named.get("stddev", named.get("maxval", second))
            if self.depth:
                return own(shape, first, second, dtype, seed)
            if not isinstance(seed, keras.random.SeedGenerator) or seed in self.drawn:
                raise NoGraph("draws random numbers from no generator of its own")
            self.drawn.append(seed)
            given = kind, _sizes(shape), float(first), float(second), dtype or _floatx(), seed
            return DrawnNumbers(*given, name=f"drawn_{len(self.drawn)}")(self.anchor)

        return draw

    # ------------------------------------------------------------------ the number of samples

    def _shape(self, own: Any, x: Any) -> Any:
        sizes = own(x)
        if self.depth or not keras.backend.is_keras_tensor(x):
            return sizes
        first = BatchSize(-1) if sizes and sizes[0] is None else None
        return sizes if first is None else (first, *sizes[1:])

    def _for_each(self, row: Any) -> Any:
        self.repeated += 1
        row = row if keras.backend.is_keras_tensor(row) else self._number(row)
        return ForEachSample(name=f"for_each_{self.repeated}")([row, self.anchor])

    def _reshape(self, own: Any, x: Any, newshape: Any) -> Any:
        return own(x, [int(one) for one in newshape] if _for_samples(newshape) else newshape)

    def _broadcast_to(self, own: Any, x: Any, shape: Any) -> Any:
        if (
            not self.depth
            and _for_samples(shape)
            and (len(x.shape) < len(shape) or x.shape[0] == 1)
        ):
            return self._for_each(own(x, (1, *shape[1:])))
        return own(x, shape)

    def _tile(self, own: Any, x: Any, repeats: Any) -> Any:
        if not self.depth and _for_samples(repeats) and x.shape[0] == 1:
            return self._for_each(own(x, (1, *repeats[1:])))
        return own(x, repeats)

    def _repeat(self, own: Any, x: Any, repeats: Any, axis: Any = None) -> Any:
        if not self.depth and isinstance(repeats, BatchSize) and axis == 0 and x.shape[0] == 1:
            return self._for_each(x)
        return own(x, repeats, axis=axis)

    def _zeros(self, own: Any, shape: Any, dtype: Any = None) -> Any:
        if not self.depth and _for_samples(shape):
            return self._for_each(own((1, *shape[1:]), dtype))
        return own(shape, dtype)

    _ones = _zeros


def is_array(one: Any) -> bool:
    """Say whether it is an array or a tensor with numbers, and no weight."""
    return hasattr(one, "shape") and hasattr(one, "dtype") and not _is_variable(one)


def _is_variable(one: Any) -> bool:
    return isinstance(one, keras.Variable)


def _for_samples(sizes: Any) -> bool:
    return isinstance(sizes, (list, tuple)) and bool(sizes) and isinstance(sizes[0], BatchSize)


def _sizes(shape: Any) -> tuple[int | None, ...]:
    return tuple(None if isinstance(size, BatchSize) or size is None else size for size in shape)


def _floatx() -> str:
    return str(keras.config.floatx())


def _got_item(own: Any, tensor: Any, key: Any) -> Any:
    """Take part of a tensor; a slice Keras knows in a tuple only."""
    return own(tensor, (key,) if isinstance(key, slice) else key)
