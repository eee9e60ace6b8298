"""The names under which the Keras half reports its weights and optimizer slots."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any
from weakref import WeakKeyDictionary

import keras

_names_in_original: WeakKeyDictionary[Any, list[str]] = WeakKeyDictionary()


def name_like(layer: Any, original: Any) -> None:
    """Let the weights of a layer's copy go by the names that they have in the original.

    Where Keras made up a name, of a variable, or of a layer within, it gives a copy the next one.
    """
    names = [name for name, _ in named_weights(original)]
    if len(names) == len(layer.weights):
        _names_in_original[layer] = names


def weights(model: keras.Model) -> dict[str, Any]:
    """Return the model's variables by ``layer/weight``, in Keras's order.

    A model within gives its layers its name: ``encoder/dense/kernel``. Where two weights of a layer
    have the same name, as in attention, the layers inside it are named too:
    ``attention/query/kernel``.

    What a stateful recurrent layer carries from batch to batch, no weight to Keras, is among them:
    ``memory/rnn_state/0``.
    """
    return {
        f"{path}/{name}": variable
        for path, layer in layers(model)
        for name, variable in (*named_weights(layer), *_carried(layer))
    }


def _carried(layer: Any) -> Iterator[tuple[str, Any]]:
    """Yield what a recurrent layer carries from batch to batch; all of it has one name in Keras."""
    if isinstance(layer, (keras.layers.RNN, keras.layers.Bidirectional)):
        for place, variable in enumerate(keras.tree.flatten(layer.states or [])):
            yield f"rnn_state/{place}", variable


def layers(model: keras.Model, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield all layers with their paths; a model within is its layers, under its name."""
    for layer in model.layers:
        if is_graph(layer):
            yield from layers(layer, f"{path}{layer.name}/")
        else:
            yield path + layer.name, layer


def in_several_models(model: keras.Model) -> str | None:
    """Return the path of a layer that lies in several of the models within; None if none does.

    Inputs may: models that are cut out of one another begin at the same ones.
    """
    seen: set[int] = set()
    for path, layer in layers(model):
        if isinstance(layer, keras.layers.InputLayer):
            continue
        if id(layer) in seen:
            return path
        seen.add(id(layer))
    return None


def is_of_whole_numbers(policy: Any) -> bool:
    """Say whether a layer with this dtype policy gives whole numbers: it rounds nothing."""
    return "float" not in policy.compute_dtype


def output_keys(model: keras.Model) -> list[str]:
    """Return what data, losses and metrics call a model's outputs by, in the order of these.

    The keys where it was made of a dict, which Keras sorts; else the names of the layers.
    """
    functional = getattr(model, "_functional", model)
    given = functional._outputs_struct
    return sorted(given) if isinstance(given, dict) else list(functional.output_names)


def is_graph(layer: Any) -> bool:
    """Say whether a layer is a model whose graph Keras knows."""
    return isinstance(layer, (keras.Sequential, keras.src.models.Functional))


def named_weights(layer: Any) -> Iterator[tuple[str, Any]]:
    """Yield the weights of a layer with their names within it, in Keras's order.

    Those of a model inside it go by their names in that model, those of a layer of a copy by the
    names that they have in the original.
    """
    if layer in _names_in_original:
        yield from zip(_names_in_original[layer], layer.weights, strict=True)
        return
    if isinstance(layer, keras.layers.TimeDistributed) and is_graph(layer.layer):
        for name, variable in weights(layer.layer).items():
            yield f"{layer.layer.name}/{name}", variable
        return
    times = Counter(variable.name for variable in layer.weights)
    nameless = 0
    paths = {
        id(variable): f"{part.name}/{name}"
        for part in _parts(layer)
        for name, variable in _by_path(part)
    }
    for variable in layer.weights:
        if re.fullmatch(r"variable(_\d+)?", variable.name):  # counted by Keras over all models
            yield "variable" + (f"_{nameless}" if nameless else ""), variable
            nameless += 1
            continue
        # The layer's name may be missing, or have the model's before it.
        within = f"/{variable.path}".rpartition(f"/{layer.name}/")[-1].removeprefix("/")
        name = variable.name if times[variable.name] == 1 else paths.get(id(variable), within)
        yield name, variable


def _by_path(layer: Any) -> Iterator[tuple[str, Any]]:
    parts = _parts(layer)
    if not parts:
        yield from named_weights(layer)
    for part in parts:
        for name, variable in _by_path(part):
            yield f"{part.name}/{name}", variable


def _parts(layer: Any) -> list[Any]:
    """Return the layers that a wrapper, or a recurrent layer, is made of.

    In a copy they were built by themselves, and the paths of their weights begin with them.
    """
    parts: list[Any] = []
    if isinstance(layer, keras.layers.Bidirectional):
        parts = [layer.forward_layer, layer.backward_layer]
    elif isinstance(layer, keras.layers.StackedRNNCells):
        parts = list(layer.cells)
    elif isinstance(layer, keras.layers.RNN):
        parts = [layer.cell]
    elif isinstance(layer, keras.layers.TimeDistributed):
        parts = [layer.layer]
    return [part for part in parts if isinstance(part, keras.layers.Layer)]


def seeds(model: keras.Model) -> list[Any]:
    """Return the states of the model's random generators, in the order of its layers."""
    return [
        variable
        for _, layer in layers(model)
        for variable in layer.variables
        if variable.name == "seed_generator_state"
    ]


def trainable_names(model: keras.Model) -> list[str]:
    """Return the names of the trainable weights in the order in which the optimizer has them."""
    names = {id(variable): name for name, variable in weights(model).items()}
    return [names[id(variable)] for variable in model.trainable_variables]


def slots(model: keras.Model) -> dict[str, dict[str, Any]]:
    """Return the optimizer's variables, slot by slot: ``{"momentum": {"hidden/kernel": …}}``.

    Keras names a slot after the path of its weight, so the slot's own name is what follows it. What
    it doesn't name like that goes by its attribute: Adafactor's rows ``r`` and columns ``c``, which
    only weights with two axes or more have, and Nadam's ``u_product``, one for ``"all weights"``.
    """
    outer = model.optimizer
    rules = rules_of(model)
    found: dict[str, dict[str, Any]] = {}
    for place, (rule, named) in enumerate(rules, 1):
        all_weights = "all weights" if len(rules) == 1 else f"all weights {place}"
        for slot, variables in _slots_of(rule, named, all_weights).items():
            found.setdefault(slot, {}).update(variables)
    if hasattr(outer, "inner_optimizer"):
        for slot in ("step_counter", "dynamic_scale"):
            found[slot] = {"all weights": getattr(outer, slot)}
    return found


def rules_of(model: keras.Model) -> list[tuple[Any, dict[str, Any]]]:
    """Return the optimizers that move the weights, each with the weights that it moves."""
    outer = model.optimizer
    if not outer.built:  # to build twice would double what belongs to no weight
        outer.build(model.trainable_variables)
    # The optimizer of a model that was followed has the weights in the model's order.
    order = {id(one): place for place, one in enumerate(outer._trainable_variables)}
    pairs = zip(trainable_names(model), model.trainable_variables, strict=True)
    named = dict(sorted(pairs, key=lambda pair: order.get(id(pair[1]), 0)))
    outer = getattr(outer, "inner_optimizer", outer)
    if not isinstance(outer, keras.optimizers.MultiOptimizer):
        return [(outer, named)]
    places = {
        name: outer._var_to_optimizer_idx[outer._var_key(variable)]
        for name, variable in named.items()
    }
    return [
        (rule, {name: named[name] for name, place in places.items() if place == index})
        for index, rule in enumerate(outer.optimizers)
        if index in places.values()
    ]


def _slots_of(optimizer: Any, named: dict[str, Any], all_weights: str) -> dict[str, dict[str, Any]]:
    prefixes: dict[str, list[str]] = {}
    for name, variable in named.items():
        prefixes.setdefault(variable.path.replace("/", "_") + "_", []).append(name)
    found: dict[str, dict[str, Any]] = {}
    for variable in optimizer.variables:
        matching = [prefix for prefix in prefixes if variable.name.startswith(prefix)]
        if matching:
            prefix = max(matching, key=len)
            of_slot = found.setdefault(variable.name.removeprefix(prefix), {})
            # Weights of layers within different models may share a path: they come in their order.
            of_slot[next(name for name in prefixes[prefix] if name not in of_slot)] = variable
    if isinstance(optimizer, keras.optimizers.Adafactor):
        for slot, variables in (("r", optimizer._r), ("c", optimizer._c)):
            found[slot] = {
                name: variable
                for (name, weight), variable in zip(named.items(), variables, strict=True)
                if len(weight.shape) > 1
            }
    if isinstance(optimizer, keras.optimizers.Nadam):
        found["u_product"] = {all_weights: optimizer._u_product}
    return found


def without_weight_decay(model: keras.Model) -> list[str]:
    """Return the names of the weights that were excluded from weight decay."""
    return [
        name
        for rule, named in rules_of(model)
        for name, variable in named.items()
        if not rule._use_weight_decay(variable.value)
    ]


def calls_in_order(
    model: keras.Model, path: str = "", outer: int = 0, *, masks: bool = False
) -> Iterator[tuple[Any, str, int]]:
    """Yield every call in a Functional or Sequential model in the order Keras runs them.

    Operations (``x + y``) are calls as layers are. Those with which Keras only carries masks on are
    in the graph too, and are passed over.

    Parameters
    ----------
    model : keras.Model
    path : str
        What stands before the names of its layers, if it lies within another model.
    outer : int
        Which call of the model this is, counted from 0.
    masks : bool
        Whether to give those calls too that only make masks.

    Yields
    ------
    layer : keras.Layer or keras.Operation
    path : str
        Its own.
    call : int
        Which of its calls this is, counted from 0.
    """
    functional = getattr(model, "_functional", model)
    by_depth = functional._nodes_by_depth
    nodes = [node for depth in sorted(by_depth, reverse=True) for node in by_depth[depth]]
    needed = computing(functional.outputs)
    for node in nodes:
        of_mask = not isinstance(node.operation, keras.Layer) and id(node) not in needed
        if node.is_input or (of_mask and not masks):
            continue
        layer = node.operation
        own = [other for other in layer._inbound_nodes if other in nodes]
        call = outer * len(own) + own.index(node)
        if is_graph(layer):
            yield from calls_in_order(layer, f"{path}{layer.name}/", call, masks=masks)
        else:
            yield layer, path + layer.name, call


def calls_of_copy(copy: keras.Model, model: keras.Model) -> Iterator[tuple[Any, str]]:
    """Yield every layer call of a copy of a model, in order, under the name it has in the model.

    That is the layer's path, and ``@2`` for the second of its calls, ``@3`` … A copy is made by
    running through the model, so that its calls are counted in the order in which they are run.
    """
    counted: dict[str, list[int]] = {}
    for _, path, call in calls_in_order(model, masks=True):
        counted.setdefault(path, []).append(call)
    for layer, path, run in calls_in_order(copy, masks=True):
        if path not in counted:  # a Sequential model makes the masks that it carries on anew
            continue
        call = counted[path][run]
        yield layer, path + (f"@{call + 1}" if call else "")


MASKS = ("mask", "query_mask", "value_mask", "key_mask")
"""Arguments of layers in which Keras hands over masks."""


def computing(outputs: Any) -> set[int]:
    """Return the ids of the nodes on which outputs depend other than by a mask of a layer."""
    found: set[int] = set()
    waiting = keras.tree.flatten(outputs)
    while waiting:
        operation, index, _ = waiting.pop()._keras_history
        node = operation._inbound_nodes[index]
        if id(node) not in found:
            found.add(id(node))
            kwargs = dict(node.arguments.kwargs)
            if isinstance(operation, keras.Layer):
                kwargs = {name: value for name, value in kwargs.items() if name not in MASKS}
            taken = keras.tree.flatten((node.arguments.args, kwargs))
            waiting += [one for one in taken if keras.backend.is_keras_tensor(one)]
    return found


def operation_call(model: keras.Model, name: str) -> Any:
    """Return the node of an operation's call by its name in a trace; None if a layer makes it."""
    for operation, path, call in calls_in_order(model):
        own = path + (f"@{call + 1}" if call else "")
        if own == name and not isinstance(operation, keras.Layer):
            return operation._inbound_nodes[-1]
    return None
