"""The command line: what it prints, how it ends, and how it refuses."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

import manual
from compare.cases import HOMES
from compare.cli import main


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments, prog_name="python -m compare")


def command(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **options.pop("env", {})}
    return subprocess.run(
        [sys.executable, "-m", "compare", *arguments],
        capture_output=True,
        text=True,
        env=environment,
        **options,
    )


def strict(text: str) -> Any:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    return json.loads(text, parse_constant=refuse)


def test_a_run_as_a_user_sees_it() -> None:
    """In a process of its own: nothing on standard error, no colours, 80 columns."""
    done = command("run", "hand_vs_keras")
    assert done.returncode == 0
    assert done.stderr == ""
    assert "\x1b" not in done.stdout
    lines = done.stdout.splitlines()
    assert max(len(line) for line in lines) <= 80
    assert lines[0] == "hand_vs_keras: 0.19926 by hand against Keras's 0.19882: which one is right?"
    assert "epoch 10/10  loss 0.616209  by hand 0.616209" in lines
    text = " ".join(done.stdout.split())
    assert "wrong in print: second-layer weights by hand is 0.19882, not 0.19926" in text
    assert re.search(r"^hand_vs_keras +20 +464 +\d\.\d× .* 2 / 1 agrees *$", done.stdout, re.M)


def test_help_is_quick_and_loads_nothing() -> None:
    times = []
    for _ in range(5):
        start = time.perf_counter()
        assert command("--help").returncode == 0
        times.append(time.perf_counter() - start)
    assert min(times) < 0.5
    code = "import sys, compare.cli; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert {"numpy", "keras", "tensorflow", "rich"}.isdisjoint(loaded)


def test_list() -> None:
    lines = invoke("list").output.splitlines()
    assert [line.split()[0] for line in lines] == list(HOMES)
    assert max(len(line) for line in lines) <= 80


def test_json(tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    assert invoke("run", "single_neuron", "--steps", "2", "--json", str(file)).exit_code == 0
    report = strict(file.read_text(encoding="utf-8"))
    assert report["ok"] is True
    (case,) = report["cases"]
    assert case["case"] == "single_neuron"
    assert case["reports"][0]["steps"] == 2
    assert case["reports"][0]["findings"] == []
    assert {number["status"] for number in case["numbers"]} == {"reproduced"}
    assert [path.name for path in tmp_path.iterdir()] == ["report.json"]
    (plain := tmp_path / "plain").touch()
    assert file.stat().st_mode == plain.stat().st_mode


def test_a_difference_is_told_and_ends_with_1(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(
        manual.activations.Sigmoid, "backward", lambda self, da, z, a: da * a * (1.0 + a)
    )
    file = tmp_path / "report.json"
    result = invoke("run", "single_neuron", "--steps", "2", "--json", str(file))
    assert result.exit_code == 1
    assert "step 1 · activation gradient · neuron/pre_activation" in result.output
    assert "DISAGREES" in result.output
    assert "formula: dz = da · a (1 − a)" in result.output
    assert "DIFFERS" in result.output
    assert "NOT REPRODUCED: ∂E/∂w1 should be" in result.output
    report = strict(file.read_text(encoding="utf-8"))
    assert report["ok"] is False
    assert report["cases"][0]["reports"][0]["findings"][0]["phase"] == "activation gradient"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "mazr"], "there is no case 'mazr'. Did you mean mazur?"),
        (["run", "mazur", "--stps", "3"], "--steps"),
        (["run"], "Missing argument"),
        (["runn"], "No such command 'runn'"),
        (["run", "mazur", "--steps", "0"], "0 is not in the range x>=1"),
        (["run", "mazur", "--learning-rate", "0"], "0.0 is not in the range x>0"),
        (["run", "mazur", "--dtype", "float16"], "'float16' is not one of"),
        (["run", "mazur", "--batch-size", "5"], "between 1 and the 1 samples there are"),
        (
            ["run", "mazur", "--json", "no/such/folder/x.json"],
            "Error: The folder 'no/such/folder' for --json doesn't exist: create it.\n",
        ),
        (["run", "mazur", "--reproduce", "no/such/x.py"], "for --reproduce doesn't exist"),
        (["explain", "mazur", "--weight", "w99"], "A weight is written like hidden/kernel[0,1]"),
        (["explain", "mazur", "--weight", "hidden/kernel[5,0]"], "has the shape (2, 2)"),
        (["explain", "mazur", "--unit", "h9"], "A unit is written like hidden[0]"),
        (["explain", "mazur", "--unit", "h1", "--weight", "w5"], "--weight or --unit: one of them"),
        (["explain", "mazur", "--step", "0"], "0 is not in the range x>=1"),
    ],
)
def test_bad_usage_is_one_sentence_and_2(arguments: list[str], message: str) -> None:
    result = invoke(*arguments)
    assert result.exit_code == 2
    assert message in result.output
    assert "Traceback" not in result.output
    assert "epoch" not in result.output  # nothing had begun


def test_data_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    import compare.cases.digits

    def missing() -> None:
        raise FileNotFoundError("digits.csv.gz")

    monkeypatch.setattr(compare.cases.digits, "load_digits", missing)
    result = invoke("run", "digits")
    assert result.exit_code == 2
    assert "The data of the case 'digits' can't be loaded (digits.csv.gz)" in result.output


def test_another_backend_is_refused() -> None:
    done = command("run", "mazur", env={"KERAS_BACKEND": "jax"})
    assert done.returncode == 2
    assert "KERAS_BACKEND=jax. Unset it, or set it to tensorflow." in done.stderr
    assert "Traceback" not in done.stderr


def test_a_backend_that_is_not_there(tmp_path: Path) -> None:
    arguments = "record", "mazur", "--out", str(tmp_path / "a")
    done = command(*arguments, env={"KERAS_BACKEND": "nosuch"})
    assert done.returncode == 2
    assert done.stderr == (
        "Error: KERAS_BACKEND=nosuch can't be loaded: Unable to import backend : nosuch.\n"
    )


def test_an_interruption_tells_what_was_found(tmp_path: Path) -> None:
    """Ctrl-C after the first epoch of the digits: exit status 130, a summary, a whole file."""
    file, page = tmp_path / "report.json", tmp_path / "report.html"
    words = ["run", "digits", "--json", str(file), "--report", str(page)]
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "compare", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    seen = ""
    while not re.search(r"^epoch +1/", seen, re.M):
        line = process.stdout.readline()
        assert line, process.communicate()
        seen += line
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 130, out + err
    assert "Interrupted. Compared so far:" in out
    assert re.search(r"^digits +\d+ ", out, re.M)
    assert "Traceback" not in err
    report = strict(file.read_text(encoding="utf-8"))
    assert report["interrupted"] is True
    assert report["ok"] is False
    assert report["cases"][0]["reports"][0]["steps"] >= 45
    assert "Left open: the comparison was stopped before its end." in page.read_text()
    assert embedded(page)["chapters"][0]["report"] == report["cases"][0]["reports"][0]


MINE = """
import numpy as np


def step(weights, x, y):
    W, V = weights
    h = 1 / (1 + np.exp(-x @ W))
    o = 1 / (1 + np.exp(-h @ V))
    do = (o - y) * o * (1 - o)
    return [W - 0.01 * x.T @ (do @ V.T * h * (1 - h)), V - 0.01 * h.T @ do]
"""


def test_check_a_file(tmp_path: Path) -> None:
    """keras issue 18324: 0.19926 by hand against Keras's 0.19882."""
    file = tmp_path / "mine.py"
    file.write_text(MINE, encoding="utf-8")
    options = ["--case", "hand_vs_keras", "--returns", "weights"]
    result = invoke("check", str(file), *options, "--json", str(tmp_path / "out.json"))
    assert result.exit_code == 1
    assert "submitted: 0.1992685944, it should be 0.1988249844" in result.output
    assert "cause: this is the derivative of ½ (p − y)²" in result.output
    assert max(map(len, result.output.splitlines())) <= 80
    report = strict((tmp_path / "out.json").read_text(encoding="utf-8"))
    (finding,) = report["findings"]
    assert finding["diagnosis"]["causes"][0]["sentence"] == "this is the derivative of ½ (p − y)²"
    file.write_text(MINE.replace("(o - y) * o", "np.sign(o - y) * o"), encoding="utf-8")
    result = invoke("check", f"{file}:step", *options)
    assert (result.exit_code, result.output) == (0, "All 2 arrays are right, to within rounding.\n")


def test_check_a_number() -> None:
    result = invoke("check", "--case", "mazur", "--step", "1", "--loss", "0.291027924")
    assert result.exit_code == 1
    assert "it is 0.291027774." in result.output
    assert "the deltas of a layer use the already updated weights" in result.output
    assert invoke("check", "--case", "mazur", "--weight", "w5=0.35891648").exit_code == 0


def test_ctrl_c_ends_a_check(tmp_path: Path) -> None:
    file = tmp_path / "endless.py"
    file.write_text("def step(weights, x, y):\n    raise KeyboardInterrupt\n", encoding="utf-8")
    result = invoke("check", str(file), "--case", "study_hours")
    assert (result.exit_code, result.output) == (130, "Interrupted.\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "one of them"),
        (["--loss", "1", "--weight", "w5=1"], "one of them"),
        (["--loss", "many"], "A number is needed"),
        (["--weight", "w5"], "A weight is asked about as w5=0.3589"),
        (["nowhere.py"], "There is no file 'nowhere.py'"),
        (["{mine}:stop"], "has no function 'stop'. Its functions: step"),
        (["{empty}"], "It has: none."),
        (["{broken}"], "can't be run: SyntaxError"),
        (["{leaves}"], "can't be run: SystemExit: 0 (line 1: raise SystemExit(0))"),
        (["--loss", "0.29", "--returns", "weights"], "--returns goes with a file"),
    ],
)
def test_check_refuses(tmp_path: Path, arguments: list[str], message: str) -> None:
    places = {name: tmp_path / f"{name}.py" for name in ("mine", "empty", "broken", "leaves")}
    texts = {"mine": MINE, "empty": "", "broken": "def f(:", "leaves": "raise SystemExit(0)"}
    for name, text in texts.items():
        places[name].write_text(text, encoding="utf-8")
    result = invoke("check", "--case", "mazur", *[one.format(**places) for one in arguments])
    assert result.exit_code == 2
    assert message in " ".join(result.output.split())
    assert "Traceback" not in result.output


# ---------------------------------------------------------------------- pages


def embedded(page: Path) -> Any:
    """Return the numbers that a page holds."""
    told = re.search(r'<script type="application/json"[^>]*>(.*?)</script>', page.read_text(), re.S)
    assert told is not None
    return strict(told[1])


def test_a_report_is_a_page_of_a_run(tmp_path: Path) -> None:
    page, file = tmp_path / "mazur.html", tmp_path / "mazur.json"
    result = invoke("report", "mazur", "--steps", "3", "--out", str(page))
    assert result.exit_code == 0, result.output
    assert invoke("run", "mazur", "--steps", "3", "--json", str(file)).exit_code == 0
    told, case = embedded(page), strict(file.read_text())["cases"][0]
    assert [one["report"] for one in told["chapters"]] == case["reports"]
    assert [n for one in told["chapters"] for n in one["numbers"]] == case["numbers"]
    assert told["command"] == f"python -m compare report mazur --steps 3 --out {page}"
    frames = told["chapters"][0]["film"]["frames"]
    assert [frame["step"] for frame in frames] == [1, 2, 3]
    assert "w5" in frames[0]["explained"]["output/kernel[0,0]"]


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["check", "--case", "mazur", "--weight", "w5=0.35891648"], 0, "w5 after 1 update"),
        (["check", "--case", "mazur", "--weight", "w5=0.3588"], 1, "w5 after 1 update"),
        (["run", "single_neuron", "--steps", "2"], 0, None),
    ],
)
def test_every_command_that_compares_writes_a_page(
    words: list[str], status: int, said: str | None, tmp_path: Path
) -> None:
    page = tmp_path / "page.html"
    result = invoke(*words, "--report", str(page))
    assert result.exit_code == status, result.output
    told = embedded(page)
    assert told["ok"] == (status == 0)
    assert said is None or said in told["said"]
    assert bool(told["chapters"]) == (said is None)


def test_records_and_their_difference_as_pages(tmp_path: Path) -> None:
    pages = [tmp_path / f"{name}.html" for name in "abc"]
    for name, page, dtype in (("a", pages[0], "float64"), ("b", pages[1], "float32")):
        words = ["record", "mazur", "--steps", "2", "--dtype", dtype, "--at", "2"]
        result = invoke(*words, "--out", str(tmp_path / name), "--report", str(page))
        assert result.exit_code == 0, result.output
        frames = embedded(page)["chapters"][0]["film"]["frames"]
        assert [frame["step"] for frame in frames] == [1, 2]
    records = str(tmp_path / "a"), str(tmp_path / "b")
    result = invoke("diff", *records, "--report", str(pages[2]))
    assert result.exit_code == 0, result.output
    assert embedded(pages[2])["said"] == result.stdout.strip()


def test_a_page_needs_a_case_or_a_saved_model(tmp_path: Path) -> None:
    result = invoke("report", "mazurr", "--out", str(tmp_path / "x.html"))
    assert result.exit_code == 2 and "neither a .keras file nor a worked example" in result.stderr
    result = invoke("report", "mazur", "--data", "x.npz", "--out", str(tmp_path / "x.html"))
    assert result.exit_code == 2 and "leave out --data" in result.stderr
    assert not [*tmp_path.iterdir()]
