"""A model and its twin, before they train: what belongs to what, and what can't be compared."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from compare.data.arrays import check_fit, check_inputs
from compare.data.sources import Batch
from compare.errors import BadInput, in_a_sentence
from compare.findings.report import Report
from compare.twins.carried import Carried, carried_by_keras, try_out
from compare.twins.ends import Ends
from compare.twins.twin import (
    array_dtype,
    check_model,
    check_same_weights,
    has_twin,
    model_config,
    policy_name,
    schedules_without_twin,
    twin_network,
)
from keras_models.graphs import build_for, graph_of, tells_graph
from keras_models.symbols import NoGraph
from manual.network import Network


class Pair:
    """A compiled model and its twin.

    Parameters
    ----------
    model : keras.Model
    example : (x, y, sample_weight)
        Arrays, or what else has their shapes, nested as the model takes them.
    strict : bool
        Refuse layers that have no twin; else Keras itself carries them.
    network : manual.Network, optional
        A network written by hand, instead of the twin that is built from the configuration.

    Attributes
    ----------
    graph : keras.Model
        The model, or the graph of what a subclassed one does.
    dtype : str
        Of the arrays that the twin takes.
    ends : Ends
    network : manual.Network
    carried : list of Carried
        The layers without a twin.

    Raises
    ------
    BadInput
        If there can be no twin, or it doesn't fit.
    """

    def __init__(
        self,
        model: keras.Model,
        example: Batch,
        *,
        strict: bool = False,
        network: Network | None = None,
    ) -> None:
        check_model(model)
        self.model, self.dtype = model, array_dtype(model)
        x, y, _ = example
        build(model, x)
        self.graph = graph_for(model, x, strict=strict)
        self.ends = Ends(self.graph, self.dtype)
        shapes = check_inputs(self.graph, self.ends.of_inputs(x))
        if network is None:
            otherwise = None if strict else carried_by_keras(self.graph)
            network = twin_network(self.graph, otherwise, shapes, self.ends.of_outputs(y))
        check_same_weights(network, self.graph)
        if network.dtype != self.dtype:
            raise BadInput(
                f"The network computes in {network.dtype} and the model in {self.dtype}: build "
                "both in one."
            )
        self.network = network
        ones = [np.zeros((1, *shape), self.dtype) for shape in shapes]
        self.carried: list[Carried] = try_out(network, ones)

    def check(self, batch: Batch, size: int | None = None) -> None:
        """Refuse data, nested as the model takes it, that doesn't fit: a batch, or all samples.

        ``size`` is how many of them make a batch.
        """
        x, y, weights = self.ends.laid_out(*batch)
        check_fit(self.network, self.graph, x if isinstance(x, list) else [x], y, weights, size)

    def introduce(self, report: Report, label: str | None = None) -> None:
        """Write down in a report what is compared, and which layers can't be."""
        report.label, report.dtype = label or self.model.name, policy_name(self.graph)
        for layer in self.carried:
            report.unverified.append(layer.name)
            report.notes.append(f"not independently verified: {layer}, carried by Keras itself")
        for schedule in schedules_without_twin(self.graph):
            name = type(schedule).__name__
            report.unverified.append(name)
            report.notes.append(
                f"not independently verified: the learning rate schedule {name!r}, which has no "
                "twin: Keras gives the rate of each step"
            )


def build(model: keras.Model, x: Any) -> None:
    """Build a model for its data, as ``fit`` would, if it isn't built yet."""
    try:
        build_for(model, x)
    except Exception as error:  # whatever its own code says of such inputs
        raise BadInput(
            f"The model {model.name!r} can't be built for the data: {in_a_sentence(error)}"
        ) from error


def graph_for(model: keras.Model, x: Any, *, strict: bool = False) -> keras.Model:
    """Return the model, or the graph of it where it is subclassed or has a user's own layers.

    With ``strict`` operations without a twin are left as they are, to be refused.
    """

    def is_known(part: Any) -> bool:
        return has_twin(part) or (strict and not isinstance(part, keras.layers.Layer))

    try:
        graph = graph_of(model, x, is_known)
    except NoGraph as error:
        if tells_graph(model):
            graph = model
        else:
            raise BadInput(
                f"The subclassed model {model.name!r} ({type(model).__name__}) {error}. Write it "
                "as a Sequential or Functional model, or let its call only call layers."
            ) from None
    model_config(graph)
    return graph
