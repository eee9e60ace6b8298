"""Bugs between the maps: shared layers, branches, several outputs; and in the metrics."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras

from compare.score.bugs.base import Bug, Function
from compare.score.bugs.more_losses import classes, hot
from compare.score.networks import SAMPLES, WIDTH, Choice, Planted, generator, spread
from manual import metrics
from manual.backpropagation import Graph
from manual.layers import Dense
from manual.network import Network


def shared(bug: Choice) -> Planted:
    """Call one layer twice, in turn."""
    layer, draw = keras.layers.Dense, generator()
    x = keras.Input((WIDTH,))
    tower = layer(WIDTH, bug.activation, name="tower", **spread())
    model = keras.Model(x, layer(WIDTH, name="last")(tower(tower(x))))
    return model, draw.normal(size=(SAMPLES, WIDTH)), draw.normal(size=(SAMPLES, WIDTH))


def skipping(bug: Choice) -> Planted:
    """Lead one branch around a layer."""
    layer, draw = keras.layers.Dense, generator()
    x = keras.Input((WIDTH,))
    first = layer(WIDTH, bug.activation, name="first", **spread())(x)
    second = layer(WIDTH, bug.activation, name="second", **spread())(first)
    joined = keras.layers.Add(name="join")([first, second])
    model = keras.Model(x, layer(WIDTH, name="last")(joined))
    return model, draw.normal(size=(SAMPLES, WIDTH)), draw.normal(size=(SAMPLES, WIDTH))


def two_ends(bug: Choice) -> Any:
    """Have two outputs of one width."""
    layer, draw = keras.layers.Dense, generator()
    x = keras.Input((WIDTH,))
    first = layer(WIDTH, bug.activation, name="first", **spread())(x)
    model = keras.Model(x, [layer(3, name=name)(first) for name in ("one", "other")])
    y = [draw.normal(size=(SAMPLES, 3)) for _ in range(2)]
    return model, draw.normal(size=(SAMPLES, WIDTH)), y


LOSS_WEIGHTS = (("loss_weights", [0.3, 1.7]),)
_loss: Function = Network.loss


def together() -> Iterator[Bug]:
    """Give slips in handing gradients on, and in adding up losses."""
    yield from _in_shared_layers()
    yield from _in_networks()
    yield from _in_metrics()


def _in_shared_layers() -> Iterator[Bug]:
    def overwritten(self: Any, dz: Any, x: Any) -> Any:
        for weight in (self.kernel, self.bias):
            weight.gradient = weight.gradient * 0.0
        return right(self, dz, x)

    def averaged(self: Any, dz: Any, x: Any) -> Any:
        dx = right(self, dz * 0.5, x)
        return dx * 2.0

    right: Function = Dense.backward
    for slip, function, cause in (
        ("overwritten", overwritten, "only the first call's share is there"),
        ("averaged", averaged, "the shares of the 2 calls are averaged"),
    ):
        yield Bug(
            f"shared layer: gradient {slip}",
            Dense,
            "backward",
            function,
            "weight gradient",
            "tower/kernel",
            (cause,),
            network=shared,
        )


def _in_networks() -> Iterator[Bug]:
    def overwriting(self: Network, run: Any, upstream: Any, *, altered: Any = None) -> None:
        gradients = run.gradients = [None] * len(self.nodes)
        run.shares = [{} for _ in self.nodes]
        for index, gradient in upstream.items():
            gradients[index] = gradient
        for index, layer, sources in reversed(self._calls):
            dx = layer.backward(gradients[index], run.saved[index])
            for source, part in zip(sources, dx if isinstance(dx, list) else [dx], strict=True):
                gradients[source] = part
        self.add_regularization_gradients()

    yield Bug(
        "network: branches overwrite each other",
        Graph,
        "backward",
        overwriting,
        "weight gradient",
        "first/kernel",
        ("a value that is used several times keeps only the gradient that comes back last",),
        network=skipping,
    )

    def unweighted(self: Network, run: Any, y: Any, sample_weight: Any = None) -> Any:
        total, upstream = _loss(self, run, y, sample_weight)
        return total, {head.reads: upstream[head.reads] / head.weight for head in self.heads}

    def plain_total(self: Network, run: Any, y: Any, sample_weight: Any = None) -> Any:
        _, upstream = _loss(self, run, y, sample_weight)
        losses = [
            head.loss.forward(target, run.values[head.reads])[0]
            for head, target in zip(self.heads, y, strict=True)
        ]
        return losses[0] + losses[1], upstream

    def swapped(self: Network, run: Any, y: Any, sample_weight: Any = None) -> Any:
        return _loss(self, run, y[::-1], sample_weight)

    for slip, function, phase, where, cause in (
        ("loss weights not sent back", unweighted, "weight gradient", "first/kernel", "the loss w"),
        ("loss weights not in the loss", plain_total, "loss", "total", "the loss weights are ign"),
        ("targets swapped", swapped, "loss", "total", "the targets of the two outputs are"),
    ):
        yield Bug(
            f"network: {slip}",
            Network,
            "loss",
            function,
            phase,
            where,
            (cause,),
            network=two_ends,
            loss=lambda: ["mse", "mae"],
            compiled=LOSS_WEIGHTS,
        )


def _in_metrics() -> Iterator[Bug]:
    def always(self: Any, y: Any, p: Any) -> Any:
        return ((1.0 * (p > 0.0)) == y).mean(axis=-1)

    def batchwise(self: Any, y: Any, p: Any) -> Any:
        return 1.0 * (y.argmax(axis=0) == p.argmax(axis=0))

    def from_1(self: Any, y: Any, p: Any) -> Any:
        return 1.0 * (y.reshape(p.shape[:-1]) == p.argmax(axis=-1) + 1)

    entropy, sparse = "categorical_crossentropy", "sparse_categorical_crossentropy"
    for owner, name, function, cause, options in (
        (
            metrics.MeanAbsoluteError,
            "mae",
            lambda s, y, p: ((p - y) * (p - y)).mean(axis=-1),
            "the differences are squared",
            {},
        ),
        (
            metrics.MeanSquaredError,
            "mse",
            lambda s, y, p: ((p - y) * (p - y)).sum(axis=-1),
            "the sum over the outputs",
            {},
        ),
        (
            metrics.BinaryAccuracy,
            "binary_accuracy",
            always,
            "the threshold is 0",
            {"last": "sigmoid", "loss": "binary_crossentropy", "network": hot},
        ),
        (
            metrics.CategoricalAccuracy,
            "accuracy",
            batchwise,
            "the largest number is looked for along",
            {"last": "softmax", "loss": entropy, "network": hot},
        ),
        (
            metrics.SparseCategoricalAccuracy,
            "accuracy",
            from_1,
            "the class numbers are one too small",
            {"last": "softmax", "loss": sparse, "network": classes},
        ),
    ):
        given: dict[str, Any] = dict(options)
        yield Bug(
            f"metric {owner.__name__}: {cause}",
            owner,
            "values",
            function,
            "metric",
            name,
            (cause,),
            step=3,
            compiled=(("metrics", [name]),),
            **given,
        )
