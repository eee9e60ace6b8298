"""What Keras does that a textbook wouldn't: each fact of docs/keras_facts.md has its test.

Keras alone is asked, in float64 unless said otherwise. A test that fails after an upgrade says
that Keras has changed, and which twin has to follow. Those of training are here, the others in the
files beside.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from asking import fitted

layers, optimizers = keras.layers, keras.optimizers
pytestmark = pytest.mark.usefixtures("float64")

ROOT = Path(__file__).parents[2]


def test_fit_overrides_training_false() -> None:
    x = keras.Input((1,))
    norm = layers.BatchNormalization(momentum=0.5)
    model = keras.Model(x, layers.Dense(1)(norm(x, training=False)))
    fitted(model, np.array([[1.0], [3.0]]), np.zeros((2, 1)))
    assert norm.moving_mean.numpy() == 1.0


def test_what_a_model_within_computes_for_nothing_is_run() -> None:
    x, z = keras.Input((1,)), keras.Input((1,))
    norm = layers.BatchNormalization(momentum=0.5)
    within = keras.Model(z, [layers.Dense(1)(z), norm(z)])
    fitted(keras.Model(x, within(x)[0]), np.array([[1.0], [3.0]]), np.zeros((2, 1)))
    assert norm.moving_mean.numpy() == 1.0


def test_the_copies_that_clone_model_makes_count_calls_as_they_are_run() -> None:
    x = keras.Input((5,), dtype="int32")
    table = layers.Embedding(9, 4)
    first, second = table(x), table(x)
    product = layers.Dot(-1)(
        [layers.GlobalAveragePooling1D()(first), layers.GlobalMaxPooling1D()(second)]
    )
    model = keras.Model(x, product)

    def order(of: Any) -> list[int]:
        by_depth = of._nodes_by_depth
        nodes = [node for depth in sorted(by_depth, reverse=True) for node in by_depth[depth]]
        (shared,) = [one for one in of.layers if isinstance(one, layers.Embedding)]
        return [shared._inbound_nodes.index(n) for n in nodes if n.operation is shared]

    assert sorted(order(model)) == [0, 1]
    assert order(model) != [0, 1] or order(keras.models.clone_model(model)) == [0, 1]


def test_trainable_in_a_constructor_is_not_handed_down() -> None:
    for make, shape in (
        (lambda **options: layers.Bidirectional(layers.LSTM(2), **options), (3, 2)),
        (lambda **options: layers.RNN(layers.SimpleRNNCell(2), **options), (3, 2)),
        (lambda **options: layers.TimeDistributed(layers.Dense(2), **options), (3, 2)),
        (lambda **options: layers.ConvLSTM1D(2, 1, **options), (3, 4, 2)),
    ):
        made, changed = make(trainable=False), make()
        changed.trainable = False
        assert keras.Sequential([keras.Input(shape), made]).trainable_weights, made.name
        assert not keras.Sequential([keras.Input(shape), changed]).trainable_weights, made.name


def two_outputs(eagerly: bool) -> dict[str, float]:
    """Return what fit prints of a batch of 2 and one of 1, of predictions of 0."""
    x = keras.Input((1,))
    ends = [layers.Dense(1, name=name, kernel_initializer="zeros")(x) for name in "ab"]
    model = keras.Model(x, ends)
    model.compile(optimizers.SGD(0.0), ["mse", "mse"], run_eagerly=eagerly)
    y = np.array([[1.0], [1.0], [4.0]])
    history = model.fit(np.ones((3, 1)), [y, y], batch_size=2, shuffle=False, verbose=0).history
    return {name: float(values[-1]) for name, values in history.items()}


def test_in_a_graph_the_loss_of_an_output_is_a_mean_over_batches() -> None:
    assert two_outputs(eagerly=True) == {"a_loss": 6.0, "b_loss": 6.0, "loss": 12.0}
    assert two_outputs(eagerly=False) == {"a_loss": 8.5, "b_loss": 8.5, "loss": 12.0}


def dataset(batches: int) -> Any:
    def give() -> Iterator[Any]:
        for _ in range(batches):
            yield np.ones((2, 1)), np.ones((2, 1))

    return tf.data.Dataset.from_generator(
        give, output_signature=(tf.TensorSpec((None, 1), tf.float64),) * 2
    )


@pytest.mark.filterwarnings("ignore:Your input ran out", "ignore:`shuffle=True`")
@pytest.mark.parametrize(("eagerly", "drawn"), [(True, 2), (False, 3)])
def test_a_step_in_a_graph_that_finds_no_data_draws_all_the_same(eagerly: bool, drawn: int) -> None:
    model = keras.Sequential([keras.Input((1,)), layers.Dropout(0.5), layers.Dense(1)])
    model.compile(optimizers.SGD(0.0), "mse", run_eagerly=eagerly)
    model.fit(dataset(batches=2), verbose=0)
    assert model.layers[0].seed_generator.state.numpy()[1] == drawn


@pytest.mark.filterwarnings("ignore:Your input ran out", "ignore:`shuffle=True`")
def test_a_generator_that_has_ended_gives_its_first_batches_again() -> None:
    seen: list[float] = []

    class Watched(keras.Sequential):
        def train_step(self, data: Any) -> Any:
            seen.append(float(np.asarray(data[0])[0, 0]))
            return super().train_step(data)

    def numbered() -> Iterator[Any]:
        for number in range(4):
            yield np.full((2, 1), float(number)), np.ones((2, 1))

    model = Watched([keras.Input((1,)), layers.Dense(1)])
    model.compile(optimizers.SGD(0.0), "mse", run_eagerly=True)
    model.fit(numbered(), epochs=2, verbose=0)
    assert seen == [0.0, 1.0, 2.0, 3.0, 0.0, 1.0]  # those by which Keras has found the shapes


def test_a_configuration_counts_the_calls_of_a_model_from_one_where_they_are_outputs() -> None:
    z, x = keras.Input((2,)), keras.Input((2,))
    within, layer = keras.Model(z, layers.Dense(2)(z), name="within"), layers.Dense(2, name="d")
    assert keras.Model(x, within(x)).get_config()["output_layers"] == ["within", 1, 0]
    assert keras.Model(x, layer(x)).get_config()["output_layers"] == ["d", 0, 0]
    last = keras.Model(x, layer(within(x))).get_config()["layers"][-1]
    assert "['within', 0, 0]" in str(last["inbound_nodes"])


def test_the_end_of_a_fit_puts_the_average_in_the_place_of_the_weights() -> None:
    model = keras.Sequential([keras.Input((1,)), layers.Dense(1, use_bias=False)])
    model.set_weights([np.array([[1.0]])])
    optimizer = optimizers.SGD(0.25, use_ema=True, ema_momentum=0.5)
    model.compile(optimizer, "mse", run_eagerly=True)
    model.fit(np.ones((2, 1)), np.zeros((2, 1)), batch_size=1, verbose=0)
    assert model.get_weights()[0].item() == (0.5 + 0.25) / 2  # the weight itself came to ¼


@pytest.mark.parametrize(("metrics", "times"), [(None, 1), (["mae"], 2)])
def test_a_step_that_makes_metrics_is_traced_twice(
    metrics: list[str] | None, times: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where this changes, `keras_models.unbuilt` can go."""
    own, traced = keras.Model.train_step, []

    def train_step(model: keras.Model, data: object) -> object:
        traced.append(model)
        return own(model, data)

    monkeypatch.setattr(keras.Model, "train_step", train_step)
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse", metrics=metrics)
    model.optimizer.build(model.trainable_variables)
    model.fit(np.ones((2, 1)), np.zeros((2, 1)), batch_size=1, verbose=0)
    assert len(traced) == times


# ---------------------------------------------------------------------- the page


def test_the_page_has_every_fact_and_no_other() -> None:
    page = (ROOT / "docs" / "keras_facts.md").read_text(encoding="utf-8")
    told = re.findall(r"`(test_\w+)`", page)
    files = sorted(Path(__file__).parent.glob("test_facts*.py"))
    text = "\n".join(one.read_text(encoding="utf-8") for one in files)
    tests = re.findall(r"^def (test_\w+)", text, re.MULTILINE)
    assert sorted(told) == sorted(one for one in tests if not one.startswith("test_the_page_"))


def test_the_page_names_where_each_fact_stands() -> None:
    """Each names a file of the hand-written half, or of what drives it, that speaks of Keras."""
    page = (ROOT / "docs" / "keras_facts.md").read_text(encoding="utf-8")
    entries = re.split(r"^- ", page, flags=re.MULTILINE)[1:]
    for entry in entries:
        files = re.findall(r"`((?:manual|compare|keras_models)/[\w/]+\.py)`", entry)
        assert files and "`test_" in entry, entry
        for name in files:
            text = (ROOT / name).read_text(encoding="utf-8")
            assert re.search("Keras|TensorFlow|XLA", text), f"{name} doesn't say so: {entry}"
