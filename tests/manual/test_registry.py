"""What has a twin and what is refused, and that the hand-written half stands on its own."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import pytest

import manual
from manual import registry
from manual.layers import Dense, Layer
from manual.losses import MeanSquaredError as SquaredErrorLoss
from manual.metrics import MeanSquaredError as SquaredErrorMetric
from manual.network import Network
from manual.registry import NoTwin, from_keras, keras_name, twin, twin_of

MODULES = ["manual", *(found.name for found in pkgutil.walk_packages(manual.__path__, "manual."))]


def test_import_manual_needs_neither_tensorflow_nor_keras() -> None:
    """In an interpreter of its own, every module of the package."""
    lines = [
        "import sys, importlib",
        *(f"importlib.import_module({name!r})" for name in MODULES),
        "roots = {name.partition('.')[0] for name in sys.modules}",
        "print(sorted(roots & {'tensorflow', 'keras', 'keras_models', 'compare', 'sklearn',"
        " 'torch', 'jax', 'numpy', 'manual'}))",
    ]
    run = subprocess.run(
        [sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == "['manual', 'numpy']"


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_run(name: str) -> None:
    result = doctest.testmod(importlib.import_module(name))
    assert result.failed == 0
    if name == "manual.network":
        assert result.attempted >= 5


def test_every_public_name_exists_and_derivations_are_written_down() -> None:
    for name in manual.__all__:
        assert hasattr(manual, name)
    for (kind, name), one in registry._twins.items():
        if kind in ("activation", "loss"):
            assert {"forward", "input gradient"} <= set(one.derivation), name
        elif kind in ("optimizer", "constraint"):
            assert "weight" in one.derivation, name
    for optimizer in (manual.Adam(amsgrad=True), manual.RMSprop(momentum=0.5, centered=True)):
        assert set(optimizer.slot_names) <= set(optimizer.derivation)


@pytest.fixture
def kept_registry() -> Iterator[None]:
    before = dict(registry._twins)
    yield
    registry._twins.clear()
    registry._twins.update(before)


def test_a_layer_of_ones_own(kept_registry: None) -> None:
    """Registered, it is built from Keras's configuration and trained like any other."""

    @keras.saving.register_keras_serializable("Tests")
    class Doubled(keras.layers.Layer):  # type: ignore[misc]
        def call(self, x: Any) -> Any:
            return 2.0 * x

    @twin_of("Tests>Doubled")
    class DoubledByHand(Layer):
        def forward(self, x: Any, *, training: bool = False) -> tuple[Any, None]:
            return 2.0 * x, None

        def backward(self, dy: Any, saved: None) -> Any:
            return 2.0 * dy

    model = keras.Sequential([keras.Input((2,)), Doubled(name="doubled")])
    network = Network.from_config(model.get_config())
    assert isinstance(network.nodes[1].layer, DoubledByHand)
    np.testing.assert_array_equal(network.predict(np.ones((1, 2))), [[2.0, 2.0]])


def test_an_option_that_a_layer_of_ones_own_does_not_take_is_refused(kept_registry: None) -> None:
    """The classes above it may know it: ``seed`` and ``activation`` are such options."""

    @twin_of("Tests>Own")
    class Own(Layer):
        def __init__(self, *, name: str | None = None) -> None:
            super().__init__(name=name)

    for option in ({"seed": 3}, {"activation": "relu"}):
        with pytest.raises(NoTwin, match=f"'own' .* {next(iter(option))}="):
            Own.from_config({"name": "own", **option})


def test_a_loss_and_a_metric_may_have_one_name() -> None:
    assert twin("loss", "MeanSquaredError") is SquaredErrorLoss
    assert twin("metric", "MeanSquaredError") is SquaredErrorMetric


@pytest.mark.parametrize(
    ("config", "name"),
    [
        ("relu", "relu"),
        ({"class_name": "Dense", "config": {}}, "Dense"),
        ({"class_name": "Own", "registered_name": "Package>Own"}, "Package>Own"),
        ({"class_name": "Dense", "registered_name": None}, "Dense"),
        ({"class_name": "Dense", "registered_name": "Dense"}, "Dense"),
        ({"class_name": "function", "config": "elu", "registered_name": "function"}, "elu"),
    ],
)
def test_the_name_in_a_configuration(config: Any, name: str) -> None:
    assert keras_name(config) == name


def refuse(*layers: Any, match: str) -> None:
    with pytest.raises(NoTwin, match=match):
        Network.from_config(keras.Sequential([keras.Input((4,)), *layers]).get_config())


@keras.saving.register_keras_serializable("Tests")
class OfOnesOwn(keras.regularizers.Regularizer):  # type: ignore[misc]
    def __call__(self, x: Any) -> Any:
        return 0.0 * keras.ops.sum(x)

    def get_config(self) -> dict[str, Any]:
        return {}


@pytest.mark.parametrize("option", ["kernel_regularizer", "bias_regularizer"])
def test_a_regularizer_without_a_twin_is_refused_by_layer(option: str) -> None:
    layer = keras.layers.Dense(2, name="hidden", **{option: OfOnesOwn()})
    refuse(layer, match="regularizer 'Tests>OfOnesOwn' of layer 'hidden' has no hand-derived")


def test_an_unknown_layer_is_refused_by_name_and_the_known_ones_are_listed() -> None:
    refuse(
        keras.layers.RandomFlip(name="flip"),
        match="layer 'RandomFlip' of the layer 'flip' has no hand-derived twin. "
        'Layers that have one: .*Dense.*@manual.twin_of."RandomFlip"',
    )


@pytest.mark.parametrize("make", [keras.layers.Dense, keras.layers.Activation])
def test_an_unknown_activation_is_refused_by_layer_and_name(make: Any) -> None:
    options = {"units": 2} if make is keras.layers.Dense else {}

    @keras.saving.register_keras_serializable("Tests", "bent")
    def bent(z: Any) -> Any:
        return z * abs(z)

    layer = make(activation=bent, name="hidden", **options)
    refuse(layer, match="activation 'Tests>bent' of layer 'hidden' has no hand-derived twin")


@pytest.mark.parametrize(
    ("kind", "config", "match"),
    [
        ("loss", "own", "The loss 'own' has no hand-derived twin. Losses that have one"),
        ("loss", "Mine>Own", "The loss 'Mine>Own' has no hand-derived twin"),
        ("optimizer", "Own", "The optimizer 'Own' has no hand-derived twin"),
        (
            "optimizer",
            {"class_name": "SGD", "config": {"learning_rate": 0.1, "damping": 1.0}},
            "optimizer 'SGD': the option damping=1.0 has no hand-derived twin yet",
        ),
        (
            "optimizer",
            {"class_name": "Adam", "config": {"learning_rate": {"class_name": "Own"}}},
            "The schedule 'Own' of the optimizer has no hand-derived twin",
        ),
    ],
)
def test_what_else_is_refused(kind: str, config: Any, match: str) -> None:
    with pytest.raises(NoTwin, match=match):
        from_keras(kind, config)


def test_options_that_leave_the_mathematics_alone_are_passed_over() -> None:
    layer = keras.layers.Dense(
        3, "relu", kernel_initializer="he_normal", name="hidden", dtype="float64"
    )
    made = Dense.from_config(layer.get_config())
    assert (made.name, made.units) == ("hidden", 3)  # type: ignore[attr-defined]
    frozen = keras.layers.Dense(3, trainable=False)
    assert not Dense.from_config(frozen.get_config()).trainable


@pytest.mark.parametrize("name", ["SGD", "Adam", "RMSprop"])
def test_an_optimizer_as_keras_writes_it(name: str) -> None:
    """Keras's own configuration of a plain optimizer asks for nothing that has no twin."""
    config = keras.optimizers.serialize(getattr(keras.optimizers, name)(learning_rate=0.25))
    assert from_keras("optimizer", config).learning_rate == 0.25
