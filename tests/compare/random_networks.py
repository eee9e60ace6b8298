"""Networks drawn at random, badly scaled ones included, with their data."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import hypothesis
import keras
import numpy as np
from hypothesis import strategies as st

from compare import lockstep
from keras_models import HalfSquaredSum

ACTIVATIONS = ("linear", "sigmoid", "tanh", "relu", "elu", "softplus", "softmax")
JOINTS = ("none", "add", "concatenate", "shared")


@dataclass(frozen=True)
class Drawn:
    """A network with its data, small enough to be read in a failure message."""

    dtype: str
    inputs: int
    hidden: tuple[tuple[int, str, bool, str], ...]
    """Units, activation, use_bias, and how the layer is joined to what comes before it."""
    outputs: int
    last: str
    loss: tuple[str, dict[str, Any]]
    optimizer: tuple[str, dict[str, Any]]
    metric: str | None
    sequential: bool
    batch_size: int
    samples: int
    weighted: bool
    scales: tuple[float, ...]
    """Decimal exponents of the size of each layer's weights."""
    seed: int


LOSSES = {
    "mse": lambda options: keras.losses.MeanSquaredError(**options),
    "mae": lambda options: keras.losses.MeanAbsoluteError(**options),
    "half": lambda options: HalfSquaredSum(**options),
    "binary": lambda options: keras.losses.BinaryCrossentropy(**options),
    "categorical": lambda options: keras.losses.CategoricalCrossentropy(**options),
    "sparse": lambda options: keras.losses.SparseCategoricalCrossentropy(**options),
}
OPTIMIZERS = {
    "SGD": lambda options: keras.optimizers.SGD(**options),
    "Adam": lambda options: keras.optimizers.Adam(**options),
    "RMSprop": lambda options: keras.optimizers.RMSprop(**options),
}


@st.composite
def losses(draw: Any) -> tuple[str, dict[str, Any]]:
    name = draw(st.sampled_from(sorted(LOSSES)))
    options: dict[str, Any] = {}
    if name in ("binary", "categorical", "sparse"):
        options["from_logits"] = draw(st.booleans())
    if name in ("binary", "categorical"):
        options["label_smoothing"] = draw(st.sampled_from([0.0, 0.0, 0.1, 0.25]))
    reduction = draw(st.sampled_from(["usual", "usual", "usual", "sum", "mean_with_sample_weight"]))
    if reduction != "usual":
        options["reduction"] = reduction
    return name, options


@st.composite
def optimizers(draw: Any) -> tuple[str, dict[str, Any]]:
    name = draw(st.sampled_from(sorted(OPTIMIZERS)))
    options: dict[str, Any] = {"learning_rate": draw(st.integers(1, 5000)) / 10_000}
    momentum = draw(st.sampled_from([0.0, 0.5, 0.9]))
    if name == "SGD":
        options |= {"momentum": momentum, "nesterov": momentum > 0 and draw(st.booleans())}
    elif name == "Adam":
        options |= {
            "beta_1": draw(st.sampled_from([0.9, 0.5, 0.95])),
            "beta_2": draw(st.sampled_from([0.999, 0.99, 0.9])),
            "epsilon": draw(st.sampled_from([1e-7, 1e-3])),
            "amsgrad": draw(st.booleans()),
        }
    else:
        options |= {
            "rho": draw(st.sampled_from([0.9, 0.99])),
            "momentum": momentum,
            "epsilon": draw(st.sampled_from([1e-7, 1e-3])),
            "centered": draw(st.booleans()),
        }
    return name, options


@st.composite
def networks(draw: Any) -> Drawn:
    loss = draw(losses())
    depth = draw(st.integers(1, 6))
    sequential = draw(st.booleans())
    joints = st.just("none") if sequential else st.sampled_from(JOINTS)
    hidden = st.tuples(st.integers(1, 12), st.sampled_from(ACTIVATIONS), st.booleans(), joints)
    sparse = loss[0] == "sparse"
    low = 2 if sparse or loss[0] == "categorical" else 1
    tenths = st.integers(-40, 30).map(lambda tenth: tenth / 10)
    batch_size = draw(st.integers(1, 17))
    remainder = draw(st.integers(0, batch_size - 1))
    steps = draw(st.sampled_from([2, 2, 2, 3]))
    return Drawn(
        dtype=draw(st.sampled_from(["float32", "float64"])),
        inputs=draw(st.integers(1, 12)),
        hidden=tuple(draw(st.lists(hidden, min_size=depth - 1, max_size=depth - 1))),
        outputs=draw(st.integers(low, 12)),
        last=draw(st.sampled_from(ACTIVATIONS)),
        loss=loss,
        optimizer=draw(optimizers()),
        metric=draw(st.sampled_from([None, "accuracy", "accuracy" if sparse else "mae"])),
        sequential=sequential,
        batch_size=batch_size,
        samples=batch_size * (steps - (remainder > 0)) + remainder,
        weighted=draw(st.booleans()),
        scales=tuple(draw(st.lists(tenths, min_size=depth, max_size=depth))),
        seed=draw(st.integers(0, 2**32 - 1)),
    )


def built(drawn: Drawn, **options: Any) -> keras.Model:
    """Build the model, draw its weights, compile it."""
    dense = keras.layers.Dense
    x = y = keras.Input((drawn.inputs,), name="x")
    layers = [y]
    for place, (units, activation, use_bias, joint) in enumerate(drawn.hidden):
        name = f"hidden_{place}"
        if joint in ("add", "shared"):
            units = y.shape[-1]
        layer = dense(units, activation, use_bias=use_bias, name=name)
        layers.append(layer)
        before = y
        if drawn.sequential:
            continue
        y = layer(y)
        if joint == "shared":
            y = layer(y)
        elif joint == "add":
            y = keras.layers.Add(name=f"join_{place}")([before, y])
        elif joint == "concatenate":
            y = keras.layers.Concatenate(name=f"join_{place}")([y, before])
    last = dense(drawn.outputs, drawn.last, name="last")
    model = keras.Sequential([*layers, last]) if drawn.sequential else keras.Model(x, last(y))
    generator = np.random.default_rng(drawn.seed)
    with_weights = [layer for layer in model.layers if layer.weights]
    for layer, scale in zip(with_weights, drawn.scales, strict=True):
        for variable in layer.weights:
            variable.assign(10.0**scale * generator.normal(size=variable.shape))
    model.compile(
        OPTIMIZERS[drawn.optimizer[0]](drawn.optimizer[1]),
        LOSSES[drawn.loss[0]](drawn.loss[1]),
        metrics=[drawn.metric] if drawn.metric else None,
        **options,
    )
    return model


def data(drawn: Drawn) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Draw samples, targets that are legal for the loss, and perhaps sample weights."""
    generator = np.random.default_rng([drawn.seed, 1])
    x = generator.normal(size=(drawn.samples, drawn.inputs))
    shape = (drawn.samples, drawn.outputs)
    if drawn.loss[0] == "binary":
        y = np.round(generator.random(shape), 0 if drawn.seed % 2 else 2)
    elif drawn.loss[0] == "categorical":
        y = np.eye(drawn.outputs)[generator.integers(0, drawn.outputs, drawn.samples)]
    elif drawn.loss[0] == "sparse":
        y = generator.integers(0, drawn.outputs, drawn.samples)
        y = y if drawn.seed % 2 else y[:, None]
    else:
        y = generator.normal(size=shape)
    weights = generator.exponential(size=drawn.samples) if drawn.weighted else None
    return x, y, weights


def agree(drawn: Drawn, use_precision: Callable[[str], None], **options: Any) -> None:
    """Train the network in lock-step; fail with the first disagreement."""
    use_precision(drawn.dtype)
    keras.backend.clear_session(free_memory=False)
    keras.utils.set_random_seed(drawn.seed % 2**31)
    x, y, weights = data(drawn)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Keras warns of unusual pairs of activation and loss
        report = lockstep(
            built(drawn, **options), x, y, batch_size=drawn.batch_size, sample_weight=weights
        )
    assert report.ok, str(report.first)
    whole_run = -(-drawn.samples // drawn.batch_size)
    burst = f"both halves became non-finite at step {report.steps}, "
    assert report.steps == whole_run or report.notes[-1].startswith(burst)


def sweep(number: int, examples: int, use_precision: Callable[[str], None], **options: Any) -> None:
    """Draw networks from a numbered stream: a fixed one, so that a failure comes back.

    Failures are not shrunk, which would take minutes; the sweep of fresh networks does that.
    """

    @hypothesis.seed(number)
    @hypothesis.settings(
        max_examples=examples, deadline=None, database=None, phases=[hypothesis.Phase.generate]
    )
    @hypothesis.given(networks())
    def agrees(drawn: Drawn) -> None:
        agree(drawn, use_precision, **options)

    agrees()


def drawn_with(**options: Any) -> Drawn:
    """Return a plain network that differs in what is given."""
    plain: dict[str, Any] = {
        "dtype": "float32",
        "inputs": 1,
        "hidden": (),
        "outputs": 4,
        "last": "softplus",
        "loss": ("half", {}),
        "optimizer": ("SGD", {"learning_rate": 0.01}),
        "metric": None,
        "sequential": True,
        "batch_size": 6,
        "samples": 12,
        "weighted": False,
        "scales": (0.0,),
        "seed": 0,
    }
    return Drawn(**{**plain, **options})
