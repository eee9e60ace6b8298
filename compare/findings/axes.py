"""What the axes of a quantity are called."""

from __future__ import annotations

from typing import Any

from manual.layers import Dense, Embedding
from manual.layers.attention import ShowsWeights
from manual.layers.cell import Cell
from manual.layers.convolution import SlidingKernel
from manual.layers.convolutional_lstm import ConvolutionalCell
from manual.layers.depthwise_convolution import ChannelByChannel
from manual.layers.time_distributed import TimeDistributed
from manual.layers.transposed_convolution import TransposedConvolution
from manual.network import Network

OF_NODES = "activation", "loss", "activation gradient"
"""The phases whose quantities are values of nodes, and gradients there; the others are weights'."""

PLACES = (), ("time step",), ("row", "column"), ("plane", "row", "column")
"""What positions are counted along, in so many dimensions."""


def axes_of(phase: str, name: str, shape: tuple[int, ...], layer: Any) -> tuple[str, ...]:
    """Name each axis of a quantity; ``"axis 0"`` and so on where nothing better is known.

    Parameters
    ----------
    phase, name : str
    shape : tuple of int
    layer : manual.layers.Layer or None
        The one whose call gives the value, or whose weight it is.

    Examples
    --------
    >>> axes_of("weight gradient", "hidden/kernel", (4, 6), manual.Dense(6))
    ('input', 'unit')
    >>> axes_of("activation", "convolved", (8, 28, 28, 3), None)
    ('sample', 'row', 'column', 'channel')
    """
    rank = len(shape)
    if phase in OF_NODES:
        names = _of_value(name, rank, layer)
    else:
        weight = name.rpartition("/")[0] if phase == "optimizer slot" else name
        names = _of_weight(weight.rpartition("/")[2], rank, layer)
    # What an optimizer keeps of a weight may have fewer axes than the weight.
    return names if len(names) == rank else tuple(f"axis {axis}" for axis in range(rank))


def axes_in(network: Network, phase: str, name: str, shape: tuple[int, ...]) -> tuple[str, ...]:
    """Name each axis of a quantity of a network, by the layer that it belongs to."""
    layer: Any
    if phase in OF_NODES:
        call = next((node.call for node in network.nodes if node.name == name), None)
        # An activation that follows is a node of its own, and knows nothing of axes.
        layer = next((node.layer for node in network.nodes if node.call == call), None)
    else:
        owners = network.owners
        layer = owners.get(name.rpartition("/")[0] if phase == "optimizer slot" else name)
    return axes_of(phase, name, shape, layer)


def _of_value(name: str, rank: int, layer: Any) -> tuple[str, ...]:
    if isinstance(layer, ShowsWeights) and name.endswith("[1]"):
        return ("sample", *("head",) * (rank - 3), "query", "key")
    if rank < 3:
        return ("sample", "unit")[:rank]
    over_time = isinstance(layer, TimeDistributed)
    if isinstance(layer, ConvolutionalCell):
        over_time = rank > layer.rank + 2
    before = ("sample", "time step") if over_time and rank > 3 else ("sample",)
    places = rank - len(before) - 1
    last = "feature" if places == 1 else "channel"
    if places >= len(PLACES):
        return ()
    if getattr(layer, "data_format", None) == "channels_first":
        return (*before, last, *PLACES[places])
    return (*before, *PLACES[places], last)


def _of_weight(weight: str, rank: int, layer: Any) -> tuple[str, ...]:
    kernel, bias = weight.endswith("kernel"), weight == "bias"
    if isinstance(layer, Dense):
        return ("input", "unit") if kernel else ("unit",)
    if isinstance(layer, Embedding):
        return ("feature", "word") if weight.startswith("reverse") else ("word", "feature")
    if isinstance(layer, (SlidingKernel, ConvolutionalCell)):
        if bias:
            return ("filter",)
        ends = ["input channel", "filter"]
        if isinstance(layer, ChannelByChannel) and not weight.startswith("pointwise"):
            ends = ["input channel", "multiplier"]
        if isinstance(layer, TransposedConvolution):
            ends.reverse()
        places = PLACES[rank - 2] if 2 < rank < 2 + len(PLACES) else ()
        return (*(("position",) if len(places) == 1 else places), *ends)
    if isinstance(layer, Cell):  # the gates lie side by side
        of_rows = "unit" if weight == "recurrent_kernel" else "input"
        return (of_rows, "column") if kernel else ("column",)
    return ()
