"""What is written down on a tape, what is left out, and what can't be."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import manual
from manual.activations.functions import erfc
from manual.arrays import Array
from manual.recorded import MANY, SHORT, NotRecordable, Recorded
from manual.recording import Tape
from manual.replay import Program, Rehearsed


def programmed(function: Callable[..., Any], *arrays: Array) -> tuple[list[Any], Array]:
    """Record a function of arrays; return the calls, and the array that they write to."""
    tape = Tape()
    made = function(*(tape.lasting_array(array) for array in arrays))
    output = np.array(made.value)
    result = tape.lasting_array(output)
    tape.changed(np.copyto, (result, made), result)
    return tape.program(), output


def run(calls: list[Any]) -> None:
    for function, arguments in calls:
        function(*arguments)


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "arithmetic": lambda x, y: (1.0 - x) * y / 3 + x**2 - (-y),
    "a product of matrices": lambda x, y: x.T @ y,
    "a product of matrices with gaps": lambda x, y: x[:, :3].T @ y[:, 1:],
    "a function of Python numbers": lambda x, y: erfc(x) * y,
    "products of many matrices": lambda x, y: x[:, None] @ y[:, :, None],
    "sums": lambda x, y: x.sum() + y.sum(axis=0) * x.sum(axis=1, keepdims=True),
    "a mean, a maximum and a minimum": lambda x, y: x.mean(axis=0) + y.max(axis=0) - y.min(),
    "a choice": lambda x, y: np.where(x > y, x, 0.5),
    "maximum": lambda x, y: np.maximum(x, 0.0) + np.minimum(x, y),
    "moved axes": lambda x, y: np.moveaxis(x, 0, 1).reshape(-1) + y.T.reshape(-1),
    "joined arrays": lambda x, y: np.concatenate([x, y, np.stack([x[0], y[1]])]),
    "a split": lambda x, y: np.split(x, 2, axis=-1)[1] * np.split(y, 2, axis=-1)[0],
    "zeros around": lambda x, y: np.pad(x, [(1, 0), (0, 2)]) + np.pad(y, [(1, 0), (0, 2)]),
    "whole numbers": lambda x, y: (x > 0).astype(x.dtype) * y,
    "rows by number": lambda x, y: x[np.array([2, 0])] + y[:2],
    "what is chosen by another array": lambda x, y: np.take_along_axis(x, (y > 0) * 1, axis=1),
    "repetition": lambda x, y: np.repeat(x, 2, axis=0)[1:4] * y,
}


def put_in_parts(x: Any, y: Any) -> Any:
    total = np.zeros_like(x)
    total[1:] = x[:-1] * 2.0
    total[:1] = y[:1] - 3.0
    return total + x * y


def put_where_another_was(x: Any, y: Any) -> Any:
    old = x * 2.0
    new = x + y
    seen = old + 1.0
    del old
    total = np.zeros_like(x)  # whose memory is that of the old
    total[...] = new
    return total * seen


def put_when_it_has_been_read(x: Any, y: Any) -> Any:
    total = x * 1.0
    new = x + y
    before = total + 1.0
    total[:, 1:] = new[:, 1:]
    total[1:] = total[:-1]
    total[:] = before * total + new
    return total


def added_in_place(x: Any, y: Any) -> Any:
    total = np.zeros_like(x)
    total += x
    total[1:] += y[:-1]
    total[0] = 2.0 * y[0]
    total -= 1.0
    np.add.at(total, np.array([0, 0, 2]), y)
    return total


def in_its_own_place(function: Callable[[Any], Any]) -> Callable[..., Any]:
    """Write what a function makes of an array to where the array lies."""

    def changed(x: Any, y: Any) -> Any:
        total = np.zeros_like(x)
        total += x * y
        total[...] = function(total)
        return total

    return changed


FUNCTIONS |= {
    f"{name}, in its own place": in_its_own_place(function)
    for name, function in {
        "zeros around": lambda x: np.pad(x[1:], [(0, 1), (0, 0)]),
        "joined arrays": lambda x: np.concatenate([x[2:], x[:2]]),
        "stacked arrays": lambda x: np.stack([x[2], x[0], x[1]]),
        "a product of matrices": lambda x: x @ (x.T @ x),
        "a choice": lambda x: np.where(x > 0.0, x[::-1], x),
        "its neighbour": lambda x: x[::-1] * 2.0,
        "a sum": lambda x: x.sum(axis=0) + np.zeros_like(x),
    }.items()
}
FUNCTIONS |= {
    "in place": added_in_place,
    "in parts": put_in_parts,
    "where another was": put_where_another_was,
    "after a look": put_when_it_has_been_read,
    "an order in memory": lambda x, y: np.copy(x.T, order="C").reshape(-1) - y.T.reshape(-1),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_replay_gives_what_the_function_gives(name: str, dtype: str) -> None:
    function = FUNCTIONS[name]
    generator = np.random.default_rng(3)
    x, y = generator.normal(size=(2, 3, 4)).astype(dtype)
    calls, output = programmed(function, x, y)
    np.testing.assert_array_equal(output, function(x, y))
    for _ in range(2):
        x[...], y[...] = generator.normal(size=(2, 3, 4))
        run(calls)
        expected = function(x, y)
        assert output.dtype == expected.dtype
        np.testing.assert_array_equal(output, expected)


CHOICES: dict[str, Callable[..., Any]] = {
    "of two": lambda x, y: np.where(x > y, x, y),
    "of one and a number": lambda x, y: np.where(x >= 0.0, 1.0, y),
    "of a number and one": lambda x, y: np.where(x > y, x, 0.0),
    "of two numbers": lambda x, y: np.where(x > y, 3.0, 0.0),
    "for each row": lambda x, y: np.where(x[:, :1] > 0.0, x, y),
    "by what never changes": lambda x, y: np.where(np.eye(*x.shape) > 0.0, x, y),
    "by columns": lambda x, y: np.where(x.T > 0.0, x.T, y.T),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", CHOICES)
def test_among_many_numbers_choices_are_made_bit_by_bit(name: str, dtype: str) -> None:
    """Also of those that aren't numbers."""
    generator = np.random.default_rng(3)
    x, y = generator.normal(size=(2, 50, 40)).astype(dtype)
    assert x.size >= MANY
    calls, output = programmed(CHOICES[name], x, y)
    assert np.bitwise_and in [function for function, _ in calls]
    x[...], y[...] = generator.normal(size=(2, 50, 40))
    x[3, 4], y[3, 5], x[6, 7], y[8, 8] = np.inf, -np.inf, np.nan, -0.0
    run(calls)
    expected = CHOICES[name](x, y)
    assert output.dtype == expected.dtype
    np.testing.assert_array_equal(output, expected)
    np.testing.assert_array_equal(np.signbit(output), np.signbit(expected))


@pytest.mark.parametrize("keepdims", [True, False])
def test_the_largest_of_many_short_rows_is_sought_column_by_column(keepdims: bool) -> None:
    def largest(x: Any) -> Any:
        return np.max(x, axis=-1, keepdims=keepdims)

    x = np.random.default_rng(3).normal(size=(5, 10, 40)).astype("float32")
    assert x.size >= MANY and x.shape[-1] <= SHORT
    calls, output = programmed(largest, x)
    assert [arguments[0].shape for f, arguments in calls if f == np.maximum.reduce] == [(40, 50)]
    x[...] = np.random.default_rng(4).normal(size=x.shape)
    x[1, 2, 3], x[2, 3], x[3, 4, 5] = np.inf, -np.inf, np.nan
    run(calls)
    np.testing.assert_array_equal(output, largest(x))


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x if x.sum() > 0 else -x,
        lambda x: x * float(x[0]),
        lambda x: x[: int(x[0])],
        list,
        lambda x: np.median(x),
        lambda x: np.asarray(x) + 1.0,
        lambda x: np.add(x, 1.0, out=np.empty(3)),
        lambda x: np.empty(3).__setitem__(slice(0, 3), x),
        lambda x: np.add.reduceat(x, [0, 1]),
    ],
    ids=["if", "float", "int", "for", "median", "asarray", "out", "into a plain array", "reduceat"],
)
def test_what_depends_on_numbers_or_is_unknown_is_refused(function: Callable[..., Any]) -> None:
    with pytest.raises((NotRecordable, ValueError)):
        function(Tape().lasting_array(np.array([1.0, 2.0, 3.0])))


def test_what_nobody_reads_is_left_out() -> None:
    def function(x: Any) -> Any:
        np.exp(x) @ x.T
        return x + 1.0

    calls, _ = programmed(function, np.ones((2, 2)))
    assert [called.__name__ for called, _ in calls] == ["add", "copyto"]


def test_what_is_put_into_a_part_is_computed_there() -> None:
    x, y = np.ones((2, 3, 4))
    calls, _ = programmed(put_in_parts, x, y)
    names = [called.__name__ for called, _ in calls]
    assert names == ["fill", "multiply", "subtract", "multiply", "add", "copyto"]


def test_numbers_are_bounded_by_a_row_of_the_bound() -> None:
    x = np.linspace(-1.0, 1.0, 40000).reshape(2, 5, 4000)
    calls, output = programmed(lambda x: np.maximum(x, 0.5), x)
    assert calls[0][1][1].shape == (1, 1, 4000)
    x[...] = -x
    run(calls)
    np.testing.assert_array_equal(output, np.maximum(x, 0.5))


def test_a_buffer_is_used_again_when_nobody_sees_it_any_more() -> None:
    x = np.zeros(1000)

    def chain(x: Any) -> Any:
        for _ in range(50):
            x = x + 1.0
        return x

    calls, output = programmed(chain, x)
    assert len({arguments[-1].__array_interface__["data"] for _, arguments in calls[:-1]}) == 2
    run(calls)
    assert (output == 50.0).all()


def dense_network(dtype: str = "float64") -> manual.Network:
    x = manual.Input((3,))
    hidden = manual.Dense(4, "tanh", name="hidden")(x)
    network = manual.Network(x, manual.Dense(2, "softmax", name="out")(hidden), dtype=dtype)
    network.compile("categorical_crossentropy", {"class_name": "Adam", "config": {}})
    return network


def data(samples: int) -> tuple[Array, Array]:
    generator = np.random.default_rng(5)
    return generator.normal(size=(samples, 3)), np.eye(2)[generator.integers(0, 2, samples)]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_fit_gives_the_bits_of_train_step(dtype: str) -> None:
    x, y = data(22)  # batches of 4, and a last one of 2
    network, twin = dense_network(dtype), dense_network(dtype)
    history = network.fit(x, y, batch_size=4, epochs=9, shuffle=False)
    by_steps = []
    for _ in range(9):
        total = 0.0
        for start in range(0, 22, 4):
            some = slice(start, start + 4)
            total += twin.train_step(x[some], y[some]) * len(x[some])
        by_steps.append(total / 22)
    assert history == by_steps
    np.testing.assert_array_equal(network.values, twin.values)
    for name, slot in network.slots.items():
        np.testing.assert_array_equal(slot, twin.slots[name])


def test_no_gradient_is_computed_that_nobody_wants() -> None:
    """Not that of the data, nor the softmax whose cross-entropy is taken from the logits."""
    network, (x, y) = dense_network(), data(4)
    program = Program(network, [x], [y])
    products = [
        arguments
        for function, arguments in program.calls
        if function.__name__ == "dot" and len(arguments[0]) > 1  # else it sums something up
    ]
    assert len(products) == 5  # two forward, and three of the four backward
    assert not program.zeros  # nothing is zeroed only to be added to


def test_a_recording_that_is_wrong_is_not_used() -> None:
    """A layer that counts its calls: what it does at the third time isn't what it does later."""

    class Counting(manual.Dense):
        count = 0

        def forward(self, x: Array, *, training: bool = False) -> tuple[Array, Any]:
            Counting.count += 1
            z, saved = super().forward(x, training=training)
            return z * float(Counting.count), saved

    x = manual.Input((3,))
    network = manual.Network(x, Counting(2, name="out")(x), dtype="float64")
    network.compile("mse")
    (inputs, targets), rows = data(4), np.arange(4)
    rehearsed = Rehearsed(network)
    for _ in range(rehearsed.AT + 1):
        rehearsed.differentiate([inputs], [targets], rows)
    assert [type(one) for one in rehearsed.recorded.values()] == [Program]
    rehearsed.differentiate([inputs], [targets], rows)
    assert not rehearsed.recorded and not rehearsed.trusted


def test_what_cannot_be_recorded_trains_all_the_same() -> None:
    class Looking(manual.Dense):
        def backward(self, dz: Array, saved: Any) -> Array:
            return super().backward(dz if dz.sum() > 0.0 else -dz, saved)

    x = manual.Input((3,))
    networks = []
    for _ in range(2):
        network = manual.Network(x, Looking(2, name="out")(x), dtype="float64")
        network.compile("mse")
        networks.append(network)
    (inputs, targets), (network, twin) = data(8), networks
    network.fit(inputs, targets, batch_size=4, epochs=5, shuffle=False)
    for _ in range(5):
        for some in (slice(0, 4), slice(4, 8)):
            twin.train_step(inputs[some], targets[some])
    np.testing.assert_array_equal(network.values, twin.values)


RANDOM: dict[str, Callable[[], Any]] = {
    "Dropout": lambda: manual.layers.Dropout(0.4, name="drop", seed=7),
    "GaussianNoise": lambda: manual.layers.GaussianNoise(0.4, name="drop", seed=7),
    "LSTM": lambda: manual.layers.LSTM(2, dropout=0.4, recurrent_dropout=0.3, name="m", seed=7),
    "Attention": lambda: manual.layers.Attention(dropout=0.4, name="look", seed=7),
    "MultiHeadAttention": lambda: manual.layers.MultiHeadAttention(
        2, 2, dropout=0.4, name="look", seed=7
    ),
}


@pytest.mark.parametrize("kind", RANDOM)
def test_random_layers_draw_the_same_numbers_in_a_replay(kind: str) -> None:
    """And the same from the same seed."""

    def network() -> manual.Network:
        x = manual.Input((3,))
        wide = manual.layers.Reshape((4, 2))(manual.Dense(8, name="a")(x))
        drawing = RANDOM[kind]()
        drawn = drawing(wide, wide) if "Attention" in kind else drawing(wide)
        flat = manual.layers.Flatten()(drawn)
        made = manual.Network(x, manual.Dense(2, name="out")(flat), dtype="float64")
        made.compile("mse")
        return made

    (x, y), one, other = data(8), network(), network()
    one.fit(x, y, batch_size=4, epochs=6, shuffle=False)
    for _ in range(6):
        for some in (slice(0, 4), slice(4, 8)):
            other.train_step(x[some], y[some])
    np.testing.assert_array_equal(one.values, other.values)


def test_a_recorded_array_is_like_an_array() -> None:
    recorded = Tape().lasting_array(np.zeros((2, 3), np.float32))
    assert isinstance(recorded, Recorded)
    assert (recorded.shape, recorded.ndim, recorded.size, len(recorded)) == ((2, 3), 2, 6, 2)
    assert recorded.dtype == np.float32
    assert np.shape(recorded.T) == (3, 2)


def test_images_that_are_pages_apart_get_gaps_between_them() -> None:
    image = manual.Input((32, 32, 1))
    mean = manual.layers.GlobalAveragePooling2D()(image)
    network = manual.Network(image, manual.Dense(1)(mean), dtype="float32")
    network.compile("mse", "SGD")
    x, y = np.random.default_rng(0).normal(size=(3, 32, 32, 1)), np.zeros((3, 1))
    program = Program(network, [x.astype(np.float32)], [y.astype(np.float32)])
    np.testing.assert_array_equal(program.places[0], x.astype(np.float32))
    assert program.places[0].strides[0] == 4096 + 64
    assert program.places[1].strides[0] == 4
