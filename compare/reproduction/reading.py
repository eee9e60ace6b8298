"""Reads a compiled model and the step of its training that disagrees, as a draft."""

from __future__ import annotations

import keyword
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import keras
import numpy as np

from compare.errors import BadInput
from compare.reproduction.building import CARRIED
from compare.reproduction.draft import Arrays, Call, Draft, Part, Tensor
from compare.twins.twin import per_output
from keras_models import naming, own_functions
from keras_models.losses import loss_config
from keras_models.optimizers import config_of, is_multiple
from keras_models.step_record import StepRecord

TAKEN = ("keras", "np", "model", "probe", "x", "y", "sample_weight", "weights", "given", "seen")
"""What the script calls other things."""


def read(model: keras.Model, record: StepRecord) -> Draft:
    """Return a draft of one step: a model with a graph, the state before, and the batch.

    Models within are taken apart. Outputs without a loss are left out.
    """
    if is_multiple(model.optimizer):
        raise BadInput(
            "The model has several optimizers, which a short script can't show: compile it with "
            "the one that disagrees."
        )
    graph = _Graph()
    functional = getattr(model, "_functional", model)
    count = len(functional.inputs)
    names = ["inputs"] if count == 1 else [f"input_{number}" for number in range(1, count + 1)]
    with own_functions.named(model) as own:
        outputs = [one.name for one in graph.follow(model, [Tensor(name) for name in names])]
    losses = per_output("loss", model.loss, model)
    judged = _judged(model)
    given = per_output("loss_weights", model._compile_loss._user_loss_weights, model)
    weights = tuple(given[place] for place in judged)
    data = data_of(model, record)
    draft = Draft(
        floatx=keras.config.floatx(),
        inputs={n: str(t.dtype) for n, t in zip(names, functional.inputs, strict=True)},
        parts=graph.parts,
        calls=tuple(graph.calls),
        outputs=tuple(outputs[place] for place in judged),
        losses=tuple(_loss(losses[place]) for place in judged),
        loss_weights=None if all(one in (None, 1) for one in weights) else weights,
        optimizer=_shortened(config_of(model)),
        metrics=model._compile_config.config.get("metrics"),
        run_eagerly=model.run_eagerly,
        jit_compile=model.jit_compile is True,
        weights=graph.renamed(record.before),
        batch_size=len(data["x"][0]),
        functions={name: one.function for name, one in own.items()},
        **data,
    )
    if record.iterations:
        slots = {slot: graph.renamed(named) for slot, named in record.slots_before.items()}
        draft = replace(draft, slots=slots, iterations=record.iterations)
    return draft.pruned()


def data_of(model: keras.Model, record: StepRecord) -> dict[str, Any]:
    """Return x, y and the weights of the samples, those for each output that has a loss."""
    judged, outputs = _judged(model), len(model.outputs)
    y = _listed(record.y)
    weights = [] if record.sample_weight is None else _listed(record.sample_weight)
    if len(weights) == 1:
        weights = weights * len(judged)
    each = zip(_listed(record.x), model.inputs, strict=True)
    x = [one.astype(of.dtype) if "int" in of.dtype else one for one, of in each]
    ones = np.ones(len(x[0]), np.float32)
    found = {"x": x, "y": y, "sample_weight": [ones if one is None else one for one in weights]}
    for name in ("y", "sample_weight"):
        if len(found[name]) == outputs:
            found[name] = [found[name][place] for place in judged]
    return {name: tuple(arrays) for name, arrays in found.items()}


def _judged(model: keras.Model) -> list[int]:
    """Return the places of the outputs that have a loss."""
    losses = enumerate(per_output("loss", model.loss, model))
    return [place for place, loss in losses if loss is not None]


class _Graph:
    """Collects the layers of a model, and their calls in the order in which they are run."""

    def __init__(self) -> None:
        self.parts: dict[str, Part] = {}
        self.calls: list[Call] = []
        self._names: dict[str, str] = {}

    def follow(self, model: Any, given: list[Tensor], path: str = "") -> list[Tensor]:
        """Follow what a model does with its inputs; return its outputs."""
        functional = getattr(model, "_functional", model)
        known = {id(one): name for one, name in zip(functional.inputs, given, strict=True)}
        computing = naming.computing(functional.outputs)
        by_depth = functional._nodes_by_depth
        for node in (node for depth in sorted(by_depth, reverse=True) for node in by_depth[depth]):
            part = node.operation
            carries_mask = not isinstance(part, keras.Layer) and id(node) not in computing
            if node.is_input or carries_mask:
                continue
            args, kwargs = _with_names(node.arguments, known)
            if naming.is_graph(part):
                taken = [one for one in keras.tree.flatten(args) if isinstance(one, Tensor)]
                made = self.follow(part, taken, f"{path}{part.name}/")
            else:
                made = self._called(path + part.name, part, args, kwargs, len(node.output_tensors))
            known |= {id(one): name for one, name in zip(node.output_tensors, made, strict=True)}
        return [known[id(one)] for one in functional.outputs]

    def _called(
        self, path: str, part: Any, args: Any, kwargs: Mapping[str, Any], outputs: int
    ) -> list[Tensor]:
        name = self._names.setdefault(path, _plain(path))
        self.parts.setdefault(name, Part(type(part), _seeded(part.get_config())))
        # fit trains all layers, whatever a call says, and masks find their way by themselves.
        kwargs = {key: one for key, one in kwargs.items() if key not in ("training", *naming.MASKS)}
        before = sum(call.part == name for call in self.calls)
        call = name + (f"_{before + 1}" if before else "")
        made = [call, *(f"{call}_{place}" for place in range(1, outputs))]
        self.calls.append(Call(name, tuple(args), kwargs, tuple(made)))
        return [Tensor(one) for one in made]

    def renamed(self, arrays: Arrays) -> dict[str, np.ndarray]:
        """Return weights by the names that they have where models within are taken apart."""
        return {self._renamed(n): array for n, array in arrays.items() if CARRIED not in n}

    def _renamed(self, name: str) -> str:
        paths = [path for path in self._names if name.startswith(f"{path}/")]
        path = max(paths, key=len, default="")
        return self._names[path] + name.removeprefix(path) if paths else name


def _with_names(arguments: Any, known: Mapping[int, Tensor]) -> tuple[Any, Any]:
    """Return the arguments of a call with our tensors in the places of Keras's."""

    def ours(one: Any) -> Any:
        return known.get(id(one), one)

    args, kwargs = keras.tree.map_structure(ours, (arguments.args, arguments.kwargs))
    return args, kwargs


def _plain(name: str) -> str:
    """Return a name that a variable of the script can have."""
    plain = re.sub(r"\W", "_", name)
    taken = keyword.iskeyword(plain) or plain in TAKEN
    return plain if plain.isidentifier() and not taken else f"layer_{plain}"


def _listed(given: Any) -> list[Any]:
    return list(given) if isinstance(given, (list, tuple)) else [given]


def _loss(loss: Any) -> Any:
    return loss if isinstance(loss, str) else loss_config(keras.losses.get(loss))


def _seeded(config: Any) -> Any:
    """Return a configuration in which what is drawn at random begins with a known seed."""
    if isinstance(config, dict):
        return {
            key: 0 if key == "seed" else _seeded(value)
            for key, value in config.items()
            if not key.endswith("_initializer")
        }
    return config


def _shortened(config: Any) -> Any:
    """Write float32's 0.009999999776482582 as the 0.01 that it was."""
    if isinstance(config, dict):
        return {key: _shortened(value) for key, value in config.items()}
    if isinstance(config, float) and float(np.float32(config)) == config:
        return float(str(np.float32(config)))
    return config
