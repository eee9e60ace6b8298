"""Records: written whole or not at all, compared without TensorFlow, and read with distrust."""

from __future__ import annotations

import hashlib
import json
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from click.testing import CliRunner, Result
from keras import layers

from compare.cli import main
from compare.errors import BadInput
from compare.findings.report import Report
from compare.records import Quantity, Record, diff
from compare.records.elsewhere import written_elsewhere
from compare.records.record import sealed
from compare.records.taking import written
from compare.records.writing import RecordWriter
from compare.rounding.judge import BOUND
from compare.saved.training import Training


def small(optimizer: Any = "adam", *, rate: float = 0.0) -> keras.Model:
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(5, "tanh", name="hidden"),
            layers.BatchNormalization(name="norm"),
            layers.Dropout(rate, name="drop"),
            layers.Dense(3, "softmax", name="out"),
        ],
        name="small",
    )
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def training(model: keras.Model | None = None, seed: int = 0, steps: int = 3) -> Training:
    draw = np.random.default_rng(seed)
    x, y = draw.normal(size=(24, 4)), draw.integers(0, 3, 24)
    return Training(small() if model is None else model, x, y, None, 8, steps, "small")


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A record of the training, to be read only."""
    folder = tmp_path_factory.mktemp("records") / "a"
    written(training(), Report("", ""), folder, None, 0)
    return folder


@pytest.fixture
def taken(tmp_path: Path) -> Callable[..., Path]:
    """Take a record of a training."""

    def take(name: str, of: Training | None = None, take: Any = written, at: Any = None) -> Path:
        take(training() if of is None else of, Report("", ""), tmp_path / name, at, 0)
        return tmp_path / name

    return take


def rewritten(folder: Path, to: Path, change: Callable[[int, Quantity], Quantity | None]) -> Record:
    """Write a record again, its quantities changed; None leaves one out."""
    record = Record(folder)
    with RecordWriter(to, {**record.about, "made_by": record.about["made_by"]}) as writer:
        for step in record.steps:
            changed = (change(step, one) for one in record.quantities(step))
            writer.step(step, 1, [one for one in changed if one is not None])
    return Record(to)


def listed(folder: Path) -> list[str]:
    return sorted(one.name for one in folder.iterdir())


def command(*arguments: Any, **options: Any) -> Result:
    return CliRunner().invoke(main, [*map(str, arguments)], prog_name="python -m compare")


# ---------------------------------------------------------------------- what is in a record


def test_a_record_holds_what_every_step_computed(recorded: Path) -> None:
    record = Record(recorded)
    assert record.steps == [1, 2, 3] and record.about["dtype"] == "float32"
    assert record.about["made_by"]["keras"] == keras.__version__
    model = small()
    found = {one.key: one for one in record.quantities(1)}
    for weight, name in zip(model.get_weights()[:2], ("hidden/kernel", "hidden/bias"), strict=True):
        np.testing.assert_array_equal(found["input", name].value, weight)
    x = found["input", "x"].value
    kernel, bias = (weight.astype(np.float64) for weight in model.get_weights()[:2])
    hidden = found["activation", "hidden"]
    assert hidden.noise is not None
    off = np.abs(hidden.value - np.tanh(x @ kernel + bias))
    assert (off <= BOUND * hidden.noise).all() and off.max() > 0
    assert {phase for phase, _ in found} == {
        *("input", "activation", "loss", "activation gradient", "weight gradient"),
        *("optimizer slot", "weight", "state"),
    }
    last = {one.key: one for one in record.quantities(3)}
    assert ("metric", "loss") in last and ("metric", "accuracy") in last
    np.testing.assert_array_equal(
        {one.key: one for one in record.quantities(2)}["input", "norm/moving_mean"].value,
        found["state", "norm/moving_mean"].value,
    )
    for one in found.values():
        if one.phase != "input":
            assert one.deviation is not None and one.noise is not None
            assert (np.abs(one.deviation) <= BOUND * one.noise).all()
            assert one.distance is not None and one.distance <= BOUND


def test_only_some_steps(taken: Any, recorded: Path) -> None:
    assert Record(taken("some", at={2})).steps == [2]
    assert diff(recorded, taken("one", at={3})).compared > 30


# ---------------------------------------------------------------------- two that agree


def test_the_same_training_twice_is_the_same_to_the_last_bit(taken: Any, recorded: Path) -> None:
    result = diff(recorded, taken("b"))
    assert result.ok and result.identical == result.compared > 80
    assert result.drift == [(1, 0.0), (2, 0.0), (3, 0.0)]


def test_two_ways_of_computing_agree_within_rounding(taken: Any, recorded: Path) -> None:
    """Eagerly, as other backends are recorded, and in a graph: the last bits differ."""
    result = diff(recorded, taken("b", take=written_elsewhere))
    assert result.ok and 0 < result.identical < result.compared
    assert result.unseen == {"activation gradient", "processed gradient", "metric"}
    assert 0 < result.largest[0] <= 8
    assert 0 < result.drift[-1][1] < 1e-5
    assert "agree:" in str(result) and "not in both of them: activation gradient" in str(result)


def test_two_trainings_that_drift_apart_are_compared_exactly(
    taken: Any, recorded: Path, tmp_path: Path
) -> None:
    """From the second step on, the other one goes on from weights that are a little off."""
    odd = small()
    odd.optimizer.learning_rate = 0.00101
    other = taken("b", training(odd))
    result = diff(recorded, other)
    assert result.first is not None and result.first.step == 1
    first = [(one.step, one.phase) for one in result.divergences]
    assert first[0] == (1, "input") and "learning_rate" not in result.first.phase


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_another_backend(backend: str, tmp_path: Path) -> None:
    pytest.importorskip(backend)
    model = small()
    model.save(tmp_path / "small.keras")
    model = keras.Sequential([keras.Input((4,)), layers.Dense(5, "tanh"), layers.Dense(1)])
    model.compile("adam", "mse")
    model.save(tmp_path / "plain.keras")
    for name in ("tensorflow", backend):
        done = subprocess.run(
            [sys.executable, "-m", "compare", "record", "plain.keras", "--out", name],
            cwd=tmp_path,
            env={**os.environ, "KERAS_BACKEND": name},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
    result = diff(tmp_path / "tensorflow", tmp_path / backend)
    assert result.ok and result.compared > 60
    assert f"Keras {keras.__version__} on {backend}" in str(result)


# ---------------------------------------------------------------------- two that don't


@pytest.mark.parametrize(
    ("phase", "name"),
    [
        ("activation", "norm"),
        ("loss", "total"),
        ("activation gradient", "hidden"),
        ("weight gradient", "hidden/kernel"),
        ("optimizer slot", "hidden/kernel/velocity"),
        ("weight", "out/bias"),
        ("state", "norm/moving_mean"),
        ("metric", "accuracy"),
    ],
)
def test_the_first_wrong_number_is_found(
    phase: str, name: str, recorded: Path, tmp_path: Path
) -> None:
    """An element is off by forty times its noise, in the second of the records or the first."""
    step = 3 if phase == "metric" else 2

    def change(at: int, one: Quantity) -> Quantity:
        if at < step or one.key != (phase, name) or one.noise is None:
            return one
        off = np.zeros(one.value.shape, one.noise.dtype)
        off.flat[-1] = 40 * one.noise.flat[-1] + abs(one.value.flat[-1]) * 1e-4
        return replace(one, value=one.value + off, deviation=one.deviation + off)

    other = rewritten(recorded, tmp_path / "b", change)
    for pair, side in (((recorded, other), "B"), ((other, recorded), "A")):
        first = diff(*pair).first
        assert first is not None
        assert (first.step, first.phase, first.name) == (step, phase, name)
        assert first.distance > 8 and first.wrong.startswith(f"{side} is wrong")
        assert np.prod([index + 1 for index in first.index], dtype=int) == first.size


def test_data_and_weights_that_are_not_the_same(taken: Any, recorded: Path) -> None:
    first = diff(recorded, taken("b", training(seed=1))).first
    assert first is not None and (first.step, first.phase, first.name) == (1, "input", "x")
    assert "NOT THE SAME" in str(first) and "not given the same" in str(first)
    other = small()
    other.set_weights([weight + 1 for weight in other.get_weights()])
    first = diff(taken("c"), taken("d", training(other))).first
    assert first is not None and (first.phase, first.name) == ("input", "hidden/kernel")


def test_what_is_drawn_is_part_of_what_is_given(taken: Any) -> None:
    keras.utils.set_random_seed(0)
    one = taken("a", training(small(rate=0.5)))
    first = diff(one, taken("b", training(small(rate=0.5)))).first
    assert first is None
    other = small(rate=0.5)
    other.layers[2].seed_generator.state.assign([5, 7])
    first = diff(one, taken("c", training(other))).first
    assert first is not None and first.name.endswith(" drawn") and first.phase == "input"


def test_a_number_on_one_side_only_diverges(recorded: Path, tmp_path: Path) -> None:
    def change(at: int, one: Quantity) -> Quantity:
        return replace(one, value=one.value * np.nan) if one.phase == "loss" else one

    first = diff(recorded, rewritten(recorded, tmp_path / "b", change)).first
    assert first is not None and first.phase == "loss" and first.distance == np.inf


def test_a_record_without_noise_borrows_the_other_s(recorded: Path, tmp_path: Path) -> None:
    """As somebody else's program may write it: the numbers alone."""

    def bare(at: int, one: Quantity) -> Quantity:
        return replace(one, deviation=None, noise=None, distance=None)

    def bare_and_wrong(at: int, one: Quantity) -> Quantity:
        one = bare(at, one)
        return replace(one, value=one.value * 1.01) if one.phase == "weight gradient" else one

    assert diff(recorded, rewritten(recorded, tmp_path / "b", bare)).ok
    first = diff(recorded, rewritten(recorded, tmp_path / "c", bare_and_wrong)).first
    assert first is not None and first.phase == "weight gradient" and "no derivation" in first.wrong
    result = diff(tmp_path / "b", tmp_path / "c")
    assert result.ok and result.undecided > 0


def test_what_each_side_computes_as_derived_is_no_fault_of_either(
    recorded: Path, tmp_path: Path
) -> None:
    """As of Adam's memory of a table, in which TensorFlow squares each occurrence by itself."""

    def other_rule(at: int, one: Quantity) -> Quantity:
        velocity = one.phase == "optimizer slot" and one.name.endswith("/velocity")
        return replace(one, value=one.value / 2) if velocity else one

    first = diff(recorded, rewritten(recorded, tmp_path / "b", other_rule)).first
    assert first is not None and first.name.endswith("/velocity")
    assert first.wrong.startswith("the two compute different things, each as derived for it")


@pytest.mark.parametrize("rate", [0.0, 0.5])
def test_what_draws_at_random_is_refused_elsewhere(rate: float, tmp_path: Path) -> None:
    of = training(small(rate=rate))
    if not rate:
        written_elsewhere(of, Report("", ""), tmp_path / "a", None, 0)
        return
    with pytest.raises(BadInput, match="draws random numbers, which can't be read from tensorflow"):
        written_elsewhere(of, Report("", ""), tmp_path / "a", None, 0)
    assert listed(tmp_path) == []


# ---------------------------------------------------------------------- the commands


def test_the_commands(tmp_path: Path) -> None:
    small().save(tmp_path / "small.keras")
    for name in "ab":
        done = command("record", tmp_path / "small.keras", "--out", tmp_path / name, "--steps", 2)
        assert done.exit_code == 0, done.output
        assert done.output.splitlines()[-1] == f"written: {tmp_path / name}"
    done = command("diff", tmp_path / "a", tmp_path / "b", "--json", tmp_path / "out.json")
    assert done.exit_code == 0, done.output
    assert json.loads((tmp_path / "out.json").read_text())["ok"] is True

    def wrong(at: int, one: Quantity) -> Quantity:
        return replace(one, value=one.value + 1) if one.phase == "weight" else one

    rewritten(tmp_path / "a", tmp_path / "c", wrong)
    done = command("diff", tmp_path / "a", tmp_path / "c")
    assert done.exit_code == 1 and "DIVERGES" in done.output
    assert max(map(len, done.output.splitlines())) <= 80 + len(str(tmp_path))


def test_a_worked_example(tmp_path: Path) -> None:
    done = command("record", "mazur", "--out", tmp_path / "a", "--steps", 2, "--at", 2)
    assert done.exit_code == 0, done.output
    assert Record(tmp_path / "a").steps == [2]


def test_diff_needs_no_tensorflow(recorded: Path) -> None:
    code = (
        "import sys, compare; from compare.cli import main\n"
        f"print(compare.diff({str(recorded)!r}, {str(recorded)!r}).ok)\n"
        "try: main(['diff', sys.argv[1], sys.argv[1]])\n"
        "except SystemExit: pass\n"
        "print([m for m in ('keras', 'tensorflow') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(recorded)], capture_output=True, text=True, check=True
    )
    lines = done.stdout.splitlines()
    assert lines[0] == "True" and lines[-1] == "[]"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["record", "nothing", "--out", "a"], "neither a .keras file nor a worked example"),
        (["record", "mazur", "--out", "a", "--at", "5"], "--at names step 5, but --steps is 3"),
        (["record", "mazur", "--out", "a", "--at", "x"], "'x' are no numbers of steps"),
        (["record", "mazur", "--out", "a", "--data", "x.npz"], "has data of its own"),
        (["record", "mazur", "--out", "none/a"], "doesn't exist: create it"),
        (["record", "mazur", "--out", "taken"], "exists already: records are not overwritten"),
        (["diff", "taken", "taken"], "There is no record in 'taken': it has no manifest.json."),
    ],
)
def test_refusals(
    arguments: list[str], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "other").write_text("")
    done = command(*arguments)
    assert done.exit_code == 2 and told in " ".join(done.output.split())
    assert listed(tmp_path) == ["taken"]


# ---------------------------------------------------------------------- damaged, edited, mismatched


def test_damage_is_noticed(recorded: Path, tmp_path: Path) -> None:

    def refused(change: Callable[[Path], Any]) -> str:
        copy = tmp_path / "copy"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(recorded, copy)
        change(copy)
        with pytest.raises(BadInput) as caught:
            diff(recorded, copy)
        return str(caught.value)

    def edit(copy: Path, **changes: Any) -> None:
        manifest = {**json.loads((copy / "manifest.json").read_text()), **changes}
        manifest["sha256"] = sealed(manifest)
        (copy / "manifest.json").write_text(json.dumps(manifest))

    steps = json.loads((recorded / "manifest.json").read_text())["steps"]
    file = "step-2.npz"
    assert "step-2.npz is gone" in refused(lambda copy: (copy / file).unlink())
    assert "damaged or edited: step-2.npz" in refused(
        lambda copy: (copy / file).write_bytes((recorded / file).read_bytes()[:-1])
    )
    assert "its manifest.json doesn't add up" in refused(
        lambda copy: (copy / "manifest.json").write_text(
            (recorded / "manifest.json").read_text().replace('"seed": 0', '"seed": 1')
        )
    )
    assert "is no JSON" in refused(lambda copy: (copy / "manifest.json").write_text("{"))
    assert "not the manifest of a record" in refused(lambda copy: edit(copy, format="else"))
    assert "has version 2 of the format" in refused(lambda copy: edit(copy, version=2))
    assert "doesn't say what it should" in refused(
        lambda copy: edit(copy, steps=[{**steps[0], "file": "../../etc/passwd"}])
    )
    assert "doesn't say what it should" in refused(lambda copy: edit(copy, steps=[{}]))
    assert "no step in common" in refused(lambda copy: edit(copy, steps=[]))
    wide = [{**one, "shape": [9]} for one in steps[0]["quantities"]]
    assert "has another shape than the manifest says" in refused(
        lambda copy: edit(copy, steps=[{**steps[0], "quantities": wide}])
    )


def test_records_of_different_things_are_refused(
    taken: Any, recorded: Path, tmp_path: Path
) -> None:
    with pytest.raises(BadInput, match=r"only the first has input · hidden/kernel/momentum"):
        diff(recorded, taken("b", training(small("sgd"))))
    of = training()
    of.batch_size = 12
    with pytest.raises(BadInput, match=r"input · x has the shape \(8, 4\) in the first and \(12"):
        diff(recorded, taken("c", of))


def test_pickled_arrays_are_not_read(taken: Any) -> None:
    folder = taken("a", at={1})
    record = Record(folder)
    np.savez(folder / "step-1.npz", **{"0/value": np.array([{}], object)})
    manifest = json.loads((folder / "manifest.json").read_text())
    digest = hashlib.sha256((folder / "step-1.npz").read_bytes()).hexdigest()
    manifest["steps"][0]["sha256"] = digest
    manifest["sha256"] = sealed(manifest)
    (folder / "manifest.json").write_text(json.dumps(manifest))
    assert record.steps == [1]
    with pytest.raises(BadInput, match="can't be read: Object arrays cannot be loaded"):
        diff(folder, folder)


# ---------------------------------------------------------------------- whole or not at all


def test_an_error_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), RecordWriter(tmp_path / "a", {"made_by": {}}) as writer:
        writer.step(1, 1, [Quantity("input", "x", "", np.ones(3))])
        assert len([*tmp_path.iterdir()]) == 1
        raise KeyboardInterrupt
    assert not [*tmp_path.iterdir()]


def test_two_that_write_to_one_place_do_not_mix(tmp_path: Path) -> None:
    place, about = tmp_path / "a", {"made_by": {}}
    with pytest.raises(BadInput, match="can't be written"), RecordWriter(place, about) as late:
        with RecordWriter(place, about) as early:
            early.step(1, 1, [Quantity("input", "x", "", np.ones(3))])
        late.step(1, 1, [Quantity("input", "x", "", np.zeros(3))])
    (one,) = Record(place).quantities(1)
    np.testing.assert_array_equal(one.value, np.ones(3))
    assert listed(tmp_path) == ["a"]


def test_a_disk_that_is_full_is_told(tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        with (
            pytest.raises(BadInput, match="can't be written: File too large"),
            RecordWriter(tmp_path / "a", {"made_by": {}}) as writer,
        ):
            writer.step(1, 1, [Quantity("input", "x", "", np.ones(10_000))])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not [*tmp_path.iterdir()]


def test_hostile_names_stay_inside_the_record(tmp_path: Path) -> None:
    names = ["../../outside", "/etc/passwd", "a\nb", "n" * 5000, "\0", "ü’\ud800"]
    with RecordWriter(tmp_path / "a", {"made_by": {}}) as writer:
        writer.step(1, 1, [Quantity("input", name, "", np.ones(2)) for name in names])
    assert [one.name for one in Record(tmp_path / "a").quantities(1)] == names
    assert listed(tmp_path / "a") == ["manifest.json", "step-1.npz"]
    assert listed(tmp_path) == ["a"]
