"""``python -m compare model``: saved models, data in files, and everything that can be wrong."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import keras
import numpy as np
import pytest
from click.testing import CliRunner, Result
from keras import layers

import manual
from compare.cli import main
from compare.saved import drawn_data, loaded_model, read_data
from keras_models.precision import precision

DRAW = np.random.default_rng(0)
X, CLASSES = DRAW.normal(size=(70, 4)), DRAW.integers(0, 3, 70)


def classifier(optimizer: Any = "adam") -> keras.Model:
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(5, "tanh", name="hidden"),
            layers.Dense(3, "softmax", name="out"),
        ],
        name="small",
    )
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def forked() -> keras.Model:
    keras.utils.set_random_seed(0)
    left, right = keras.Input((4,), name="left"), keras.Input((6,), name="right", dtype="int32")
    tokens = layers.Embedding(9, 4, name="tokens")(right)
    both = layers.add([layers.Dense(4)(left), layers.GlobalAveragePooling1D()(tokens)])
    outputs = [layers.Dense(1, name="size")(both), layers.Dense(2, name="kind")(both)]
    model = keras.Model({"left": left, "right": right}, outputs, name="forked")
    entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("sgd", ["mse", entropy], loss_weights=[1.0, 0.5])
    return model


@pytest.fixture
def saved(tmp_path: Path) -> Callable[[keras.Model], Path]:
    def save(model: keras.Model) -> Path:
        path = tmp_path / f"{model.name}.keras"
        model.save(path)
        return path

    return save


def compared(*arguments: Any) -> Result:
    told = ["model", *map(str, arguments)]
    return CliRunner().invoke(main, told, prog_name="python -m compare")


def refused(*arguments: Any) -> str:
    result = compared(*arguments)
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output
    message = [line for line in result.output.splitlines() if line.startswith("Error: ")]
    assert len(message) == 1
    return message[0].removeprefix("Error: ")


# ---------------------------------------------------------------------- data


def test_a_model_and_its_data(saved: Any, tmp_path: Path) -> None:
    path = saved(classifier())
    np.savez(tmp_path / "data.npz", x=X, y=CLASSES)
    result = compared(path, "--data", tmp_path / "data.npz", "--steps", 3, "--batch-size", 16)
    assert result.exit_code == 0, result.output
    shown = " ".join(result.output.split())
    assert "small.keras: small, 43 weights agrees:" in shown
    assert "compared in 3 of the 5 batches" in shown
    assert max(map(len, result.output.splitlines())) <= 80


def test_the_ways_of_giving_data_are_the_same(saved: Any, tmp_path: Path) -> None:
    path, given = saved(classifier()), {"x": X, "y": CLASSES}
    np.savez(tmp_path / "data.npz", **given)
    for name, array in given.items():
        np.save(tmp_path / f"{name}.npy", array)
    rows = [",".join([*map(repr, row.tolist()), str(c)]) for row, c in zip(X, CLASSES, strict=True)]
    (tmp_path / "data.csv").write_text("a,b,c,d,class\n" + "\n".join(rows) + "\n\n")
    with loaded_model(path) as model:
        for files in (["data.npz"], ["x.npy", "y.npy"], ["data.csv"]):
            x, y, weight = read_data([tmp_path / one for one in files], model)
            np.testing.assert_array_equal(x, X)
            np.testing.assert_array_equal(np.ravel(y), CLASSES)
            assert weight is None


def test_several_inputs_and_outputs_have_names(saved: Any, tmp_path: Path) -> None:
    path = saved(forked())
    given = {
        "x_right": DRAW.integers(0, 9, (20, 6)),
        "x_left": DRAW.normal(size=(20, 4)),
        "y_kind": DRAW.integers(0, 2, 20),
        "y_size": DRAW.normal(size=(20, 1)),
        "sample_weight": DRAW.uniform(size=20),
    }
    np.savez(tmp_path / "data.npz", **given)
    with loaded_model(path) as model:
        x, y, weight = read_data([tmp_path / "data.npz"], model)
        np.testing.assert_array_equal(x["left"], given["x_left"])
        np.testing.assert_array_equal(y[1], given["y_kind"])
        np.testing.assert_array_equal(weight, given["sample_weight"])
    assert compared(path, "--data", tmp_path / "data.npz").exit_code == 0
    del given["y_kind"]
    np.savez(tmp_path / "data.npz", **given)
    assert refused(path, "--data", tmp_path / "data.npz") == (
        f"'{tmp_path}/data.npz' has no array 'y_kind': for 'forked' it takes x_left, x_right, "
        "y_size, y_kind and, if wanted, sample_weight. Received: x_right, x_left, y_size, "
        "sample_weight."
    )
    np.save(tmp_path / "x.npy", X)
    told = refused(path, "--data", tmp_path / "x.npy", "--data", tmp_path / "x.npy")
    assert told.startswith("Two .npy files can't tell the 2 inputs and 2 outputs of 'forked' apart")


@pytest.mark.parametrize(
    ("loss", "units", "told"),
    [
        ("mse", 3, "(10, 3) from 0 to 1"),
        ("sparse_categorical_crossentropy", 3, "(10,) classes 0 to 2"),
        ("categorical_crossentropy", 3, "(10, 3) one of 3 classes"),
        ("binary_crossentropy", 1, "(10, 1) 0 or 1"),
        ("hinge", 2, "(10, 2) 0 or 1"),
        ("circle", 3, "(10,) classes 0 and 1"),
    ],
)
def test_random_data_is_what_the_loss_takes(loss: str, units: int, told: str) -> None:
    model = keras.Sequential([keras.Input((2,)), layers.Dense(units, "sigmoid")])
    model.compile("sgd", loss)
    (x, y, weight), what = drawn_data(model, 10)
    assert what.endswith(f"y {told}")
    assert x.shape == (10, 2) and weight is None and abs(x.mean()) < 1
    assert len(np.unique(y)) > 1
    again, _ = drawn_data(model, 10)
    np.testing.assert_array_equal(again[0], x)


def test_random_inputs_are_whole_numbers_where_a_layer_takes_these() -> None:
    (x, y, _), what = drawn_data(forked(), 50)
    assert x["right"].min() == 0 and x["right"].max() == 8 and x["right"].dtype.kind == "i"
    assert x["left"].dtype.kind == "f" and sorted(np.unique(y[1])) == [0, 1]
    assert "right (50, 6) below 9" in what
    floats = keras.Sequential(
        [keras.Input((6,)), layers.Reshape((2, 3)), layers.Embedding(4, 2), layers.Flatten()]
    )
    floats.compile("sgd", "mse")
    (x, _, _), _ = drawn_data(floats, 50)
    assert sorted(np.unique(x)) == [0, 1, 2, 3]


def test_sizes_that_are_left_open_are_drawn(saved: Any) -> None:
    model = keras.Sequential(
        [keras.Input((None, None, 2)), layers.Conv2D(2, 3), layers.GlobalMaxPooling2D()], name="any"
    )
    model.compile("sgd", "mse")
    result = compared(saved(model), "--steps", 1, "--batch-size", 2)
    assert result.exit_code == 0, result.output
    assert "(2, 16, 16, 2) normal" in " ".join(result.output.split())


# ---------------------------------------------------------------------- precision


def test_a_model_in_another_precision(saved: Any, tmp_path: Path) -> None:
    trained = classifier()
    trained.fit(X, CLASSES, verbose=0)  # its optimizer's slots travel, too
    path = saved(trained)
    with loaded_model(path, "float64") as model:
        assert {one.dtype for one in model.weights} == {"float64"}
        assert model.optimizer.iterations == 3
        pairs = zip(model.optimizer.variables[2:], trained.optimizer.variables[2:], strict=True)
        for mine, theirs in pairs:
            assert mine.dtype == "float64"
            np.testing.assert_array_equal(mine, theirs)
        np.testing.assert_array_equal(model.get_weights()[0], trained.get_weights()[0])
    assert keras.config.floatx() == "float32"
    result = compared(path, "--dtype", "float64", "--json", tmp_path / "report.json")
    assert result.exit_code == 0, result.output
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["dtype"] == "float64" and report["ok"] and report["steps"] == 5
    assert report["notes"][0].startswith("trained on random data, since none is given")


def test_a_model_saved_in_float64_is_compared_in_float64(saved: Any, tmp_path: Path) -> None:
    with precision("float64"):
        path = saved(classifier())
    result = compared(path, "--json", tmp_path / "report.json", "--steps", 1)
    assert result.exit_code == 0, result.output
    assert json.loads((tmp_path / "report.json").read_text())["dtype"] == "float64"


# ---------------------------------------------------------------------- what is wrong


def test_a_difference_ends_with_1_and_is_in_every_file(
    saved: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = saved(classifier())
    monkeypatch.setattr(manual.activations.Tanh, "backward", lambda self, da, z, a: da * (1 - a))
    xml = tmp_path / "report.xml"
    result = compared(path, "--junit", xml, "--steps", 2, "--batch-size", 8)
    assert result.exit_code == 1, result.output
    assert "cause: 1 − a stands for the derivative" in result.output
    reproduce = f"python -m compare model {path} --batch-size 8 --steps 1"
    assert f"reproduce: {reproduce}" in " ".join(result.output.split())
    suite = ElementTree.parse(xml).getroot()
    cases = suite.findall("testcase")
    failed = [case for case in cases if case.find("failure") is not None]
    assert suite.get("tests") == str(len(cases)) and suite.get("failures") == str(len(failed))
    assert 0 < len(failed) < len(cases)
    first = next(one for one in failed if "hidden/pre_activation" in str(one.get("name")))
    failure = first.find("failure")
    assert failure is not None and "DISAGREES" in str(failure.text)


@pytest.mark.slow
def test_a_difference_is_reproduced(
    saved: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, script = saved(classifier()), tmp_path / "minimal.py"
    told = path, "--reproduce", script, "--steps", 1
    result = compared(*told)
    assert result.exit_code == 0 and "nothing to reproduce" in result.output
    assert not script.exists()
    monkeypatch.setattr(manual.activations.Tanh, "backward", lambda self, da, z, a: da * (1 - a))
    result = compared(*told)
    assert result.exit_code == 1 and "with nothing but Keras and NumPy" in result.output
    text = script.read_text()
    assert "cause: 1 − a stands for the derivative" in text and "central difference" in text


def test_what_is_carried_is_skipped_or_refused(saved: Any, tmp_path: Path) -> None:
    model = keras.Sequential(
        [keras.Input((4,)), layers.Hashing(3), layers.Embedding(3, 2), layers.Flatten()], name="odd"
    )
    model.compile("sgd", "mse")
    path, xml = saved(model), tmp_path / "report.xml"
    result = compared(path, "--junit", xml, "--steps", 1)
    assert result.exit_code == 0, result.output
    suite = ElementTree.parse(xml).getroot()
    assert suite.get("skipped") == "1" and suite.find("testcase/skipped") is not None
    assert "Hashing" in refused(path, "--strict")


class Mine(layers.Layer):
    def call(self, x: Any) -> Any:
        return x


def test_code_of_ones_own_is_not_in_a_file(saved: Any) -> None:
    model = keras.Sequential([keras.Input((4,)), Mine(), layers.Dense(1)], name="own")
    model.compile("sgd", "mse")
    told = refused(saved(model))
    assert "holds 'Mine', a class of your own" in told and "compare.lockstep(model, x, y)" in told
    model = keras.Sequential([keras.Input((4,)), layers.Lambda(lambda x: x), layers.Dense(1)])
    model.compile("sgd", "mse")
    assert "holds a Lambda, whose code would have to be taken from the file" in refused(
        saved(model)
    )


def test_files_that_hold_no_model(tmp_path: Path, saved: Any) -> None:
    path = tmp_path / "none.keras"
    assert refused(path) == f"There is no file '{path}'."
    assert "is no .keras file" in refused(tmp_path)
    path.write_text("nothing")
    assert "can't be loaded as a Keras model: File is not a zip file." in refused(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", "[]")
    assert "is damaged: its config.json describes no model" in refused(path)
    plain = keras.Sequential([keras.Input((4,)), layers.Dense(1)], name="plain")
    assert "isn't compiled" in refused(saved(plain))


def test_data_that_cannot_be_read(tmp_path: Path, saved: Any) -> None:
    path, data = saved(classifier()), tmp_path / "data.npz"
    assert refused(path, "--data", data) == f"There is no file '{data}'."
    np.savez(data, x=np.array([{}], object), y=X)
    assert "holds pickled objects, which could run any code" in refused(path, "--data", data)
    np.savez(data, x=X, z=X)
    assert "has no array 'y'" in refused(path, "--data", data)
    data.write_bytes(data.read_bytes()[:-30])
    assert "can't be read" in refused(path, "--data", data)
    table = tmp_path / "data.csv"
    for text, told in (
        ("", "holds no samples"),
        ("a,b\n", "holds no samples"),
        ("1,2\n", "has 2 columns: 'small' takes 4"),
        ("1,2,3,4,0\n1,2\n", "Line 2 of"),
        ("1,2,3,4,0\n1,2,x,4,0\n", "holds 'x', which is no number"),
        ("1,2,3,4,9\n", "Class numbers must be whole numbers from 0 to 2"),
        ("1,2,3,nan,1\n", "not finite"),
    ):
        table.write_text(text)
        assert told in refused(path, "--data", table)
    assert "Data comes as one .npz file" in refused(path, "--data", table, "--data", data)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_to(saved: Any, tmp_path: Path) -> None:
    path = saved(classifier())
    folder = tmp_path / "closed"
    folder.mkdir(mode=0o500)
    assert "for --junit can't be written to" in refused(path, "--junit", folder / "report.xml")


def test_a_crash_is_no_verdict(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def broken(*_: Any) -> None:
        raise RuntimeError("of our own making")

    monkeypatch.setattr("compare.saved.training.loaded_model", broken)
    result = compared(tmp_path / "any.keras")
    assert result.exit_code == 70
    assert "a defect of Keras Lockstep, please report it: RuntimeError: of our" in result.output
