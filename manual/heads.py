"""Where losses are attached to a network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from manual.arrays import Array
from manual.graph import Node
from manual.losses import Loss
from manual.registry import from_keras


@dataclass(frozen=True)
class Head:
    """Where a loss is attached.

    Attributes
    ----------
    place : int
        Which of the network's outputs the loss judges.
    output : int
        The node of that output.
    reads : int
        The node whose output the loss computes from: the logits behind a sigmoid or softmax where
        the loss is a cross-entropy, else ``output`` itself.
    """

    place: int
    output: int
    reads: int
    loss: Loss
    weight: float

    @property
    def from_logits(self) -> bool:
        return self.reads != self.output


def attached(
    loss: Any,
    loss_weights: Sequence[float | None] | None,
    nodes: Sequence[Node],
    outputs: Sequence[int],
    precision: str,
) -> list[Head]:
    """Attach a loss to each output: behind the logits where it is a cross-entropy that reads them.

    Parameters
    ----------
    loss : str, Loss, Keras configuration, or a list of these with one entry per output
        None for an output without a loss.
    loss_weights : sequence of float, or None
    nodes : sequence of Node
    outputs : sequence of int
        Which nodes are outputs.
    precision : str
        What losses compute in. Where the last layer computes in another, Keras hands over the
        probabilities and no logits.
    """
    losses = list(loss) if isinstance(loss, (list, tuple)) else [loss] * len(outputs)
    weights = list(loss_weights) if loss_weights else [None] * len(losses)
    if not len(losses) == len(weights) == len(outputs):
        raise ValueError(
            f"The network has {len(outputs)} outputs. "
            f"Received: {len(losses)} losses and {len(weights)} loss weights."
        )
    heads = []
    for place, (output, one, weight) in enumerate(zip(outputs, losses, weights, strict=True)):
        if one is not None:
            own = one if isinstance(one, Loss) else from_keras("loss", one)
            reads = read_by(own, output, nodes, precision)
            heads.append(Head(place, output, reads, own, 1.0 if weight is None else weight))
    return heads


def read_by(loss: Loss, output: int, nodes: Sequence[Node], precision: str) -> int:
    """Return the node that a loss computes from: an output, or the one before its activation."""
    node = last_map(output, nodes)
    layer = node.layer
    function = layer.last_activation
    fused = function is not None and loss.reads_logits_of(function)
    fused = fused and layer.precision in (None, precision)
    return node.inputs[0] if fused else output


def last_map(output: int, nodes: Sequence[Node]) -> Node:
    """Return the node that an output comes from; layers that do nothing hand on all of it."""
    node = nodes[output]
    while (node.layer.hands_on or node.layer.costs) and node.is_run and not node.output:
        node = nodes[node.inputs[0]]
    return node


def of_each(heads: Sequence[Head], given: Any) -> list[Any]:
    """Return what belongs to each head, of one array for all or a list of arrays.

    A list has an entry for each output of the network, or for each output with a loss.
    """
    if not isinstance(given, (list, tuple)):
        return [given] * len(heads)
    if len(given) == len(heads):
        return list(given)
    return [given[head.place] for head in heads]


def as_target(y: Array, p: Array) -> Array:
    """Give a target the dtype of its prediction and, where it has none, its last axis of one."""
    if y.dtype != p.dtype:
        y = y.astype(p.dtype)
    if y.ndim == p.ndim - 1 == 1 and p.shape[-1] == 1:
        return y[..., None]
    return y
