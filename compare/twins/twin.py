"""From a compiled Keras model to its hand-written twin, weight for weight."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import keras
import numpy as np

from compare.errors import BadInput, in_a_sentence
from compare.rounding.working_precision import UNIT_ROUNDOFF
from keras_models import functions, naming, own_functions
from keras_models.losses import loss_config
from keras_models.optimizers import config_of, schedules_of_users
from keras_models.own_functions import Own
from manual.configuration import KIND_OF_NUMBERS, Otherwise
from manual.functions import OF_OPERATIONS, Lambda
from manual.heads import Head, of_each
from manual.inbound_nodes import NOT_CARRIED
from manual.network import Network
from manual.registry import NoTwin, from_keras, twins


def twin_network(
    model: keras.Model,
    otherwise: Otherwise | None = None,
    shapes: Sequence[Sequence[int]] | None = None,
    y: Sequence[np.ndarray] | None = None,
) -> Network:
    """Build and compile the twin of a compiled Keras model, with its weights.

    Parameters
    ----------
    model : keras.Model
    otherwise : callable, optional
        What to put in place of a layer without a twin; by default it is refused.
    shapes : sequence of shape, optional
        Of a sample of each input, where the model leaves sizes open.
    y : sequence of array, optional
        What will be wanted of each output: the shape says which loss "crossentropy" is.

    Raises
    ------
    BadInput
        If the model is not compiled, has no graph, or holds something that has no twin (yet).
    """
    config = model_config(model)
    for layer, its in functions.lambdas(model, config):
        if (graphs := functions.graphs(layer)) is not None:
            keys = Lambda.GRAPH, Lambda.AT_INFERENCE, Lambda.OF_MASK, Lambda.WITH_MASK
            its.update(zip(keys, graphs, strict=True))
    for call, names in functions.masks_by_hand(model, config):
        call[NOT_CARRIED] = names
    for operation, entry in functions.operations(model, config):
        entry[KIND_OF_NUMBERS] = functions.kind_of_numbers(operation)
    try:
        network = Network.from_config(
            config,
            dtype=array_dtype(model),
            trainable=set(naming.trainable_names(model)),
            otherwise=otherwise,
            shapes=shapes,
        )
        network.precision = working_dtype(model)
        compile_like(network, model, y, strict=otherwise is None)
    except NoTwin as error:
        raise BadInput(str(error)) from None
    except BadInput:
        raise
    except (TypeError, ValueError, OverflowError) as error:  # of what Keras has not looked at
        told = f"The model {model.name!r} can't be rebuilt by hand: {in_a_sentence(error)}"
        raise BadInput(told) from None
    copy_weights(network, model)
    copy_constants(network, model)
    return network


def copy_constants(network: Network, model: keras.Model) -> None:
    """Take over arrays as they are: a configuration has lists, which Keras would round."""
    layers = {layer.name: layer for layer in network.layers}
    for path, layer in naming.layers(model):
        if isinstance(layer, keras.layers.Normalization):
            given = layer.input_mean, layer.input_variance
            if all(isinstance(one, np.ndarray) for one in given):
                layers[path].given = given  # type: ignore[attr-defined]


def has_twin(part: Any) -> bool:
    """Say whether there is a twin of the class of a layer or of an operation.

    A user's own class may have the name of one of Keras's.
    """
    of_operations = type(part).__module__.startswith(functions.OPERATIONS)
    known = twins("operation" if of_operations else "layer")
    name, registered = type(part).__name__, keras.saving.get_registered_name(type(part))
    own = not type(part).__module__.startswith(("keras.", "keras_models."))
    found = known.get(registered if ">" in registered else name)
    return found is not None and not (own and found.__module__.startswith("manual."))


def check_model(model: Any) -> None:
    """Refuse what isn't a compiled model that Keras itself trains, on one device."""
    if not isinstance(model, keras.Model):
        raise BadInput(f"A Keras model is needed. Received: {type(model).__name__}.")
    if not getattr(model, "compiled", False) or model.optimizer is None:
        raise BadInput(
            f"The model {model.name!r} isn't compiled: call model.compile(optimizer, loss) first."
        )
    for name in ("train_step", "compute_loss", "make_train_function"):
        own = name in vars(model) or getattr(type(model), name) is not getattr(keras.Model, name)
        if own:
            raise BadInput(
                f"The model {model.name!r} has a {name} of its own, of which there is no twin: "
                "only what Keras's own does can be compared."
            )
    strategy = getattr(model, "distribute_strategy", None)  # TensorFlow's alone
    if (
        strategy is not None and strategy.num_replicas_in_sync > 1
    ) or keras.distribution.distribution() is not None:
        raise BadInput(
            f"The model {model.name!r} is spread over several devices: build it on one of them."
        )


def model_config(model: Any) -> dict[str, Any]:
    """Return the configuration of a Sequential or Functional model."""
    check_model(model)
    if not isinstance(model, (keras.Sequential, keras.src.models.Functional)):
        raise BadInput(
            f"The model {model.name!r} ({type(model).__name__}) is a subclassed model, whose "
            "graph Keras doesn't know. Write it as a Sequential or Functional model."
        )
    if not model.built:
        raise BadInput(
            f"The model {model.name!r} doesn't know its input shape yet: start it with "
            "keras.Input(...) or call it once."
        )
    if not model.trainable_variables:
        raise BadInput(f"The model {model.name!r} has no weight that is trained.")
    if twice := naming.in_several_models(model):
        raise BadInput(
            f"The layer {twice!r} lies in several of the models that {model.name!r} is made of, "
            "which its configuration doesn't tell: use it in one of them."
        )
    with own_functions.named(model) as found:
        try:
            config: dict[str, Any] = model.get_config()
        except (NotImplementedError, TypeError) as error:
            raise BadInput(
                f"The model {model.name!r} holds a layer that can't be copied: "
                f"{in_a_sentence(error)}"
            ) from None
        return dict(_with_graphs(config, found))


def _with_graphs(config: Any, found: Mapping[str, Own]) -> Any:
    """Put the graphs of the user's own functions where a configuration has their names."""
    if isinstance(config, (list, tuple)):
        return type(config)(_with_graphs(one, found) for one in config)
    if not isinstance(config, dict):
        return config
    own = found.get(config["config"]) if isinstance(config.get("config"), str) else None
    if own is None:
        return {key: _with_graphs(one, found) for key, one in config.items()}
    registered = twins(own.kind).get(own.name)
    is_users = registered is not None and not registered.__module__.startswith("manual.")
    takes = None if is_users else own.takes()
    graph = None
    if takes is not None and own.kind != "initializer":
        symbol = keras.KerasTensor(takes[0], takes[1])
        graph = functions.graph(lambda one, _: own.map(one), symbol)
    if graph is None:
        return {**config, "config": own.name}
    return {"class_name": OF_OPERATIONS, "config": {"graph": graph, "name": own.name}}


def working_dtype(model: keras.Model) -> str:
    """Return the dtype of the model's weights and of its loss; its layers may compute in others."""
    floatx = keras.config.floatx()
    for path, layer in naming.layers(model):
        policy = layer.dtype_policy
        if policy.variable_dtype != floatx and layer.weights:
            raise BadInput(
                f"The layer {path!r} has the dtype policy {policy.name}, but Keras computes "
                f"the loss in keras.config.floatx(), which is {floatx}: make them the same before "
                "building the model."
            )
        if not naming.is_of_whole_numbers(policy) and policy.compute_dtype not in UNIT_ROUNDOFF:
            raise BadInput(
                f"The precisions are {', '.join(UNIT_ROUNDOFF)}. "
                f"Received: {policy.name}, of the layer {path!r}."
            )
    return str(floatx)


def array_dtype(model: keras.Model) -> str:
    """Return the dtype of arrays that hold the model's numbers: NumPy has no narrow arithmetic."""
    return "float64" if working_dtype(model) == "float64" else "float32"


def policy_name(model: keras.Model) -> str:
    """Return the precision of a model in a word: that of its weights, or how it is mixed."""
    weights = working_dtype(model)
    policies = [layer.dtype_policy for _, layer in naming.layers(model)]
    computing = {one.compute_dtype for one in policies if not naming.is_of_whole_numbers(one)}
    return weights if computing == {weights} else " and ".join(sorted(computing | {weights}))


def schedules_without_twin(model: keras.Model) -> list[Any]:
    """Return the schedules of a user's own of which nobody has registered a twin."""
    return [one for one in schedules_of_users(model) if not _is_known(one)]


def _is_known(schedule: Any) -> bool:
    try:
        from_keras("schedule", keras.optimizers.schedules.serialize(schedule))
    except (NoTwin, NotImplementedError):  # the latter of one that has no configuration
        return False
    return True


def compile_like(
    network: Network,
    model: keras.Model,
    y: Sequence[np.ndarray] | None = None,
    *,
    strict: bool = False,
) -> None:
    """Give the network the loss and optimizer that the Keras model was compiled with.

    A schedule without a twin is refused if ``strict``; else its rates are for Keras to give.
    """
    without = schedules_without_twin(model)
    if without and strict:
        name = type(without[0]).__name__
        raise NoTwin(
            f"The learning rate schedule {name!r} has no hand-derived twin. Register yours, a "
            f'manual.Schedule, with @manual.twin_of("{name}").'
        )
    if model.loss is None or model._compile_loss is None:
        raise BadInput(f"The model {model.name!r} was compiled without a loss.")
    loss = per_output("loss", model.loss, model)
    if y is not None and len(loss) == len(y):
        loss = [_named(*each) for each in zip(loss, y, model.outputs, strict=True)]
    network.compile(
        [None if one is None else loss_config(keras.losses.get(one)) for one in loss],
        config_of(model, without),
        loss_weights=_loss_weights(model),
    )
    assert network.optimizer is not None
    network.optimizer.excluded_from_weight_decay = frozenset(naming.without_weight_decay(model))
    if y is not None:
        network.heads = [
            head
            if _sees_logits(head, target, model.outputs[head.place])
            else replace(head, reads=head.output)
            for head, target in zip(network.heads, of_each(network.heads, y), strict=True)
        ]


def _sees_logits(head: Head, y: np.ndarray, output: Any) -> bool:
    """Say whether logits are still known when the loss looks for them.

    Not if a last axis of length 1 has been taken from the output, as y doesn't have it.
    """
    without_axis = 1 < y.ndim == len(output.shape) - 1 and output.shape[-1] == 1
    return head.loss.takes_classes or not without_axis


def _named(loss: Any, y: np.ndarray, output: Any) -> Any:
    """Say which cross-entropy is meant, as Keras does it, by the shapes."""
    if str(loss).lower() not in ("crossentropy", "ce"):
        return loss
    if output.shape[-1] == 1:
        return "binary_crossentropy"
    sparse = y.ndim < len(output.shape) or y.shape[-1] == 1
    return "sparse_categorical_crossentropy" if sparse else "categorical_crossentropy"


def loss_weights(model: keras.Model) -> list[float]:
    """Return what the loss of each output that has one is multiplied by."""
    losses = per_output("loss", model.loss, model)
    pairs = zip(losses, _loss_weights(model), strict=True)
    return [weight for loss, weight in pairs if loss is not None]


def _loss_weights(model: keras.Model) -> list[float]:
    weights = model._compile_loss._user_loss_weights
    given = per_output("loss_weights", weights, model)
    return [1.0 if weight is None else weight for weight in given]


def copy_weights(network: Network, model: keras.Model) -> None:
    """Set the network's weights to the model's, by name."""
    check_same_weights(network, model)
    network.set_weights({name: v.numpy() for name, v in naming.weights(model).items()})


def check_same_weights(network: Network, model: keras.Model) -> None:
    """Refuse halves whose weights can't be told to belong together."""
    ours = {name: parameter.shape for name, parameter in network.parameters.items()}
    theirs = {name: tuple(variable.shape) for name, variable in naming.weights(model).items()}
    if ours != theirs:
        raise BadInput(
            f"The two halves have different weights. By hand: {_listed(ours)}. "
            f"Keras: {_listed(theirs)}."
        )


def _listed(shapes: dict[str, tuple[int, ...]]) -> str:
    return ", ".join(f"{name} {shape}" for name, shape in shapes.items())


def per_output(what: str, given: Any, model: keras.Model) -> list[Any]:
    """Return what was given for all outputs, by their names or in their order, one by one."""
    outputs = naming.output_keys(model)
    if isinstance(given, dict):
        if not given.keys() <= set(outputs):
            raise BadInput(
                f"{what} names the outputs {', '.join(map(repr, given))}. "
                f"The model has {', '.join(map(repr, outputs))}."
            )
        return [given.get(name) for name in outputs]
    if isinstance(given, (list, tuple)):
        if len(given) != len(outputs):
            raise BadInput(
                f"{what} needs one entry for each of the {len(outputs)} outputs. "
                f"Received: {len(given)}."
            )
        return list(given)
    return [given] * len(outputs)
