"""An array that takes part in NumPy's calls as any other does, and has a tape note each of them."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from manual.arrays import Array
from manual.calls import is_same_place, put

if TYPE_CHECKING:
    from manual.recording import Held, Tape

MANY = 1024
"""From how many numbers on it pays to choose between them in four calls and not in two, and to
compare them with a row of as many equal ones and not with one number."""
SHORT = 64
"""Up to how many numbers a row is short: NumPy takes longer to start with it than to go through."""
_WHOLE = {np.dtype(np.float32): np.int32, np.dtype(np.float64): np.int64}
"""Whole numbers of the same size."""


class NotRecordable(TypeError):
    """What was asked of a recorded array depends on its numbers, or isn't known here."""


class Recorded(NDArrayOperatorsMixin):
    """An array whose numbers lie in a buffer, and every use of which is noted."""

    __slots__ = ("held", "tape", "value")

    def __init__(self, tape: Tape, value: Array, held: Held) -> None:
        self.tape, self.value, self.held = tape, value, held

    shape = property(lambda self: self.value.shape)
    ndim = property(lambda self: self.value.ndim)
    size = property(lambda self: self.value.size)
    dtype = property(lambda self: self.value.dtype)
    strides = property(lambda self: self.value.strides)
    T = property(lambda self: self._view(self.value.T))

    def __len__(self) -> int:
        return len(self.value)

    def _looked_at(self, *_: Any) -> Any:
        raise NotRecordable("Python looks at a number that will be another one next time.")

    __bool__ = __int__ = __float__ = __index__ = __iter__ = __array__ = _looked_at
    __hash__ = None  # type: ignore[assignment]

    # ------------------------------------------------------------------ where numbers lie

    def _view(self, value: Array) -> Recorded:
        return Recorded(self.tape, value, self.held)

    def _moved(self, value: Array) -> Recorded:
        """Return what came of moving numbers about: a view, or else a copy that is noted."""
        if np.may_share_memory(value, self.value):
            return self._view(value)
        return self.tape.copied(self, value)

    def __getitem__(self, key: Any) -> Recorded:
        keys = key if isinstance(key, tuple) else (key,)
        if any(isinstance(one, (Recorded, np.ndarray, list)) for one in keys):
            return self.tape.computed_anew(operator.getitem, self, key)
        return self._view(self.value[key])

    def __setitem__(self, key: Any, other: Any) -> None:
        view = self.value[plain_within(key)]
        if isinstance(other, Recorded) and is_same_place(view, other.value):
            return  # the second half of x[key] += …
        if isinstance(other, Recorded) and np.may_share_memory(view, self.value):
            self.tape.put(self, view, other)
        else:
            self.tape.changed(operator.setitem, (self, key, other), self)

    def reshape(self, *shape: Any) -> Recorded:
        return self._moved(self.value.reshape(*shape))

    def astype(self, dtype: Any, copy: bool = True) -> Recorded:
        like = self.value.astype(dtype)
        if like.dtype == self.dtype:
            return self.copy() if copy else self
        made = self.tape.room_for(like)
        self.tape.note(np.copyto, (made.value, self.value, "unsafe"), [self], made, 0)
        return made

    def copy(self) -> Recorded:
        return self.tape.copied(self, self.value.copy())

    # ------------------------------------------------------------------ sums and the like

    def _reduced(self, ufunc: np.ufunc, axis: Any, keepdims: bool) -> Recorded:
        like = np.asarray(ufunc.reduce(self.value, axis=axis, keepdims=keepdims))
        return self.tape.result(ufunc.reduce, [self, axis, None], like, keepdims)

    def sum(self, axis: Any = None, keepdims: bool = False) -> Recorded:
        return self._reduced(np.add, axis, keepdims)

    def max(self, axis: Any = None, keepdims: bool = False) -> Recorded:
        short = self.ndim > 1 and axis in (-1, self.ndim - 1) and self.shape[-1] <= SHORT
        if short and self.size >= MANY:  # a column at a time, over all rows, is faster
            columns = self.reshape(-1, self.shape[-1]).T
            largest = self.tape.copied(columns, columns.value).max(axis=0)
            return largest.reshape(*self.shape[:-1], *(1,) * keepdims)
        return self._reduced(np.maximum, axis, keepdims)

    def min(self, axis: Any = None, keepdims: bool = False) -> Recorded:
        return self._reduced(np.minimum, axis, keepdims)

    def mean(self, axis: Any = None, keepdims: bool = False) -> Recorded:
        if self.dtype.kind != "f":
            raise NotRecordable("the mean of numbers that are whole")
        total = self.sum(axis, keepdims)
        total /= self.size / max(total.size, 1)
        return total

    def argmax(self, axis: int = -1) -> Recorded:
        return self.tape.computed_anew(lambda array: np.asarray(array.argmax(axis)), self)

    # ------------------------------------------------------------------ NumPy's protocols

    def __array_ufunc__(
        self, ufunc: np.ufunc, method: str, *inputs: Any, out: Any = None, **options: Any
    ) -> Any:
        if not all(isinstance(one, _KNOWN) for one in (*inputs, *(out or ()))):
            return NotImplemented  # an array of another kind, which may hold recorded ones
        if method == "at" and not options:
            self.tape.changed(ufunc.at, inputs, inputs[0])
            return None
        if options.keys() == {"dtype"} and out is None:
            return ufunc(*(_of_dtype(one, options["dtype"]) for one in inputs))
        if method != "__call__" or options or ufunc.nout != 1:
            raise NotRecordable(f"{ufunc.__name__}.{method} with {options}")
        if out is None:
            operands = [_of_its_dtype(one, inputs) for one in inputs]
            like = np.asarray(ufunc(*map(plain, inputs)))
            if like.dtype == object:  # of Python's own numbers, as C's erfc gives them
                return self.tape.computed_anew(partial(_as_its_operand, ufunc), *inputs)
            if ufunc is not np.matmul:
                operands = [_of_its_shape(one, like) for one in operands]
            if ufunc in (np.maximum, np.minimum):
                operands = [_row_of(one, like) if np.ndim(one) == 0 else one for one in operands]
            matrices = ufunc is np.matmul and all(_is_whole_matrix(plain(one)) for one in inputs)
            # Of these np.dot is the same to the last bit, with less to decide.
            return self.tape.result(np.dot if matrices else ufunc, operands, like)
        (target,) = out
        if not isinstance(target, Recorded):
            raise NotRecordable("A result is written to an array that isn't recorded.")
        if ufunc is np.add and inputs[0] is target:
            self.tape.added(target, _of_its_shape(inputs[1], target.value))
        else:
            operands = [_of_its_dtype(one, inputs) for one in inputs]
            self.tape.changed(ufunc, (*operands, target), target)
        return target

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if not all(issubclass(one, _KNOWN) for one in types):
            return NotImplemented
        if function in (np.shape, np.ndim, np.size):
            return getattr(self, function.__name__)
        if function is np.copy:
            return args[0].copy()
        if function is np.ones_like:
            return function(args[0].value, *args[1:], **kwargs)
        if function is np.zeros_like:  # to add to, most of the time
            made = self.tape.room_for(function(args[0].value, *args[1:], **kwargs))
            self.tape.note(made.value.fill, (0,), [], made)
            return made
        if function in (np.sum, np.mean, np.max, np.min, np.reshape):
            return getattr(args[0], function.__name__)(*args[1:], **kwargs)
        if function is np.where and len(args) == 3:
            return self._chosen(*args)
        if function in (np.concatenate, np.stack):
            return self._joined(function, *args, **kwargs)
        if function is np.pad:
            return self._padded(*args, **kwargs)
        if function in _VIEWS and isinstance(args[0], Recorded):
            made = function(args[0].value, *args[1:], **kwargs)
            if isinstance(made, list):
                return [args[0]._moved(one) for one in made]
            return args[0]._moved(made)
        if function in _COMPUTED:
            return self.tape.computed_anew(partial(function, **kwargs), *args)
        raise NotRecordable(f"{function.__name__} of a recorded array")

    def _chosen(self, condition: Any, this: Any, other: Any) -> Recorded:
        this, other = (_of_its_dtype(one, (this, other)) for one in (this, other))
        made = self.tape.room_for(np.where(*map(plain, (condition, this, other))))
        this, other = (
            one if hasattr(one, "dtype") else np.asarray(one, made.dtype) for one in (this, other)
        )
        dtypes = [np.asarray(plain(one)).dtype for one in (condition, this, other)]
        alike = dtypes == [np.dtype(bool), made.dtype, made.dtype]
        if made.size >= MANY and alike and made.dtype in _WHOLE:
            return self._chosen_by_bits(condition, this, other, made)
        target = made.value
        self.tape.note(put, (target, plain(other)), [other], made, 0)
        arguments = (target, plain(this), "same_kind", plain(condition))
        self.tape.note(np.copyto, arguments, [condition, this, made], made)
        return made

    def _chosen_by_bits(self, condition: Any, this: Any, other: Any, made: Recorded) -> Recorded:
        """Choose as other ^ ((this ^ other) & mask), of bits that are all set where it is true.

        A processor guesses at each number which it'll be, and is wrong at every second one.
        """
        whole = _WHOLE[made.dtype]
        chosen = plain(condition).view(np.int8)
        mask = self.tape.room_for(np.negative(chosen, dtype=whole))
        self.tape.note(np.negative, (chosen, mask.value), [condition], mask, 1)
        a, b, result = (plain(one).view(whole) for one in (this, other, made))
        self.tape.note(np.bitwise_xor, (a, b, result), [this, other], made, 2)
        self.tape.note(np.bitwise_and, (result, mask.value, result), [mask, made], made)
        self.tape.note(np.bitwise_xor, (result, b, result), [other, made], made)
        return made

    def _joined(self, function: Any, arrays: Any, axis: int = 0) -> Recorded:
        parts = [plain(one) for one in arrays]
        made = self.tape.room_for(function(parts, axis))
        self.tape.note(function, (parts, axis, made.value), arrays, made, 2)
        return made

    def _padded(self, array: Recorded, widths: Any, mode: str = "constant", **options: Any) -> Any:
        if mode != "constant":
            return self.tape.computed_anew(partial(np.pad, **options), array, widths, mode)
        like = np.pad(array.value, widths, **options)
        pairs = np.broadcast_to(np.asarray(widths), (array.ndim, 2))
        inner = tuple(
            slice(before, before + n) for (before, _), n in zip(pairs, array.shape, strict=True)
        )
        border = options.get("constant_values", 0.0)

        def surround(source: Array, out: Array) -> None:
            out.fill(border)
            out[inner] = source

        return self.tape.result(surround, [array], like)


def plain(operand: Any) -> Any:
    """Return the array behind a recorded one; anything else as it is."""
    return operand.value if isinstance(operand, Recorded) else operand


def plain_within(operand: Any) -> Any:
    """Return the same with plain arrays for recorded ones, in tuples and lists too."""
    if isinstance(operand, (tuple, list)):
        return type(operand)(plain_within(one) for one in operand)
    return plain(operand)


def recorded_within(operand: Any) -> list[Recorded]:
    """Return the recorded arrays, in tuples and lists too."""
    if isinstance(operand, (tuple, list)):
        return [found for one in operand for found in recorded_within(one)]
    return [operand] if isinstance(operand, Recorded) else []


def _of_its_dtype(operand: Any, beside: Sequence[Any]) -> Any:
    """Make an array of a Python number once and for all, of the dtype that NumPy would give it."""
    if type(operand) not in (int, float):
        return operand
    dtypes = [one.dtype for one in beside if hasattr(one, "dtype") and one.dtype.kind == "f"]
    return np.asarray(operand, np.result_type(*dtypes)) if dtypes else operand


def _of_its_shape(operand: Any, like: Array) -> Any:
    """Give an operand that is as large as the result its shape: then nothing is broadcast."""
    if np.size(operand) != like.size or np.ndim(operand) in (0, like.ndim):
        return operand
    return operand.reshape(like.shape)


def _of_dtype(operand: Any, dtype: Any) -> Any:
    """Return an operand as an array of this dtype."""
    if isinstance(operand, Recorded):
        return operand.astype(dtype, copy=False)
    return np.asarray(operand, dtype)


def _is_whole_matrix(array: Any) -> bool:
    """Say whether an array is a matrix without gaps in memory."""
    return np.ndim(array) == 2 and bool(array.flags.forc)


def _as_its_operand(function: np.ufunc, operand: Array) -> Array:
    """Call a function of Python numbers, and return numbers of its operand's precision."""
    return function(operand).astype(operand.dtype)


def _row_of(number: Any, like: Array) -> Any:
    """Repeat a constant `MANY` times or more: NumPy is slow to compare an array with a number.

    Along those axes that are innermost in memory.
    """
    if isinstance(number, Recorded) or not like.ndim:
        return number
    row = like
    for axis in sorted(range(like.ndim), key=lambda axis: -like.strides[axis]):
        shorter = row[(slice(None),) * axis + (slice(1),)]
        if shorter.size < MANY:
            break
        row = shorter
    return np.full_like(row, number)


_KNOWN = (Recorded, np.ndarray, np.generic, int, float, list, tuple)
_VIEWS = {
    np.broadcast_to,
    np.expand_dims,
    np.lib.stride_tricks.sliding_window_view,
    np.moveaxis,
    np.ravel,
    np.split,
    np.squeeze,
    np.swapaxes,
    np.transpose,
}
_COMPUTED = {np.argsort, np.repeat, np.take_along_axis, np.einsum}
