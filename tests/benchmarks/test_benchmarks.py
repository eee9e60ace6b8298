"""The benchmark: all contenders compute the same, one that doesn't is named; bad input."""

from __future__ import annotations

import dataclasses
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from benchmarks.agreement import Differs, bound, check
from benchmarks.cli import main
from benchmarks.contenders import CONTENDERS, HAND, by_hand, inlined
from benchmarks.contenders.keras_ways import Fit, Tape
from benchmarks.measures.gather import MEASURES as TAKEN
from benchmarks.networks import NETWORKS
from benchmarks.plan import MEASURES, Asked, planned
from benchmarks.pool import Worker, WorkerFailed
from benchmarks.problem import CHECKED, Problem, drawn
from benchmarks.race import Row, Spread
from benchmarks.results import Results
from benchmarks.tables import duration
from benchmarks.targets import BESIDE_FIT, targets


def small(optimizer: str = "SGD", dtype: str = "float32", network: str = "2-3-1") -> Problem:
    return drawn(dataclasses.replace(NETWORKS[network], batches=CHECKED), optimizer, dtype)


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments, prog_name="python -m benchmarks")


@pytest.mark.parametrize(
    ("precision", "optimizer"), [("float32", "SGD"), ("float64", "Adam")], indirect=["precision"]
)
def test_the_contenders_compute_the_same_losses(precision: str, optimizer: str) -> None:
    problem = small(optimizer, precision)
    contenders = {HAND: by_hand.ByHand(problem), "keras": Fit(problem), "tape": Tape(problem)}
    if optimizer == "SGD":
        contenders["inlined"] = inlined.Inlined(problem)  # type: ignore[assignment]
    losses = {name: contender.losses(CHECKED) for name, contender in contenders.items()}
    check(problem, losses)
    assert len(set(losses[HAND])) == CHECKED
    for contender in contenders.values():
        assert contender.burst(1) > 0
    again = {name: contender.losses(CHECKED) for name, contender in contenders.items()}
    assert again == losses  # each burst starts from the first weights


@pytest.mark.parametrize("network", inlined.STEPS)
def test_the_loop_computes_what_the_network_does(network: str) -> None:
    problem = small("SGD", "float64", network)
    loop, twin = inlined.Inlined(problem), by_hand.ByHand(problem)
    check(problem, {"inlined": loop.losses(3), HAND: twin.losses(3)})


def test_a_wrong_contender_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = small("SGD", "float64")

    def no_bias(weights: list[Any], x: Any, y: Any, rate: float) -> float:
        weights[3] = 0.0 * weights[3]
        return inlined.two_sigmoid_layers(weights, x, y, rate)

    right = by_hand.ByHand(problem).losses(CHECKED)
    monkeypatch.setitem(inlined.STEPS, "2-3-1", no_bias)
    wrong = inlined.Inlined(problem).losses(CHECKED)
    losses = {HAND: right, "keras": right, "inlined": wrong}
    with pytest.raises(Differs, match=r"2-3-1, SGD, float64: the loss of step 1 .* in inlined \("):
        check(problem, losses)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_loss_that_is_a_little_further_off_than_rounding_is_seen(dtype: str) -> None:
    problem = small("SGD", dtype, "digits")
    off = bound(problem, 0, 2.0)
    check(problem, {"a": [2.0], "b": [2.0], "c": [2.0 + 0.9 * off]})
    for wrong in (2.0 + 1.1 * off, 2.0 - 1.1 * off, np.nan):
        with pytest.raises(Differs, match="in c "):
            check(problem, {"a": [2.0], "b": [2.0], "c": [wrong]})
    assert off < (1e-4 if dtype == "float32" else 1e-12)


def test_a_problem_is_the_same_behind_its_file(tmp_path: Path) -> None:
    problem = drawn(NETWORKS["2-2-2"], "Adam", "float32")
    problem.save(tmp_path / "problem.npz")
    loaded = Problem.load(tmp_path / "problem.npz")
    assert loaded.architecture is problem.architecture
    assert (loaded.optimizer, loaded.dtype) == ("Adam", "float32")
    np.testing.assert_array_equal(loaded.x, problem.x)
    assert list(loaded.weights) == list(problem.weights)
    assert all(np.array_equal(loaded.weights[name], w) for name, w in problem.weights.items())


def test_a_wrong_contender_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    right = Worker.greet

    def greet(self: Worker) -> None:
        right(self)
        if self.contender == "inlined":
            self.hello["losses"][2] += 1e-3

    monkeypatch.setattr(Worker, "greet", greet)
    done = invoke("--only", "2-2-2", "--contender", "inlined", "--dtype", "float32")
    assert done.exit_code == 1
    assert "Error: 2-2-2, SGD, float32: the loss of step 3 differs by more than" in done.output
    assert re.search(r"in manual \([\d.]+\) and inlined \([\d.]+\)", done.output)  # one of the two


def test_a_worker_that_fails_is_told_of() -> None:
    worker = Worker("inlined", Path("nowhere.npz"))
    try:
        with pytest.raises(
            WorkerFailed, match=r"inlined failed: FileNotFoundError: .*nowhere\.npz"
        ):
            worker.greet()
    finally:
        worker.close()


def test_ratios_and_targets() -> None:
    row = Row("wide", "SGD", "float32", flops=1e9)
    row.seconds = {HAND: [1.0, 2.0, 3.0], "keras": [2.0, 2.0, 2.0], "products": [0.5, 1.5, 2.0]}
    assert row.ratio("keras") == Spread(1.0, 0.75, 1.25)
    told = {target.what: target for target in targets(Results({}, [row]))}
    assert set(told) == {"÷ Keras fit: wide", "of the machine's GEMM rate: wide"}
    assert not told["÷ Keras fit: wide"].reached
    share = told["of the machine's GEMM rate: wide"]
    assert share.measured == {"wide · SGD · float32": pytest.approx(200 / 3)}
    assert not share.reached
    measures = {"memory": {"held": [[1, 5.0], [2, 6.0], [3, 6.0], [4, 6.5]], "weights": 0.25}}
    (memory,) = targets(Results({}, measures=measures))
    assert memory.measured == {"": 256.0}  # (6.5 − 6) MiB in 2 steps
    assert memory.reached


def test_the_tables_belong_together() -> None:
    assert set(BESIDE_FIT) == set(NETWORKS)
    assert set(MEASURES) == set(TAKEN)
    assert set(inlined.STEPS) == {name for name, one in NETWORKS.items() if one.is_dense}
    rows = planned(Asked())
    assert {row.network for row in rows} == set(NETWORKS)
    every = planned(Asked(everything=True))
    assert len(every) == 4 * len(NETWORKS)
    assert {name for row in every for name in row.contenders} == set(CONTENDERS)
    (one,) = planned(Asked(("lstm",), ("torch",)))
    assert one.contenders == (HAND, "torch")


def test_durations() -> None:
    assert [duration(s) for s in (123.4, 1.5, 0.0123, 4.2e-5, 2e-8)] == [
        "123 s",
        "1.5 s",
        "12.3 ms",
        "42 µs",
        "0.02 µs",
    ]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--only", "lstn"], "there is no network 'lstn'. Did you mean lstm?"),
        (["--contender", "pytorch"], "there is no contender 'pytorch'. Did you mean torch?"),
        (["--rounds", "0"], "0 is not in the range x>=1"),
        (["--dtype", "float16"], "'float16' is not one of"),
        (["--only", "cnn", "--contender", "jax"], "jax isn't timed on cnn with SGD: dense"),
        (["--only", "2-2-2", "--contender", "manual"], "Nothing stands beside manual"),
        (["--json", "nowhere/at/all.json"], "'nowhere/at' for --json doesn't exist"),
        (["--out", "nowhere"], "'nowhere' for --out doesn't exist"),
    ],
)
def test_bad_input(arguments: list[str], told: str) -> None:
    done = invoke(*arguments)
    assert done.exit_code == 2
    assert told in " ".join(done.output.split())
    assert "Traceback" not in done.output


def test_a_run_as_a_user_sees_it(tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    chosen = ["--only", "2-2-2", "--contender", "inlined", "--dtype", "float32"]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", *chosen, "--rounds", "2", "--json", str(file)],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert max(len(line) for line in done.stdout.splitlines()) <= 80
    assert "2-2-2 · SGD · float32: 2-2-2, sigmoid, a sample at a time" in done.stdout
    assert "targets: " in done.stdout
    told = json.loads(file.read_text())
    (row,) = told["rows"]
    assert {name: len(seconds) for name, seconds in row["seconds"].items()} == {
        HAND: 2,
        "inlined": 2,
    }
    assert all(10 < peak < 500 for peak in row["peak"].values())
    assert row["ratios"]["inlined"]["median"] > 0
    assert not told["interrupted"]


def test_help_loads_nothing() -> None:
    code = "import sys, benchmarks.cli; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    ).stdout.split()
    assert {"numpy", "keras", "tensorflow", "rich", "torch", "jax"}.isdisjoint(loaded)
