"""A small training in plain data: layers, calls, numbers. What is made smaller, and written out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import keras
import numpy as np

Arrays = Mapping[str, np.ndarray]
NUMBERS = ("x", "y", "sample_weight", "weights", "slots")
"""What of a draft is arrays."""


@dataclass(frozen=True)
class Tensor:
    """One tensor of the graph, by its name; its place among the arguments of a call."""

    name: str


@dataclass(frozen=True)
class Part:
    """A layer or an operation: its class, and what it is made with."""

    kind: type
    config: Mapping[str, Any]

    @property
    def is_layer(self) -> bool:
        return issubclass(self.kind, keras.Layer)

    def having(self, **config: Any) -> Part:
        return replace(self, config={**self.config, **config})


@dataclass(frozen=True)
class Call:
    """One call of a part; several calls of one part share its weights."""

    part: str
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    outputs: tuple[str, ...]

    @property
    def takes(self) -> list[str]:
        """The tensors that it takes, in the order of its arguments."""
        flat = keras.tree.flatten((self.args, dict(self.kwargs)))
        return [one.name for one in flat if isinstance(one, Tensor)]

    def with_tensor(self, old: str, new: str) -> Call:
        """Return the call that takes another tensor in the place of one."""

        def other(one: Any) -> Any:
            return Tensor(new) if one == Tensor(old) else one

        args, kwargs = keras.tree.map_structure(other, (self.args, dict(self.kwargs)))
        return replace(self, args=args, kwargs=kwargs)


@dataclass(frozen=True)
class Draft:
    """A model, what it is compiled with, the state it starts from, and its data.

    Attributes
    ----------
    floatx : str
        What Keras computes in.
    inputs : mapping of str to dtype
        Their shapes are those of ``x``.
    parts : mapping of str to Part
    calls : tuple of Call
        In the order in which they are run.
    outputs : tuple of str
        Each has a loss.
    losses : tuple
        As ``compile`` takes them: a name, or Keras's configuration.
    optimizer : dict
        Keras's configuration.
    x, y : tuples of arrays
    loss_weights, metrics : as ``compile`` takes them; None for none
    run_eagerly : bool
    jit_compile : bool
    weights : mapping of str to array
    slots : mapping of slot to weight to array
        The optimizer's memory; empty before the first step.
    iterations : int
        Steps before.
    sample_weight : tuple of arrays
        One for each output, or empty.
    batch_size, epochs : int
    functions : mapping of str to callable
        The user's own, by the names that stand for them in the parts.
    """

    floatx: str
    inputs: Mapping[str, str]
    parts: Mapping[str, Part]
    calls: tuple[Call, ...]
    outputs: tuple[str, ...]
    losses: tuple[Any, ...]
    optimizer: Mapping[str, Any]
    x: tuple[np.ndarray, ...]
    y: tuple[np.ndarray, ...]
    loss_weights: tuple[float, ...] | None = None
    metrics: Any = None
    run_eagerly: bool = False
    jit_compile: bool = False
    weights: Arrays = field(default_factory=dict)
    slots: Mapping[str, Arrays] = field(default_factory=dict)
    iterations: int = 0
    sample_weight: tuple[np.ndarray, ...] = ()
    batch_size: int = 1
    epochs: int = 1
    functions: Mapping[str, Any] = field(default_factory=dict)

    @property
    def samples(self) -> int:
        return len(self.y[0])

    @property
    def steps(self) -> int:
        """How many steps are taken in all."""
        return self.epochs * -(-self.samples // self.batch_size)

    @property
    def key(self) -> int:
        """What tells it from others, all digits included."""
        data = [self.x, self.y, self.sample_weight, dict(self.weights), dict(self.slots)]
        arrays = [(one.shape, one.tobytes()) for one in keras.tree.flatten(data)]
        rest = {name: one for name, one in vars(self).items() if name not in NUMBERS}
        return hash((str(rest), tuple(arrays)))

    @property
    def is_chain(self) -> bool:
        """Whether it is layer after layer, each called once on what the one before gives."""
        before = list(self.inputs)[:1]
        parts = [call.part for call in self.calls]
        for call in self.calls:
            alone = call.args == (Tensor(before[0]),) and not call.kwargs
            if not alone or not self.parts[call.part].is_layer or len(call.outputs) > 1:
                return False
            before = [call.outputs[0]]
        whole = len(self.inputs) == 1 and tuple(before) == self.outputs
        return whole and len(set(parts)) == len(parts)

    def with_part(self, name: str, part: Part) -> Draft:
        return replace(self, parts={**self.parts, name: part})

    def with_rows(self, rows: Iterable[int]) -> Draft:
        """Return the draft with some of the samples; where they made one batch, they still do."""
        chosen = list(rows)

        def taken(arrays: tuple[np.ndarray, ...]) -> tuple[np.ndarray, ...]:
            return tuple(array[chosen] for array in arrays)

        size = len(chosen) if self.batch_size >= self.samples else self.batch_size
        parts: dict[str, Any] = {
            name: taken(getattr(self, name)) for name in ("x", "y", "sample_weight")
        }
        return replace(self, batch_size=size, **parts)

    def pruned(self) -> Draft:
        """Return the draft without the calls and inputs that nothing depends on."""
        needed, calls = set(self.outputs), list[Call]()
        for call in reversed(self.calls):
            if needed & set(call.outputs):
                needed |= set(call.takes)
                calls.insert(0, call)
        used = [place for place, name in enumerate(self.inputs) if name in needed]
        names = list(self.inputs)
        return replace(
            self,
            calls=tuple(calls),
            parts={call.part: self.parts[call.part] for call in calls},
            inputs={names[place]: self.inputs[names[place]] for place in used},
            x=tuple(self.x[place] for place in used),
        )
