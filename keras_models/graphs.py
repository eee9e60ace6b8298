"""The graph of a model, down to layers and operations that have a twin.

A subclassed model is followed with symbols. So is a user's own layer, which stands in the graph as
a model within then, under its name.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from keras_models import naming
from keras_models.apart import Inferring, changes, steps, traced
from keras_models.pieces import OneOperation, Place
from keras_models.symbols import NoGraph

KERAS_CALLS = keras.Sequential.call, keras.src.models.Functional.call
Functional = keras.src.models.Functional
HasTwin = Callable[[Any], bool]
"""Says whether a layer or an operation is known to the hand-written half."""


def tells_graph(model: keras.Model) -> bool:
    """Say whether a model's configuration is its graph: it is of Keras's own classes."""
    return type(model) in (keras.Sequential, keras.src.models.Functional)


def build_for(model: keras.Model, x: Any) -> None:
    """Build a model that isn't yet for such inputs, as ``fit`` would.

    Parameters
    ----------
    model : keras.Model
    x : anything with shapes and dtypes, nested as the model takes it
    """
    if not all(layer.built for layer in model._flatten_layers()):
        keras.src.backend.compute_output_spec(model, keras.tree.map_structure(_tensor, x))


def graph_of(model: keras.Model, x: Any, has_twin: HasTwin = lambda part: True) -> keras.Model:
    """Return a Functional model of what a model does in training; itself, if it is one already.

    It has the very layers and weights of the model, in an order of its own, and is compiled alike.

    Parameters
    ----------
    model : keras.Model
        Compiled and built.
    x : anything with shapes and dtypes, nested as the model takes it
    has_twin : callable
        What isn't known is taken apart if it is a user's own; operations become layers.

    Raises
    ------
    NoGraph
        If ``call`` does more than to call layers and Keras's own operations, does something else
        in inference, or uses weights that aren't in the graph's layers.
    """
    knows_training = True
    if naming.is_graph(model) and type(model).call in KERAS_CALLS:
        functional = getattr(model, "_functional", model)
        ends = functional._inputs_struct, functional._outputs_struct
        graph = model if tells_graph(model) else Functional(*ends, name=model.name)
    else:
        inputs = _symbols(x, taken={layer.name for layer in model.layers})
        knows_training = model._call_has_training_arg
        graph = _followed(
            model, (inputs,), {}, inputs, (True, False) if knows_training else (None,)
        )
    try:
        graph = _opened(graph, has_twin, naming.in_several_models(graph) is not None) or graph
    except ValueError as error:  # of Keras, where layers of two models have one name
        raise NoGraph(f"has no graph: {error}") from error
    if not knows_training:
        graph = _in_inference(graph)
    if graph is model:
        return model
    missing = {id(weight) for weight in model.weights} - {id(weight) for weight in graph.weights}
    for weight in model.weights:
        if id(weight) in missing:
            raise NoGraph(f"has the weight {weight.path!r}, which lies in none of the layers used")
    model.optimizer.build(model.trainable_variables)  # in the order of these, as fit would
    graph.compile(**{**model._compile_config.config, "optimizer": model.optimizer})
    return graph


def _followed(
    part: Any, args: Any, kwargs: Any, inputs: Any, contexts: Sequence[bool | None]
) -> Any:
    """Return the graph of a call, if it is the same in training and in inference."""
    *others, graph = (traced(part, args, kwargs, inputs, one) for one in contexts)
    if any(steps(graph) != steps(other) for other in others):
        raise NoGraph("does something else in training than in inference, outside its layers")
    words: dict[Any, set[Any]] = {}
    for node, *same in zip(_nodes(graph), *map(_nodes, others), strict=True):
        told = {one.arguments.kwargs.get("training") for one in (node, *same)}
        words.setdefault(node.operation, set()).add(told.pop() if len(told) == 1 else None)
    for operation, told in reversed(words.items()):  # as they are called
        if True in told or (False in told and len(told) > 1):
            raise NoGraph(f"calls the layer {operation.name!r} with training=… of its own")
    inferring = {
        operation
        for operation, told in words.items()
        if told == {False} and (naming.is_graph(operation) or _may_change(operation))
    }
    if not others or not inferring:
        return graph
    return _run_again(graph, lambda one: _inferring(one) if one in inferring else one)


def _may_change(layer: Any) -> bool:
    """Say whether a layer may be another map in training; a user's own may for all we know."""
    return changes(layer) or not type(layer).__module__.startswith("keras.")


def _inferring(operation: Any) -> Any:
    """Return what stands for a layer that is in inference at all times."""
    if not naming.is_graph(operation):
        node = operation._inbound_nodes[-1]
        taken = [keras.Input(batch_shape=one.shape, dtype=one.dtype) for one in node.input_tensors]
        args, kwargs = node.arguments.fill_in(
            {id(one): new for one, new in zip(node.input_tensors, taken, strict=True)}
        )
        graph = Inferring(taken, operation(*args, **kwargs), name=operation.name)
        return lambda *args, **kwargs: graph(
            [
                one
                for one in keras.tree.flatten((args, kwargs))
                if keras.backend.is_keras_tensor(one)
            ]
        )
    functional = getattr(operation, "_functional", operation)
    return Inferring(functional._inputs_struct, functional._outputs_struct, name=operation.name)


def _in_inference(graph: Any) -> Any:
    """Return a graph whose layers are told that they are in inference.

    As such Keras trains a model that takes no ``training`` argument.
    """
    for path, layer in naming.layers(graph):
        within = layer._flatten_layers(include_self=False)
        if not layer._call_has_training_arg and any(map(changes, within)):
            raise NoGraph(
                f"takes no training argument, so that Keras trains it with the layer {path!r} as "
                "in inference"
            )
    if not any(changes(layer) for _, layer in naming.layers(graph)):
        return graph
    functional = getattr(graph, "_functional", graph)
    return Inferring(functional._inputs_struct, functional._outputs_struct, name=graph.name)


def _run_again(graph: Any, operation_fn: Callable[[Any], Any]) -> Any:
    functional = getattr(graph, "_functional", graph)
    outputs = functional._run_through_graph(functional.inputs, operation_fn=operation_fn)
    return _kind(graph)(functional._inputs_struct, outputs, name=graph.name)


def _kind(graph: Any) -> type:
    return Inferring if isinstance(graph, Inferring) else Functional


# ---------------------------------------------------------------------- what a graph is made of


def _opened(graph: keras.Model, has_twin: HasTwin, flat: bool) -> keras.Model | None:
    """Return a graph in which what can be taken apart is; None if nothing is.

    With ``flat``, models within are no models any more: their layers are the graph's.
    """
    functional = getattr(graph, "_functional", graph)
    if functional is None:
        return None
    replaced: dict[int, Any] = {}
    for part in functional.operations:
        other = None
        if naming.is_graph(part):
            inner = _opened(part, has_twin, flat)
            other = _inlined(inner or part) if flat else inner
        elif isinstance(part, keras.layers.InputLayer) or has_twin(part):
            continue
        elif not isinstance(part, keras.layers.Layer):
            other = _as_layer(part)
        elif not type(part).__module__.startswith("keras."):
            other = _apart(part, functional, has_twin, flat)
        if other is not None:
            replaced[id(part)] = other
    if not replaced:
        return None
    return _run_again(graph, lambda part: replaced.get(id(part), part))


def _inlined(model: keras.Model) -> Callable[..., Any]:
    functional = getattr(model, "_functional", model)

    def call(inputs: Any, **told: Any) -> Any:
        return functional._run_through_graph(keras.tree.flatten(inputs))

    return call


def _as_layer(operation: Any) -> Callable[..., Any]:
    """Return what makes a layer of an operation's call, which can be run by itself then."""
    calls = 0

    def call(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        tensors: list[Any] = []

        def placed(one: Any) -> Any:
            if not keras.backend.is_keras_tensor(one):
                return one
            tensors.append(one)
            return Place(len(tensors) - 1)

        given = keras.tree.map_structure(placed, (args, kwargs))
        name = operation.name + (f"_{calls}" if calls > 1 else "")
        return OneOperation(operation, *given, name=name)(*tensors)

    return call


def _apart(part: Any, functional: Any, has_twin: HasTwin, flat: bool) -> Any:
    """Return a user's own layer as a graph; None if it can't be had."""
    nodes = [node for node in part._inbound_nodes if node in _nodes(functional)]
    given = [(node.arguments.args, node.arguments.kwargs) for node in nodes]
    if not _is_plain(part) or len({str(_shapes(one)) for one in given}) > 1:
        return None
    if any(keras.src.backend.get_keras_mask(one) is not None for one in nodes[0].input_tensors):
        return None
    taken: list[Any] = []

    def symbol(one: Any) -> Any:
        if not keras.backend.is_keras_tensor(one):
            return one
        name = f"input_{len(taken)}"
        taken.append(keras.Input(batch_shape=one.shape, dtype=one.dtype, name=name))
        return taken[-1]

    args, kwargs = keras.tree.map_structure(symbol, given[0])
    kwargs.pop("training", None)
    try:
        graph: Any = _followed(part, args, kwargs, taken, (True, False))
        graph = _opened(graph, has_twin, flat) or graph
    except NoGraph:
        return None
    if {id(one) for one in part.weights} != {id(one) for one in graph.weights}:
        return None
    if not _alike(part, graph, given[0]):
        return None
    run = _inlined(graph) if flat else graph

    def call(*args: Any, **kwargs: Any) -> Any:
        told = {name: kwargs[name] for name in ("training",) if name in kwargs}
        tensors = keras.tree.flatten((args, kwargs))
        outputs = run([one for one in tensors if keras.backend.is_keras_tensor(one)], **told)
        return outputs

    return call


def _alike(part: Any, graph: Any, given: Any) -> bool:
    """Say whether a graph gives what a layer does, in inference, on a few numbers: to the bit.

    It is made of the very operations that the layer calls.
    """
    generator = np.random.default_rng(0)
    tensors: list[Any] = []

    def number(one: Any) -> Any:
        if not keras.backend.is_keras_tensor(one):
            return one
        shape = [(2 if not axis else 3) if n is None else n for axis, n in enumerate(one.shape)]
        drawn = generator.normal(size=shape) if "float" in one.dtype else np.zeros(shape)
        tensors.append(keras.ops.convert_to_tensor(drawn, one.dtype))
        return tensors[-1]

    args, kwargs = keras.tree.map_structure(number, given)
    if part._call_has_training_arg:
        kwargs = {**kwargs, "training": False}
    before = [variable.numpy() for variable in part.variables]

    def run(call: Callable[[], Any]) -> list[np.ndarray]:
        for variable, value in zip(part.variables, before, strict=True):
            variable.assign(value)
        return [keras.ops.convert_to_numpy(one) for one in keras.tree.flatten(call())]

    try:
        by_layer = run(lambda: part(*args, **kwargs))
        by_graph = run(lambda: graph(tensors, training=False))
    except Exception:  # a graph that can't be run is none, and a layer no better off
        return False
    finally:
        for variable, value in zip(part.variables, before, strict=True):
            variable.assign(value)
    return all(
        np.array_equal(one, other, equal_nan=one.dtype.kind == "f")
        for one, other in zip(by_layer, by_graph, strict=True)
    )


def _nodes(functional: Any) -> list[Any]:
    return [node for nodes in functional._nodes_by_depth.values() for node in nodes]


def _is_plain(layer: Any) -> bool:
    """Say whether a layer does no more than its ``call``, in the precision of the weights."""
    floatx = keras.config.floatx()
    policy = layer.dtype_policy
    return (
        policy.compute_dtype == policy.variable_dtype == floatx
        and layer.activity_regularizer is None
        and type(layer).compute_mask is keras.layers.Layer.compute_mask
        and type(layer).__call__ is keras.layers.Layer.__call__
        and not hasattr(layer, "state_size")
    )


def _shapes(given: Any) -> Any:
    """Return what a layer is called with, with shapes in the place of tensors."""
    return keras.tree.map_structure(
        lambda one: ("tensor", one.shape) if keras.backend.is_keras_tensor(one) else one, given
    )


def _tensor(one: Any) -> Any:
    return keras.KerasTensor(*_of(one))


def _of(one: Any) -> tuple[tuple[int | None, ...], str]:
    """Return the shape of a batch of any size, and the dtype that ``fit`` makes of it."""
    dtype = keras.backend.standardize_dtype(one.dtype)
    whole = "float" not in dtype
    return (None, *tuple(one.shape)[1:]), dtype if whole else keras.config.floatx()


def _symbols(x: Any, taken: set[str]) -> Any:
    """Return symbols in the place of arrays, called by their keys as far as names are free."""
    symbols = []
    for path, one in keras.tree.flatten_with_path(x):
        steps = path if path and isinstance(path[0], str) else ("x", *path)
        name = "_".join(map(str, steps))
        while name in taken:
            name += "_input"
        taken.add(name)
        shape, dtype = _of(one)
        symbols.append(keras.Input(batch_shape=shape, dtype=dtype, name=name))
    return keras.tree.pack_sequence_as(x, symbols)
