"""What of Keras has a twin: read from Keras, the registry and the record, and from no list."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import keras
import pytest
from click.testing import CliRunner, Result

from compare.cli import main
from compare.coverage import Entry, as_page, coverage
from compare.coverage.entries import ROOT
from compare.coverage.public import PLURALS, options
from compare.coverage.record import swept
from compare.rounding.judge import BOUND
from manual import registry
from manual.layers import Layer
from manual.registry import twins


def by_name(kind: str = "layer") -> dict[str, Entry]:
    return {entry.name: entry for entry in coverage() if entry.kind == kind}


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["coverage", *arguments], prog_name="python -m compare")


def test_a_twin_is_found_with_its_line_and_its_options() -> None:
    dense = by_name()["Dense"]
    assert dense.twin == "manual/layers/core.py"
    line = (ROOT / dense.twin).read_text("utf-8").splitlines()[dense.line - 1]
    assert line == '@twin_of("Dense")'
    understood = {one.name: one.understood for one in dense.options}
    assert understood["units"] and understood["use_bias"] and understood["kernel_constraint"]
    assert {"name", "dtype", "kernel_initializer", "lora_rank"}.isdisjoint(understood)


def test_every_kind_is_walked() -> None:
    kinds = {entry.kind for entry in coverage()}
    assert kinds >= {"layer", "activation", "loss", "optimizer", "schedule", "metric"}
    for kind, name in (
        ("activation", "gelu"),
        ("loss", "Huber"),
        ("optimizer", "Adam"),
        ("schedule", "CosineDecay"),
        ("regularizer", "L1L2"),
        ("constraint", "MaxNorm"),
        ("metric", "BinaryAccuracy"),
    ):
        entry = by_name(kind)[name]
        assert entry.twin and not entry.missing, entry
    assert all("Keras" not in name for name in by_name())  # a class under one name, and its own


def test_what_no_gradient_passes_is_left_out_and_said() -> None:
    layers = by_name()
    assert layers["Wrapper"].left_out == "has no map of its own"
    assert layers["TFSMLayer"].left_out == "computed by another framework"
    assert layers["RandomFlip"].left_out == "prepares data before they reach a network"
    assert not layers["Rescaling"].left_out  # it has a twin
    assert not layers["Lambda"].left_out


def test_a_new_twin_appears_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_twins", dict(registry._twins))
    monkeypatch.delitem(registry._twins, ("layer", "Dropout"))
    assert not by_name()["Dropout"].twin

    @registry.twin_of("Dropout")
    class Forgetful(Layer):
        def __init__(self, rate: float, **options: Any) -> None:
            super().__init__(**options)

    found = by_name()["Dropout"]
    assert found.twin.endswith("test_coverage.py")
    assert "noise_shape" in found.missing and "rate" not in found.missing


def test_options_that_a_class_fills_in_or_doesnt_write_are_none() -> None:
    assert {"rank", "groups"} & set(options(keras.layers.Conv2D)) == {"groups"}
    assert "pool_mode" not in options(keras.layers.MaxPooling2D)
    assert "use_cudnn" not in options(keras.layers.GRU)
    assert options(keras.activations.relu) == ["negative_slope", "max_value", "threshold"]


def test_what_another_way_of_making_it_takes_is_understood() -> None:
    """A Lambda's function by its own way; what an outer optimizer is told to do, it does not."""
    understood = {one.name: one.understood for one in by_name()["Lambda"].options}
    assert all(understood.values())
    names = {one.name for one in by_name("optimizer")["LossScaleOptimizer"].options}
    assert names == {"inner_optimizer", "initial_scale", "dynamic_growth_steps"}
    assert by_name()["InputLayer"].left_out == "has no map of its own"


@pytest.mark.parametrize("kind", list(PLURALS))
def test_the_record_is_of_what_agrees(kind: str) -> None:
    record = swept()[kind]
    assert set(record) <= set(twins(kind))
    for name, one in record.items():
        assert one["configurations"] > 0, name
        assert all(0.0 <= far <= BOUND for far in one["largest"].values()), name
        for option in one["options"].values():
            assert option.get("derived", 0) <= option["values"], name
            for precision, far in option["largest"].items():
                assert far <= one["largest"][precision], name


def test_the_record_of_layers() -> None:
    record = swept()["layer"]
    assert sum(one["configurations"] for one in record.values()) > 1300
    assert all(one["derivatives"] > 0 for one in record.values())
    assert record["Conv2D"]["options"]["padding"]["values"] == 2


def test_the_page_is_up_to_date() -> None:
    page = (ROOT / "docs" / "coverage.md").read_text("utf-8")
    assert page == as_page(coverage()) + "\n", (
        "docs/coverage.md is not what the registry and the record say: "
        "python -m compare coverage --out docs"
    )


def test_the_command(tmp_path: Path) -> None:
    shown = invoke()
    assert shown.exit_code == 0
    assert max(len(line) for line in shown.output.splitlines()) <= 80
    assert "layers/core.py:" in shown.output
    missing = invoke("--missing").output
    assert "Cholesky" in missing and " layers/pooling.py" not in missing.split("refuse")[-1]
    told = json.loads(invoke("--json").output)["entries"]
    assert [one["name"] for one in told] == [entry.name for entry in coverage()]
    assert invoke("--json", str(tmp_path / "coverage.json"), "--missing").exit_code == 0
    few = json.loads((tmp_path / "coverage.json").read_text("utf-8"))["entries"]
    assert 0 < len(few) < len(told)
    assert invoke("--out", str(tmp_path)).exit_code == 0
    assert (tmp_path / "coverage.md").read_text("utf-8") == as_page(coverage()) + "\n"
    assert invoke("--out", str(tmp_path / "nowhere")).exit_code == 2
