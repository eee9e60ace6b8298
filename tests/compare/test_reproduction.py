"""A minimal reproduction is small, of Keras and NumPy alone, and shows the finding."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from click.testing import CliRunner

import compare
import manual
import manual.registry
from compare.cli import main
from compare.reproduction.words import hand_number, keras_number
from compare.rounding.judge import BOUND
from compare.score.bugs import catalogue
from keras_models.precision import precision
from manual.optimizers.scattered import Scattered

LINES = 33
"""Of code: with a central difference of an activation's gradient; without, half as many."""


class Written:
    """A script, what it printed in a process of its own, and the report that it belongs to."""

    def __init__(self, path: Path, report: compare.Report, planted: str = "") -> None:
        self.source, self.report = path.read_text(encoding="utf-8"), report
        run = f"{planted}\nimport runpy\nrunpy.run_path({str(path)!r}, run_name='__main__')"
        command = [sys.executable, "-c", run] if planted else [sys.executable, path.name]
        done = subprocess.run(
            command, capture_output=True, text=True, cwd=path.parent, timeout=120, check=False
        )
        assert done.returncode == 0, done.stderr
        self.printed = done.stdout

    def number(self, of: str) -> float:
        found = re.search(rf"^{of} +(\S+?):?(,|$)", self.printed, re.M)
        assert found is not None, self.printed
        return float(found[1])

    @property
    def rounding(self) -> float:
        """What two numbers of Keras's may be apart, where ten digits of one are printed."""
        first = self.report.first
        assert first is not None
        return 2 * BOUND * first.verdict.noise + 0.5e-9 * abs(keras_number(first))

    def check_slope(self) -> None:
        """The central difference is what Keras has, but for what a difference costs."""
        space: dict[str, Any] = {}
        with precision("float64"):
            exec(self.source, space)
            off = cost_of_difference(space)
        assert abs(self.number("central difference") - self.number("Keras")) <= self.rounding + off

    @property
    def data(self) -> np.ndarray:
        """The array x."""
        for line in self.source.splitlines():
            if line.startswith("x = np.array("):
                return np.array(ast.literal_eval(line.removeprefix("x = np.array(")[:-1]))
        raise AssertionError(self.source)

    @property
    def layers(self) -> list[str]:
        """The classes of layers, but for the probe."""
        found = re.findall(r"keras\.layers\.(\w+)\(", self.source)
        return [one for one in found if one != "Lambda"]

    def check(self) -> None:
        """Check what all scripts must be, and that it prints what was found."""
        code = [line for line in self.source.splitlines() if line and not line.startswith("#")]
        assert len(code) <= LINES
        tree = ast.walk(ast.parse(self.source))
        imported = [one.name for node in tree if isinstance(node, ast.Import) for one in node.names]
        assert imported == ["keras", "numpy"]
        assert "from " not in "\n".join(code)
        first = self.report.first
        assert first is not None
        assert abs(self.number("Keras") - keras_number(first)) <= self.rounding
        assert f"by hand             {hand_number(first):.10g}" in self.printed


def cost_of_difference(space: dict[str, Any]) -> float:
    """Return what a script's central difference may be off by: truncation, and rounding.

    Of steps h and h/2 the errors are as 4 to 1, so that the first is 4/3 of their difference.
    """
    h, loss = 1e-5, space["loss"]
    half = (loss(h / 2) - loss(-h / 2)) / h
    rounded = BOUND * np.finfo(float).eps * abs(loss(0.0)) / h
    return float(4 / 3 * (abs(space["slope"] - half) + 3 * rounded))


@pytest.fixture
def reproduced(tmp_path: Path) -> Callable[..., Written]:
    def reproduce(model: Any, x: Any, y: Any, planted: str = "", **options: Any) -> Written:
        path = tmp_path / "minimal.py"
        report = compare.reproduce(model, x, y, path, **options)
        written = Written(path, report, planted)
        written.check()
        return written

    return reproduce


def network(*layers: Any, optimizer: Any = "sgd", loss: Any = "mse", inputs: int = 5) -> Any:
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((inputs,)), *layers])
    model.compile(optimizer, loss)
    draw = np.random.default_rng(0)
    return model, draw.normal(size=(20, inputs)), draw.normal(size=(20, 3))


def three_layers(**options: Any) -> Any:
    dense = keras.layers.Dense
    layers = dense(8, "tanh", name="hidden"), dense(4, "sigmoid", name="second")
    return network(*layers, dense(3, name="out"), **options)


@contextmanager
def bug(name: str) -> Iterator[Any]:
    """Plant a bug of the catalogue; give the model that it is planted in, and its data."""
    it = next(one for one in catalogue() if one.name.startswith(name))
    with precision(it.dtypes[0]), it.planted():
        keras.utils.set_random_seed(0)
        model, x, y = it.network(it)
        optimizer = {"class_name": it.optimizer, "config": dict(it.options)}
        loss = it.loss() if callable(it.loss) else it.loss
        model.compile(keras.optimizers.get(optimizer), loss, **dict(it.compiled))
        yield model, x, y


def test_a_derivative_by_hand_that_is_wrong(
    reproduced: Callable[..., Written], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loss itself, from forward passes only, speaks for Keras."""
    monkeypatch.setattr(manual.activations.Tanh, "backward", lambda self, da, z, a: da * (1.0 - a))
    written = reproduced(*three_layers(), batch_size=8)
    assert written.layers == ["Dense", "Activation"]
    assert written.data.shape == (1, 1)
    assert "# activation gradient of hidden: the number by hand is wrong" in written.source
    assert "cause: 1 − a stands for the derivative" in written.source
    assert written.printed.rstrip().endswith("which supports: Keras")
    written.check_slope()


WRONG_IN_KERAS = """
import keras
right = keras.optimizers.RMSprop.update_step
keras.optimizers.RMSprop.update_step = (
    lambda self, gradient, variable, rate: right(self, gradient, variable, rate * 1.001)
)
"""


@pytest.mark.slow
def test_an_update_of_keras_that_is_wrong(
    reproduced: Callable[..., Written], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Planted in the script's process, too: there Keras gives the wrong number again."""
    right = keras.optimizers.RMSprop.update_step
    monkeypatch.setattr(
        keras.optimizers.RMSprop,
        "update_step",
        lambda self, gradient, variable, rate: right(self, gradient, variable, rate * 1.001),
    )
    model = three_layers(optimizer=keras.optimizers.RMSprop(0.01, clipnorm=5.0, momentum=0.5))
    written = reproduced(*model, WRONG_IN_KERAS, batch_size=8)
    assert written.layers == ["Dense"]
    assert written.data.shape == (1, 1)
    assert "clipnorm" not in written.source
    assert written.report.first is not None
    assert written.report.first.phase in ("optimizer slot", "weight")


@pytest.mark.slow
def test_rows_of_a_table_that_adam_squares_one_by_one(
    reproduced: Callable[..., Written], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keras's second moments of a word that occurs twice are not those of its gradient."""
    monkeypatch.setattr(
        Scattered, "__mul__", lambda self, other: self.total * getattr(other, "total", other)
    )
    keras.utils.set_random_seed(0)
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((6,), dtype="int32"),
            layers.Embedding(20, 8, name="words"),
            layers.GlobalAveragePooling1D(name="mean"),
            layers.Dense(3, "softmax", name="class"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy")
    draw = np.random.default_rng(0)
    written = reproduced(model, draw.integers(0, 20, (32, 6)), draw.integers(0, 3, 32))
    assert written.layers[0] == "Embedding"
    assert written.data.shape == (1, 2)
    assert written.data[0, 0] == written.data[0, 1]
    assert written.report.first is not None
    assert written.report.first.name == "words/embeddings/velocity"
    twice = 2.0 * written.number("Keras")
    assert abs(written.number("by hand") - twice) <= 3 * written.rounding


def test_where_everything_agrees_nothing_is_written(tmp_path: Path) -> None:
    path = tmp_path / "minimal.py"
    assert compare.reproduce(*three_layers(), path, batch_size=8).ok
    result = CliRunner().invoke(main, ["run", "single_neuron", "--reproduce", str(path)])
    assert result.exit_code == 0
    assert "nothing to reproduce: everything agrees" in result.output
    assert list(tmp_path.iterdir()) == []


def test_a_command_writes_the_first_disagreement(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        manual.activations.Sigmoid, "backward", lambda self, da, z, a: da * a * (1.0 + a)
    )
    path = tmp_path / "minimal.py"
    result = CliRunner().invoke(main, ["run", "mazur", "--steps", "2", "--reproduce", str(path)])
    assert result.exit_code == 1
    assert "lines: activation gradient of" in " ".join(result.output.split())
    assert max(len(line) for line in result.output.splitlines()) <= 80
    space: dict[str, Any] = {}
    with precision("float64"):
        exec(path.read_text(encoding="utf-8"), space)
        off = cost_of_difference(space)
    noise = BOUND * np.finfo(float).eps * abs(space["value"])
    assert abs(space["slope"] - space["value"]) <= off + noise
    assert space["side"] == "Keras"


def test_ctrl_c_writes_the_smallest_so_far(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manual.activations.Tanh, "backward", lambda self, da, z, a: da * (1.0 - a))
    tries: list[int] = []

    def stop(text: str, done: int, at_most: int) -> None:
        tries.append(done)
        if done == 3:
            raise KeyboardInterrupt

    path = tmp_path / "minimal.py"
    report = compare.reproduce(*three_layers(), path, batch_size=8, progress=stop)
    assert tries == [0, 1, 2, 3]
    assert report.first is not None and report.first.verdict.size > 1
    assert path.exists()


class Twice(keras.layers.Layer):
    def call(self, inputs: Any) -> Any:
        return keras.ops.tanh(inputs) * 2.0


class TwiceByHand(manual.Layer):
    """Twice the hyperbolic tangent: the 2 is forgotten."""

    derivation = {"forward": "y = 2 tanh x", "input gradient": "dx = 2 dy (1 − tanh² x)"}

    def output_shape(self, input_shape: Any) -> Any:
        return input_shape

    def forward(self, x: Any, *, training: bool = False) -> tuple[Any, Any]:
        return np.tanh(x), x

    def backward(self, dy: Any, saved: Any) -> Any:
        return 2.0 * dy * (1.0 - np.tanh(saved) ** 2)


def test_a_layer_of_ones_own_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A script of Keras and NumPy alone can't have it."""
    monkeypatch.setattr(manual.registry, "_twins", dict(manual.registry._twins))
    manual.twin_of("Twice")(TwiceByHand)
    with pytest.raises(compare.BadInput, match="'Twice' is none of Keras's own"):
        model = network(keras.layers.Dense(3), Twice(name="twice"))
        compare.reproduce(*model, tmp_path / "minimal.py", batch_size=20)
    assert list(tmp_path.iterdir()) == []


def own(z: Any) -> Any:
    return z * keras.ops.tanh(z)


@pytest.mark.slow
def test_a_function_of_ones_own_elsewhere_is_left_out(
    reproduced: Callable[..., Written], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(manual.activations.Sigmoid, "backward", lambda self, da, z, a: da * a)
    dense = keras.layers.Dense
    model = network(dense(4, own), dense(4, "sigmoid", name="second"), dense(3))
    written = reproduced(*model, batch_size=8)
    assert written.layers == ["Dense", "Activation"]
    assert "own" not in written.source


def test_data_that_keras_refuses(tmp_path: Path) -> None:
    model, x, _ = network(keras.layers.Dense(3))
    with pytest.raises(compare.BadInput, match="fit refuses this"):
        compare.reproduce(model, x, np.zeros((7, 3)), tmp_path / "minimal.py")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "layers", "samples"),
    [
        ("Dense second: dW transposed", 2, 2),
        ("Conv images second: dW flipped", 3, 2),
        ("Conv images second: dx kernel as it is", 4, 2),
        ("LSTM: h not carried", 2, 2),
        ("LSTM: through h only, on the way back", 3, 2),
        ("GRU: the content by z", 3, 2),
        ("Adam: the bias correction", 1, 1),
        ("Adam (amsgrad True): the bias correction", 1, 1),
        ("SGD (clipnorm 0.05): the norm isn't rooted", 1, 1),
        ("SGD (momentum 0.9): Nesterov", 1, 1),
        ("batch normalization (normalized): moving_variance", 2, 3),
        ("mse: mean missing", 2, 2),
        ("mae: mean twice", 2, 2),
        ("attention: no gradient through the key", 4, 2),
        ("gaussian dropout: variance", 2, 2),
        ("PolynomialDecay: the schedule is one step", 1, 1),
        ("own step: the slots are made anew", 1, 1),
        ("metric MeanSquaredError: the sum", 1, 3),
    ],
)
def test_planted_bugs(
    name: str, layers: int, samples: int, reproduced: Callable[..., Written]
) -> None:
    with bug(name) as (model, x, y):
        written = reproduced(model, x, y, batch_size=8, shuffle=False, epochs=2)
    assert len(written.layers) <= layers
    assert len(written.data) <= samples
    if "central difference" in written.source.partition("import keras")[2]:
        written.check_slope()
