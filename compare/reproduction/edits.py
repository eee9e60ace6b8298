"""Each way of making the model of a draft smaller or plainer: a description, and a change.

An edit is made out for the draft as it is when the list is drawn up, and carried out on what the
edits before it have left. Where there is nothing left for it to do it gives None.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import keras
import numpy as np

from compare.reproduction.draft import Call, Draft, Part, Tensor
from compare.reproduction.text import told

Edit = tuple[str, Callable[[Draft], Draft | None]]

PLAIN: dict[str, Any] = {
    "module": "keras.optimizers",
    "class_name": "SGD",
    "config": {},
    "registered_name": None,
}
NO_SIZES = ("axis", "axes", "seed", "name", "dtype", "groups", "input_axes", "output_axes")
"""What whole numbers stand for that says where something is, and not how much of it."""


def plainer(draft: Draft) -> Iterator[Edit]:
    """Offer to leave out what a model is compiled with."""
    yield "float64", _in_float64
    yield "no metrics", lambda d: _having(d, metrics=None)
    yield "eagerly", lambda d: _having(d, run_eagerly=True, jit_compile=False)
    yield "no weights of samples", lambda d: _having(d, sample_weight=())
    yield "no loss weights", lambda d: _having(d, loss_weights=None)
    for place in reversed(range(len(draft.outputs))):
        yield "fewer outputs", partial(_without_output, name=draft.outputs[place])
    yield "plain SGD", lambda d: _having(d, optimizer=PLAIN, slots={}, iterations=0)
    yield "a fresh optimizer", lambda d: _having(d, slots={}, iterations=0)
    yield "fewer epochs", lambda d: _having(d, epochs=1)
    for key in draft.optimizer["config"]:
        yield f"no {key}", partial(_with_default, key=key)
    for place in range(len(draft.losses)):
        yield "mse", partial(_with_loss, place=place)


def shorter(draft: Draft) -> Iterator[Edit]:
    """Offer to leave out calls: half of them at a time, a quarter …, then each alone."""
    size = len(draft.calls) // 2
    while size > 1:
        for start in range(0, len(draft.calls), size):
            names = [call.outputs[0] for call in draft.calls[start : start + size]]
            yield f"{size} layers fewer", partial(_bypassed, names=names)
        size //= 2
    for call in reversed(draft.calls):
        for place in range(len(call.takes)):
            names = [call.outputs[0]]
            yield f"without {names[0]}", partial(_bypassed, names=names, place=place)


def narrower(draft: Draft) -> Iterator[Edit]:
    """Offer smaller sizes: each wherever it stands, then in one place alone."""
    for size in sorted(_all_sizes(draft), reverse=True):
        for other in _smaller(size):
            yield f"{other} in place of {size}", partial(_resized, size=size, other=other)
    for name, part in draft.parts.items():
        for key, value in part.config.items():
            for size in sorted(set(_sizes({key: value})), reverse=True):
                for other in _smaller(size):
                    change = partial(_with_size, name=name, key=key, size=size, other=other)
                    yield f"{key}={other} in {name}", change
    for place, name in enumerate(draft.inputs):
        for axis, size in enumerate(draft.x[place].shape[1:], start=1):
            for other in _smaller(size):
                yield f"{name} of {other}", partial(_cut, name=name, axis=axis, size=other)


def simpler(draft: Draft) -> Iterator[Edit]:
    """Offer to leave out options of layers."""
    for name, part in draft.parts.items():
        _, options = told(part.kind, part.config)
        for key in (one for one in options if one != "seed"):
            yield f"{name} without {key}", partial(_without_option, name=name, key=key)
        if part.config.get("use_bias") is True:
            yield f"{name} without bias", partial(_with_option, name=name, key="use_bias")


def apart(draft: Draft, name: str) -> Draft | None:
    """Make a layer of its own of a layer's activation function."""
    part = draft.parts.get(name)
    if part is None or part.config.get("activation") in (None, "linear"):
        return None
    own = f"{name}_activation"
    activation = Part(keras.layers.Activation, {"activation": part.config["activation"]})
    calls: list[Call] = []
    moved: dict[str, str] = {}
    for call in draft.calls:
        for old, new in moved.items():
            call = call.with_tensor(old, new)
        calls.append(call)
        if call.part == name:
            before = call.outputs[0]
            moved[before] = before.replace(name, own, 1)
            calls.append(Call(own, (Tensor(before),), {}, (moved[before],)))
    parts = {**draft.parts, name: part.having(activation="linear"), own: activation}
    outputs = tuple(moved.get(one, one) for one in draft.outputs)
    return replace(draft, calls=tuple(calls), parts=parts, outputs=outputs)


# ---------------------------------------------------------------------- what is compiled


def _having(draft: Draft, **changes: Any) -> Draft | None:
    changed = {key: value for key, value in changes.items() if getattr(draft, key) != value}
    return replace(draft, **changes) if changed else None


def _in_float64(draft: Draft) -> Draft | None:
    """Let everything be computed in float64: there a central difference has digits to spare."""
    if draft.floatx == "float64":
        return None
    parts = {
        name: replace(part, config={k: v for k, v in part.config.items() if k != "dtype"})
        for name, part in draft.parts.items()
    }
    floats = {name: "float64" if "float" in of else of for name, of in draft.inputs.items()}

    def wide(arrays: tuple[np.ndarray, ...]) -> tuple[np.ndarray, ...]:
        return tuple(one.astype(np.float64) if one.dtype.kind == "f" else one for one in arrays)

    data: dict[str, Any] = {
        name: wide(getattr(draft, name)) for name in ("x", "y", "sample_weight")
    }
    return replace(draft, floatx="float64", parts=parts, inputs=floats, **data)


def _without_output(draft: Draft, name: str) -> Draft | None:
    if name not in draft.outputs or len(draft.outputs) == 1:
        return None
    kept = [place for place, output in enumerate(draft.outputs) if output != name]
    chosen: dict[str, Any] = {
        key: tuple(getattr(draft, key)[place] for place in kept)
        for key in ("outputs", "losses", "loss_weights", "y", "sample_weight")
        if getattr(draft, key)
    }
    return replace(draft, **chosen).pruned()


def _with_default(draft: Draft, key: str) -> Draft | None:
    """Let an option of the optimizer be what it is by default."""
    config = draft.optimizer["config"]
    kind = getattr(keras.optimizers, draft.optimizer["class_name"], None)
    if kind is None or key not in told(kind, config)[1]:
        return None
    others = {name: value for name, value in config.items() if name != key}
    return replace(draft, optimizer={**draft.optimizer, "config": others})


def _with_loss(draft: Draft, place: int) -> Draft | None:
    if place >= len(draft.losses) or draft.losses[place] == "mse":
        return None
    losses = list(draft.losses)
    losses[place] = "mse"
    return replace(draft, losses=tuple(losses))


# ---------------------------------------------------------------------- calls


def _bypassed(draft: Draft, names: Sequence[str], place: int = 0) -> Draft | None:
    """Let what takes these outputs take one of the inputs of the call instead."""
    for name in names:
        call = next((one for one in draft.calls if one.outputs[0] == name), None)
        if call is None or len(call.takes) <= place:
            return None
        taken = call.takes[place]
        others = [one.with_tensor(name, taken) for one in draft.calls if one is not call]
        outputs = tuple(taken if one == name else one for one in draft.outputs)
        left = {one for other in others for one in other.takes} | set(outputs)
        if left & set(call.outputs) or set(outputs) & set(draft.inputs):
            return None
        draft = replace(draft, calls=tuple(others), outputs=outputs)
    return draft.pruned()


# ---------------------------------------------------------------------- sizes


def _smaller(size: int) -> list[int]:
    return sorted({1, 2, size // 2, size - 1} & set(range(1, size)))


def _sizes(config: Any) -> Iterator[int]:
    """Yield the whole numbers above 1 among the settings that are sizes."""
    if isinstance(config, Mapping):
        for key, value in config.items():
            if key not in NO_SIZES:
                yield from _sizes(value)
    elif isinstance(config, (list, tuple)):
        for value in config:
            yield from _sizes(value)
    elif isinstance(config, int) and not isinstance(config, bool) and config > 1:
        yield config


def _all_sizes(draft: Draft) -> set[int]:
    of_parts = {size for part in draft.parts.values() for size in _sizes(part.config)}
    return of_parts | {size for one in draft.x for size in one.shape[1:]}


def _changed(config: Any, size: int, other: int) -> Any:
    """Return a configuration with one size in the place of another."""
    if isinstance(config, Mapping):
        return {
            key: value if key in NO_SIZES else _changed(value, size, other)
            for key, value in config.items()
        }
    if isinstance(config, (list, tuple)):
        return type(config)(_changed(value, size, other) for value in config)
    same = isinstance(config, int) and not isinstance(config, bool) and config == size
    return other if same else config


def _resized(draft: Draft, size: int, other: int) -> Draft | None:
    if size not in _all_sizes(draft):
        return None
    parts = {
        name: replace(part, config=_changed(part.config, size, other))
        for name, part in draft.parts.items()
    }
    changed = replace(draft, parts=parts)
    for place, name in enumerate(draft.inputs):
        for axis, length in enumerate(draft.x[place].shape[1:], start=1):
            if length == size:
                changed = _cut(changed, name, axis, other) or changed
    return changed


def _with_size(draft: Draft, name: str, key: str, size: int, other: int) -> Draft | None:
    part = draft.parts.get(name)
    if part is None or size not in set(_sizes({key: part.config.get(key)})):
        return None
    return draft.with_part(name, part.having(**{key: _changed(part.config[key], size, other)}))


def _cut(draft: Draft, name: str, axis: int, size: int) -> Draft | None:
    """Shorten an input along an axis."""
    names = list(draft.inputs)
    if name not in names or draft.x[names.index(name)].shape[axis] <= size:
        return None
    place, x = names.index(name), list(draft.x)
    x[place] = np.take(x[place], np.arange(size), axis=axis)
    return replace(draft, x=tuple(x))


# ---------------------------------------------------------------------- options of layers


def _without_option(draft: Draft, name: str, key: str) -> Draft | None:
    part = draft.parts.get(name)
    if part is None or key not in part.config:
        return None
    config = {one: value for one, value in part.config.items() if one != key}
    return draft.with_part(name, replace(part, config=config))


def _with_option(draft: Draft, name: str, key: str) -> Draft | None:
    part = draft.parts.get(name)
    return None if part is None else draft.with_part(name, part.having(**{key: False}))
