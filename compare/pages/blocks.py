"""A network as a reader sees it: a block for each call of a layer, and how they are laid out."""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from compare.derivations import location_of
from compare.pages.owners import owner_of
from keras_models.step_record import StepRecord
from manual.graph import Node
from manual.layers import Activation
from manual.network import Network


@dataclass
class Block:
    """One call of a layer, together with its activation.

    Attributes
    ----------
    name : str
        The call's, as in ``hidden`` or ``hidden@2``.
    kind : str
        What it computes, in a word or two: ``"Dense · tanh"``.
    column, row : int
        Where it is drawn: how many blocks lie before it, and which of that column it is.
    inputs : list of str
        The blocks whose outputs it takes.
    nodes : list of str
        The names of its outputs in a trace, the pre-activation first.
    weights : list of str
    shape : tuple of int
        Of its output for a sample.
    formulas : dict of str to str
        Its derivation, by quantity; the activation's under ``"activation …"``.
    location : str
        Where that stands.
    """

    name: str
    kind: str
    column: int = 0
    row: int = 0
    inputs: list[str] = field(default_factory=list)
    nodes: list[str] = field(default_factory=list)
    weights: list[str] = field(default_factory=list)
    shape: tuple[int, ...] = ()
    formulas: dict[str, str] = field(default_factory=dict)
    location: str = ""


def blocks_of(
    network: Network, record: StepRecord, by_hand: Mapping[tuple[str, str], Any]
) -> list[Block]:
    """Return a network's blocks in causal order, the loss last.

    Parameters
    ----------
    network : manual.Network
    record : StepRecord
        A step, for the shapes of what is fed.
    by_hand : mapping of (phase, name) to array
        The same step derived by hand, for the shapes of all others.
    """
    blocks: dict[str, Block] = {}
    fed = iter(record.x if isinstance(record.x, (list, tuple)) else [record.x])
    for node in network.nodes:
        block = blocks.setdefault(node.call, Block(node.call, _kind(node)))
        block.nodes.append(node.name)
        if node.is_input:
            shape = np.shape(next(fed))
        else:
            shape = getattr(by_hand.get(("activation", node.name)), "shape", ())
        block.shape = shape[1:]
        _add(block, node)
        for source in (network.nodes[index].call for index in node.inputs):
            if source != node.call and source not in block.inputs:
                block.inputs.append(source)
    for weight in network.parameters:
        owner = owner_of(weight, blocks)
        if owner is not None:
            blocks[owner].weights.append(weight)
    found = [*blocks.values(), _loss(network, blocks)]
    _lay_out(found)
    return found


def _kind(node: Node) -> str:
    return "input" if node.is_input else type(node.layer).__name__


def _add(block: Block, node: Node) -> None:
    """Add a node's derivation to its block's."""
    if node.is_input:
        return
    layer, what = node.layer, ""
    if isinstance(layer, Activation) and len(block.nodes) > 1:
        what = "activation, "
        block.kind += f" · {type(layer.function).__name__.lower()}"
    else:
        block.location = location_of(type(layer).forward)
    block.formulas.update({what + key: told for key, told in layer.derivation.items()})


def _loss(network: Network, taken: Container[str]) -> Block:
    losses = {type(head.loss).__name__: head.loss for head in network.heads}
    block = Block(_free_name("the loss", taken), " + ".join(losses))
    for head in network.heads:
        block.inputs.append(network.nodes[head.output].call)
    for name, loss in losses.items():
        what = f"{name}, " if len(losses) > 1 else ""
        block.formulas.update({what + key: told for key, told in loss.derivation.items()})
        block.location = block.location or location_of(type(loss).forward)
    return block


def _free_name(name: str, taken: Container[str]) -> str:
    while name in taken:
        name += "′"
    return name


def _lay_out(blocks: list[Block]) -> None:
    """Put each block one column behind the last of its inputs, and below others that are there."""
    columns: dict[str, int] = {}
    taken: dict[int, int] = {}
    for block in blocks:
        column = max((columns[one] + 1 for one in block.inputs), default=0)
        block.column = columns[block.name] = column
        block.row = taken.get(column, 0)
        taken[column] = block.row + 1
