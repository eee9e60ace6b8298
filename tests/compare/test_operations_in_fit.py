"""Operations as nodes of a model in a running fit: both halves agree; a slip in one is found."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from keras import ops

import manual
from compare import BadInput, lockstep
from manual.operations.arithmetic import Multiply
from manual.operations.reductions import Mean
from manual.registry import _twins

layers = keras.layers
Build = Callable[[Any, Any], Any]


def arithmetic(h: Any, x: Any) -> Any:
    scaled = 2 * h + ops.exp(-ops.abs(x)) * 0.5
    return ops.where(scaled > 0.1, scaled, 0.3 * scaled) / (1 + x * x) - h**2


def statistics(h: Any, x: Any) -> Any:
    centred = (h - ops.mean(h, axis=0)) / (ops.std(h, axis=-1, keepdims=True) + 0.1)
    return centred + ops.logsumexp(h, axis=1, keepdims=True) - ops.max(x, axis=1, keepdims=True)


def moving(h: Any, x: Any) -> Any:
    first, _, third = ops.split(h, 3, axis=1)
    both = ops.concatenate([first * third, h[:, ::-1], ops.take(x, [0, 2, 2], axis=1)], axis=-1)
    return ops.reshape(ops.pad(both, ((0, 0), (1, 0))), (-1, 12))


def products(h: Any, x: Any) -> Any:
    rows = ops.reshape(h, (-1, 3, 2))
    scores = ops.softmax(ops.matmul(rows, ops.transpose(rows, (0, 2, 1))), axis=-1)
    mixed = ops.einsum("bij,bjk->bik", scores, rows)
    return ops.reshape(mixed, (-1, 6)) @ np.eye(6, dtype="float32")[:, :4]


def choices(h: Any, x: Any) -> Any:
    """Go through answers and places, which have no gradient."""
    chosen = ops.one_hot(ops.argmax(h, axis=-1), 6)
    large = ops.cast(ops.logical_and(h > 0, x < 1), h.dtype)
    return h * chosen + large * ops.stop_gradient(h) * h + ops.top_k(h, 2)[0][:, :1]


def normalized(h: Any, x: Any) -> Any:
    mean, variance = ops.moments(h, axes=[0], keepdims=True)
    h = (h - mean) / ops.sqrt(variance + 1e-3)
    return ops.layer_normalization(h) + ops.normalize(x) + ops.rms_normalization(x)


def within(h: Any, x: Any) -> Any:
    """Use a model that is made of operations twice."""
    inner = keras.Input((6,))
    model = keras.Model(inner, ops.tanh(layers.Dense(6, name="deep")(inner)) * inner, name="inner")
    return model(h) + model(x)


def in_float64(h: Any, x: Any) -> Any:
    """Meet constants of float64, by which Keras computes so, whatever the model's precision."""
    return ops.maximum(h, np.linspace(-0.3, 0.3, 6)) * np.linspace(0.1, 0.7, 6) - h


def model_of(build: Build, dtype: str, **options: Any) -> keras.Model:
    keras.utils.set_random_seed(3)
    x = keras.Input((6,))
    h = layers.Dense(6, name="first", bias_initializer="random_normal")(x)
    model = keras.Model(x, layers.Dense(2, name="last")(build(h, x)))
    model.compile("adam", "mse", **options)
    return model


def run(model: keras.Model, **options: Any) -> Any:
    generator = np.random.default_rng(1)
    x, y = generator.normal(size=(20, 6)), generator.normal(size=(20, 2))
    return lockstep(model, x, y, batch_size=8, strict=True, **options)


BUILDS: list[Build] = [
    arithmetic,
    statistics,
    moving,
    products,
    choices,
    normalized,
    within,
    in_float64,
]


@pytest.mark.parametrize("build", BUILDS)
def test_every_step_of_a_fit_agrees(build: Build, use_precision: Callable[[str], None]) -> None:
    dtype = "float64" if BUILDS.index(build) % 2 and build is not in_float64 else "float32"
    use_precision(dtype)
    model = model_of(build, dtype, run_eagerly=True)
    report = run(model)
    report.raise_if_different()
    nodes = {name for phase, name, _ in report.quantities if phase == "activation"}
    assert len(nodes) > 3
    assert report.steps == 3


@pytest.mark.slow
@pytest.mark.parametrize("build", BUILDS)
@pytest.mark.parametrize("eagerly", [True, False])
def test_in_either_precision_and_in_a_graph(build: Build, eagerly: bool, precision: str) -> None:
    run(model_of(build, precision, run_eagerly=eagerly)).raise_if_different()


def test_every_operation_is_a_quantity_of_its_own(use_precision: Callable[[str], None]) -> None:
    use_precision("float64")
    model = model_of(lambda h, x: ops.mean(h * x, axis=1, keepdims=True), "float64")
    report = run(model)
    report.raise_if_different()
    for phase in ("activation", "activation gradient"):
        names = {name for found, name, _ in report.quantities if found == phase}
        assert {one.name for one in model.operations[2:]} <= names


# ---------------------------------------------------------------------- planted slips


@pytest.mark.parametrize(
    ("kind", "method", "slip", "phase"),
    [
        (Multiply, "dx1", lambda self, dy, y, a, b: dy * a, "activation gradient"),
        (Mean, "spread", lambda self, dy, y, x, axes: dy + 0.0 * x, "activation gradient"),
        (Multiply, "value", lambda self, a, b: a * b + a, "activation"),
    ],
)
def test_a_slip_in_an_operation_is_found(
    kind: type,
    method: str,
    slip: Any,
    phase: str,
    precision: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(kind, method, slip)
    model = model_of(lambda h, x: ops.mean(h * x, axis=1, keepdims=True), precision)
    report = run(model, steps=1)
    assert not report.ok
    assert report.first is not None
    assert report.first.phase == phase
    owner = report.first.derivation.layer
    assert owner == next(
        one.name for one in model.operations if type(one).__name__ == kind.__name__
    )


# ---------------------------------------------------------------------- functions in Lambda layers


@keras.saving.register_keras_serializable("tests")
def scaled(x: Any, by: float = 2.0) -> Any:
    return x * by + ops.mean(x, axis=1, keepdims=True)


def squared_by_tensorflow(x: Any) -> Any:
    import tensorflow as tf

    return tf.square(x)


def random(x: Any) -> Any:
    return x + keras.random.normal((6,))


LAMBDAS: list[Build] = [
    lambda h, x: layers.Lambda(lambda t: t[:, 1:4] * 2)(h),
    lambda h, x: layers.Lambda(scaled, arguments={"by": 3.0})(h),
    lambda h, x: layers.Lambda(lambda pair: pair[0] * ops.exp(-pair[1]))([h, x]),
    lambda h, x: layers.Add()(layers.Lambda(lambda t: ops.split(t, 2, axis=1))(h)),
]


@pytest.mark.parametrize("build", LAMBDAS)
def test_a_function_that_is_made_of_operations(build: Build, precision: str) -> None:
    run(model_of(build, precision)).raise_if_different()


@pytest.mark.parametrize("function", [squared_by_tensorflow, random])
def test_a_function_that_is_not_is_refused_by_name(
    function: Any, use_precision: Callable[[str], None]
) -> None:
    use_precision("float64")
    layer = layers.Lambda(function, output_shape=(6,), name="mine")
    with pytest.raises(BadInput, match=r"The function of the layer 'mine' .*twin_of\(.mine.\)"):
        run(model_of(lambda h, x: layer(h), "float64"))


@pytest.mark.parametrize("known_as", ["mine", "squared_by_tensorflow"])
@pytest.mark.parametrize("right", [True, False])
def test_a_function_whose_twin_is_registered(
    known_as: str, right: bool, use_precision: Callable[[str], None]
) -> None:
    @manual.twin_of(known_as)
    class Squared(manual.Function):
        derivation = {"forward": "y = x²", "input gradient": "dx = 2 x dy"}

        def forward(self, x: Any, *, training: bool = False) -> tuple[Any, Any]:
            return x * x, x

        def backward(self, dy: Any, saved: Any) -> Any:
            return dy * saved * (2.0 if right else 1.0)

    use_precision("float64")
    layer = layers.Lambda(squared_by_tensorflow, output_shape=(6,), name="mine")
    try:
        report = run(model_of(lambda h, x: layer(h), "float64"))
    finally:
        del _twins["function", known_as]
    assert report.ok is right
    if not right:
        assert report.first is not None
        assert (report.first.phase, report.first.derivation.layer) == (
            "activation gradient",
            "mine",
        )


# ---------------------------------------------------------------------- what can't be compared


def test_an_operation_without_a_twin_is_refused_by_name(
    use_precision: Callable[[str], None],
) -> None:
    use_precision("float64")
    model = model_of(lambda h, x: h + ops.erfinv(ops.tanh(x)), "float64")
    with pytest.raises(BadInput, match="The operation 'Erfinv'"):
        run(model)


# ---------------------------------------------------------------------- what lies around operations


def test_the_calls_of_a_shared_layer_are_told_apart(precision: str) -> None:
    """Keras runs the second first here; a copy of the model counts them as they run."""
    one, other = keras.Input((4,)), keras.Input((4,))
    shared = layers.Dense(5, activation="tanh", name="shared")
    first, second = shared(one), shared(other)
    alike = ops.sum(ops.normalize(first) * ops.normalize(second), axis=-1, keepdims=True)
    model = keras.Model([one, other], alike)
    model.compile("sgd", "mse")
    generator = np.random.default_rng(0)
    x = [generator.normal(size=(8, 4)), generator.normal(size=(8, 4))]
    lockstep(model, x, generator.normal(size=(8, 1)), batch_size=8).raise_if_different()


@pytest.mark.parametrize(
    ("head", "loss", "classes"),
    [
        (ops.softmax, "categorical_crossentropy", 3),
        (ops.sigmoid, "binary_crossentropy", 1),
    ],
)
def test_a_loss_reads_the_logits_behind_an_operation(
    head: Any, loss: str, classes: int, precision: str
) -> None:
    x = keras.Input((6,))
    model = keras.Model(x, head(layers.Dense(classes, name="last")(x)))
    model.compile("sgd", loss)
    generator = np.random.default_rng(1)
    chosen = generator.integers(0, max(classes, 2), 16)
    y = np.eye(classes)[chosen] if classes > 1 else chosen[:, None] * 1.0
    report = lockstep(model, 30 * generator.normal(size=(16, 6)), y, batch_size=8)
    report.raise_if_different()
    gradients = {name for phase, name, _ in report.quantities if phase == "activation gradient"}
    assert "last" in gradients
    assert model.operations[-1].name not in gradients


def test_a_function_in_a_model_within(use_precision: Callable[[str], None]) -> None:
    use_precision("float64")
    inner = keras.Sequential([layers.Dense(6), layers.Lambda(lambda t: ops.relu(t) * 2)])
    run(model_of(lambda h, x: inner(h), "float64")).raise_if_different()


@pytest.mark.parametrize("build", [arithmetic, statistics])
def test_maps_that_are_computed_in_one_go(build: Build, precision: str) -> None:
    """XLA doesn't round what passes from map to map, or computes it again in another way."""
    run(model_of(build, precision, jit_compile=True)).raise_if_different()


def test_an_embedding_of_numbers_that_are_computed(precision: str) -> None:
    """In batches of one, no row occurs twice: repeated rows are the optimizer's matter."""
    x = keras.Input((5,))
    chosen = ops.cast(ops.clip(ops.abs(x) * 3, 0, 6), "int32")
    rows = layers.Embedding(7, 4)(chosen)
    counted = ops.cast(ops.not_equal(chosen, 0), precision)
    mean = ops.sum(rows * counted[..., None], axis=1) / (
        ops.sum(counted, axis=1, keepdims=True) + 1
    )
    model = keras.Model(x, layers.Dense(2)(mean))
    model.compile("sgd", "mse")
    generator = np.random.default_rng(1)
    numbers = np.array([generator.permutation(7)[:5] for _ in range(4)])
    data = (numbers + 0.5) / 3, generator.normal(size=(4, 2))
    lockstep(model, *data, batch_size=1).raise_if_different()
