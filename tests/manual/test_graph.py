"""The graph of a network: its order, its names, and how it is read from Keras's configuration."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from manual.configuration import symbols_from_config
from manual.graph import in_causal_order, nodes_of
from manual.layers import (
    Activation,
    Add,
    BatchNormalization,
    Concatenate,
    Dense,
    Input,
    InputLayer,
    MultiHeadAttention,
    Symbol,
)
from manual.network import Network
from manual.registry import NoTwin


def names(*outputs: Symbol) -> list[str]:
    return [node.name for node in nodes_of(in_causal_order(outputs))]


def config_names(model: keras.Model) -> list[str]:
    return [node.name for node in Network.from_config(model.get_config()).nodes]


def test_every_symbol_comes_once_and_after_what_it_depends_on() -> None:
    x = Input((2,), name="x")
    left, right = Dense(2, name="left")(x), Dense(2, name="right")(x)
    join = Add(name="join")(left, right)
    end = Add(name="end")(join, x, left)
    order = in_causal_order([end, left])
    assert [symbol.layer.name for symbol in order] == ["x", "left", "right", "join", "end"]
    nodes = nodes_of(order)
    assert [node.inputs for node in nodes] == [(), (0,), (0,), (1, 2), (3, 0, 1)]
    assert [node.is_input for node in nodes] == [True, False, False, False, False]


def test_the_same_symbol_twice_is_one_node() -> None:
    x = Input((2,), name="x")
    nodes = nodes_of(in_causal_order([Add(name="double")(x, x)]))
    assert [(node.name, node.inputs) for node in nodes] == [("x", ()), ("double", (0, 0))]


def test_a_deep_graph_needs_no_deep_recursion() -> None:
    symbol = Input((1,), name="x")
    layer = Activation("tanh", name="again")
    for _ in range(1500):
        symbol = layer(symbol)
    found = names(symbol)
    assert len(found) == 1501
    assert found[:3] == ["x", "again", "again@2"]
    assert found[-1] == "again@1500"


def test_branches_that_meet_again_and_again_are_gone_along_once() -> None:
    """Of 50 residual blocks there are 2⁵⁰ ways back to the input."""
    x = first = InputLayer(batch_shape=(3, 2)).of_size((2,))
    for _ in range(50):
        x = Add()(x, BatchNormalization()(x))
    assert x.samples == first.samples == 3
    assert len(in_causal_order([x])) == 101


def test_names_tell_calls_and_pre_activations_apart() -> None:
    x = Input((2,), name="x")
    shared = Dense(2, "relu", name="shared")
    plain = Dense(2, name="plain")
    assert names(plain(shared(shared(plain(x))))) == [
        "x",
        "plain",
        "shared/pre_activation",
        "shared",
        "shared@2/pre_activation",
        "shared@2",
        "plain@2",
    ]


def test_an_activation_layer_is_no_pre_activation() -> None:
    x = Input((2,), name="x")
    assert names(Activation("relu", name="rectify")(Dense(2, name="z")(x))) == ["x", "z", "rectify"]


def test_a_sequential_configuration() -> None:
    layers = [
        keras.Input((2, 3), name="x"),
        keras.layers.Dense(4, "elu", name="hidden"),
        keras.layers.Flatten(name="flat"),
        keras.layers.Activation("softmax", name="share"),
    ]
    expected = ["x", "hidden/pre_activation", "hidden", "flat", "share"]
    assert config_names(keras.Sequential(layers)) == expected


def test_a_sequential_configuration_that_was_built_by_a_call() -> None:
    model = keras.Sequential([keras.layers.Dense(4, name="only")])
    model(np.zeros((5, 3)))
    config = model.get_config()
    for wanted in (config["layers"][0]["config"]["name"], "input"):
        inputs, outputs, *_ = symbols_from_config(config)
        assert names(*outputs) == [wanted, "only"]
        assert inputs[0].shape == (3,)
        assert outputs[0].shape == (4,)
        del config["layers"][0]  # the shape is then known from build_input_shape alone


def test_a_sequential_configuration_of_unknown_shape() -> None:
    model = keras.Sequential([keras.layers.Dense(4)], name="shapeless")
    with pytest.raises(ValueError, match="model 'shapeless' doesn't know its input shape yet"):
        symbols_from_config(model.get_config())


@pytest.fixture
def functional() -> keras.Model:
    """Two inputs, a layer called three times, a skip connection, two outputs."""
    a, b = keras.Input((3,), name="a"), keras.Input((3,), name="b")
    late = keras.layers.Dense(2, name="late")
    shared = keras.layers.Dense(3, "tanh", name="shared")
    twice = shared(shared(a))
    skip = keras.layers.Add(name="skip")([twice, a])
    both = keras.layers.Concatenate(name="both")([skip, shared(b)])
    return keras.Model([a, b], [late(both), keras.layers.Dense(1, name="other")(both)])


def test_a_functional_configuration(functional: keras.Model) -> None:
    network = Network.from_config(functional.get_config())
    found = {node.name: node for node in network.nodes}
    wired = {
        name: [network.nodes[source].name for source in node.inputs] for name, node in found.items()
    }
    assert wired == {
        "a": [],
        "b": [],
        "shared/pre_activation": ["a"],
        "shared": ["shared/pre_activation"],
        "shared@2/pre_activation": ["shared"],
        "shared@2": ["shared@2/pre_activation"],
        "skip": ["shared@2", "a"],
        "shared@3/pre_activation": ["b"],
        "shared@3": ["shared@3/pre_activation"],
        "both": ["skip", "shared@3"],
        "late": ["both"],
        "other": ["both"],
    }
    assert [network.nodes[index].name for index in network.inputs] == ["a", "b"]
    assert [network.nodes[index].name for index in network.outputs] == ["late", "other"]
    assert len({id(found[name].layer) for name in found if name.endswith("pre_activation")}) == 1


def test_weights_come_in_keras_order(functional: keras.Model) -> None:
    network = Network.from_config(functional.get_config())
    weights = [weight for layer in functional.layers for weight in layer.weights]
    assert list(network.parameters) == [weight.path for weight in weights]
    assert [value.shape for value in network.get_weights()] == [w.shape for w in weights]
    network.set_weights(functional.get_weights())
    for mine, theirs in zip(network.get_weights(), functional.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_calls_outside_the_model_do_not_count() -> None:
    x = keras.Input((2,), name="x")
    layer = keras.layers.Dense(2, name="often")
    layer(x)
    model = keras.Model(x, layer(layer(x)))
    assert config_names(model) == ["x", "often", "often@2"]


def test_inputs_by_name() -> None:
    a, b = keras.Input((1,), name="a"), keras.Input((2,), name="b")
    joined = keras.layers.Concatenate(name="both")([b, a])
    network = Network.from_config(keras.Model({"a": a, "b": b}, joined).get_config())
    assert [network.nodes[index].name for index in network.inputs] == ["a", "b"]
    np.testing.assert_array_equal(
        network.predict([np.array([[1.0]]), np.array([[2.0, 3.0]])]), [[2.0, 3.0, 1.0]]
    )


def test_a_call_with_a_further_argument_is_refused() -> None:
    x = keras.Input((2,), name="x")
    config: Any = keras.Model(x, keras.layers.Dense(1, name="masked")(x)).get_config()
    config["layers"][1]["inbound_nodes"][0]["kwargs"]["mask"] = [True]
    with pytest.raises(NoTwin, match="called with mask=…, a mask that is no tensor"):
        symbols_from_config(config)


def test_an_input_layer_has_no_weights_and_a_shape() -> None:
    layer = InputLayer((2, 3), name="x")
    assert layer.shape == (2, 3)
    assert layer.parameters == []


def test_shapes_pass_through_the_graph() -> None:
    x = Input((4, 3))
    assert Concatenate(axis=1)(x, Dense(3)(x)).shape == (8, 3)
    assert Concatenate()(x, Dense(5)(x)).shape == (4, 8)


# ---------------------------------------------------------------------- what a call is told besides


def attention_model(*args: int, **told: Any) -> keras.Model:
    """Call attention on some of three inputs, by position and by name."""
    inputs = [keras.Input((3, 4), name=name) for name in "abc"]
    named = {key: inputs[value] if type(value) is int else value for key, value in told.items()}
    attend = keras.layers.MultiHeadAttention(1, 2, name="attend")
    y = attend(*(inputs[place] for place in args), **named)
    return keras.Model(inputs, keras.layers.Concatenate()([y, *inputs]))


@pytest.mark.parametrize(
    ("args", "told", "taken"),
    [
        ((0, 1), {}, "ab"),
        ((0, 1, 2), {}, "abc"),
        ((0, 1), {"key": 2}, "abc"),
        ((), {"key": 0, "query": 1, "value": 2}, "bca"),
        ((2,), {"value": 2}, "cc"),
    ],
)
def test_inputs_that_are_given_by_name_are_put_in_order(
    args: tuple[int, ...], told: dict[str, Any], taken: str
) -> None:
    network = Network.from_config(attention_model(*args, **told).get_config())
    node = next(one for one in network.nodes if one.name == "attend")
    assert "".join(network.nodes[place].name for place in node.inputs) == taken
    assert node.options == {}


def test_options_of_a_call_reach_its_forward_pass() -> None:
    mask = np.arange(9).reshape(3, 3) % 2 == 0
    model = attention_model(0, 1, use_causal_mask=True, attention_mask=mask)
    network = Network.from_config(model.get_config(), dtype="float64")
    node = next(one for one in network.nodes if one.name == "attend")
    assert node.options["use_causal_mask"] is True
    np.testing.assert_array_equal(node.options["attention_mask"], mask)
    x = [np.random.default_rng(number).normal(size=(2, 3, 4)) for number in range(3)]
    told = network.predict(x)
    attend = node.layer
    expected, _ = attend.forward(x[:2], use_causal_mask=True, attention_mask=mask)
    np.testing.assert_array_equal(told[..., :4], expected)
    assert np.abs(attend.forward(x[:2])[0] - expected).max() > 0.01


def test_options_that_have_no_twin_are_refused_by_name() -> None:
    x = keras.Input((3, 4))
    with pytest.raises(NoTwin, match="layer 'again': it is called with value=…"):
        symbol = Input((3, 4))
        MultiHeadAttention(1, 2, name="again")(symbol, symbol, value=symbol)
    with pytest.raises(NoTwin, match="layer 'join': it is called with 2 arguments"):
        config = keras.Model(x, keras.layers.Add(name="join")([x, x])).get_config()
        config["layers"][1]["inbound_nodes"][0]["args"] *= 2
        Network.from_config(config)
