"""Exercises: solutions are right, faults aren't, hints go from vague to specific."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from compare.cases import HOMES, load
from compare.cli import main
from compare.errors import BadInput
from compare.exercises import FUNCTIONS, OWN_FOLDER, Exercise, exercises, named
from compare.exercises.answer import answered
from compare.exercises.attempt import Attempt, attempt
from compare.exercises.exercise import FILL, FIND
from compare.exercises.hints import LEVELS, hints
from compare.exercises.patterns import pattern
from compare.exercises.source import exercises_in
from compare.rounding.noise import Noisy

OWN = exercises()
FAULTS = [name for name, one in OWN.items() if one.kind == FIND]
PAGE = Path(__file__).parents[2] / "docs" / "workflow.md"


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments, prog_name="python -m compare")


def tried(exercise: Exercise, folder: Path) -> Attempt:
    """Write an exercise out and hand it in as it is."""
    file = folder / f"{exercise.name}.py"
    file.write_text(exercise.written(file.name), encoding="utf-8")
    return attempt(load(exercise.case), str(file))


def code_of(text: str) -> list[str]:
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    return [line.partition("  # ")[0].strip() for line in lines]


def right_line(exercise: Exercise, source: Path) -> str:
    """Return the code that stands in the solution where the fault is."""
    _, _, below = source.read_text("utf-8").partition("\nCASE")
    faulty = code_of(exercise.code)
    missing = [line for line in code_of(below)[1:] if line not in faulty]
    return missing[0] if missing else "W2.T"  # a fault that only adds a line


def assert_fault_is_found(exercise: Exercise, source: Path, folder: Path) -> None:
    """Assert that a fault is caught, and led to: by nothing of the answer in the first hints."""
    found = tried(exercise, folder)
    assert len(found.wrong) == 1, "a fault in one function is blamed on no other"
    told = dict(hints(found))
    assert tuple(told) == LEVELS
    assert told["phase"].startswith(f"{found.wrong[0]} is wrong")
    assert exercise.planted and exercise.planted in told["cause"]
    vague = " ".join(told[level] for level in LEVELS[:3])
    cause = re.split(r" \((?:at|factor)| Or: ", told["cause"])[0].rstrip(".")
    code = right_line(exercise, source)
    for answer in (cause, exercise.planted, code, code.partition(" = ")[2] or code, " = "):
        assert answer not in vague
    assert "=" in told["formula"]
    plain = list(answered(found).lines())
    assert plain[0] == "Not right yet." and plain[1].endswith("--hint 1") and len(plain) == 2


def is_solved(source: Path) -> Attempt:
    case = exercises_in(source)[0].case
    return attempt(load(case), str(source))


@pytest.mark.parametrize("case", HOMES)
def test_every_network_has_gaps_whose_solution_is_right(case: str, tmp_path: Path) -> None:
    source = OWN_FOLDER / f"{case}.py"
    assert is_solved(source).ok
    exercise = OWN[f"{case}_gaps"]
    assert exercise.case == case
    found = tried(exercise, tmp_path)
    assert found.open == list(FUNCTIONS) and not found.judged
    marked = [line for line in source.read_text("utf-8").splitlines() if "# gap" in line]
    assert len(found.gaps) == len(marked)
    for gap, line in zip(found.gaps, marked, strict=True):
        assert line.strip().startswith(gap.text)
    told = dict(hints(found))
    assert tuple(told) == LEVELS and "=" not in " ".join([*told.values()][:3])


@pytest.mark.parametrize("name", FAULTS)
def test_every_fault_is_found_and_led_to(name: str, tmp_path: Path) -> None:
    exercise = OWN[name]
    assert_fault_is_found(exercise, OWN_FOLDER / f"{exercise.case}.py", tmp_path)


def test_there_is_a_fault_in_each_network_and_in_each_function() -> None:
    assert len(FAULTS) >= 12
    assert {OWN[name].case for name in FAULTS} == set(HOMES)
    for name in FAULTS:
        text = OWN[name].written(f"{name}.py")
        assert "# fault" not in text and "# gap" not in text and OWN[name].planted not in text
        compile(text, name, "exec")


def test_the_teachers_example_of_the_page(tmp_path: Path) -> None:
    """The page's quiz, and what the page says that the commands print."""
    page = PAGE.read_text("utf-8")
    (text,) = re.findall(r"^```py\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    source = tmp_path / "quiz.py"
    source.write_text(text, encoding="utf-8")
    assert is_solved(source).ok
    gaps, *faults = exercises_in(source)
    assert gaps.kind == FILL and "    dW = ...  # (1, 1)\n" in gaps.code
    for fault in faults:
        assert_fault_is_found(fault, source, tmp_path)
    source.rename(
        tmp_path / "lessons.py"
    )  # what was written out stands beside it, and has no marks
    assert len(exercises(tmp_path)) == 3
    listed = invoke("exercise", "list", "--exercises", str(tmp_path)).output
    assert listed.replace("lessons", "quiz").replace("  ", " ") in page.replace("  ", " ")


def test_the_page_shows_what_is_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    page = PAGE.read_text("utf-8")
    name = "four_layer_fault_3"
    for command, status in (
        (f"exercise {name}", 0),
        (f"check {name}.py", 1),
        (f"check {name}.py --hint 5", 1),
    ):
        result = invoke(*command.split())
        assert result.exit_code == status
        assert f"$ python -m compare {command}\n{result.output}" in page
    file = Path(f"{name}.py")
    file.write_text(file.read_text("utf-8").replace("delta3.T @ a2", "a2.T @ delta3"), "utf-8")
    result = invoke("check", file.name, "--hint", "3")
    assert (result.exit_code, result.output) == (
        0,
        "Right: forward, backward and update, to within rounding.\n",
    )


def test_hints_are_about_the_file_as_it_is(tmp_path: Path) -> None:
    """Mend the planted fault and make another mistake: the hints are about that one."""
    exercise = OWN["mazur_fault_1"]
    assert "dnet_o @ W2  #" in exercise.code
    file = tmp_path / "mine.py"
    mended = exercise.written("mine.py").replace("dnet_o @ W2  #", "dnet_o @ W2.T  #")
    file.write_text(mended.replace("W1 - ETA * dW1", "W1 + ETA * dW1"), "utf-8")
    told = dict(hints(attempt(load("mazur"), str(file))))
    assert told["phase"] == "update is wrong; forward and backward are right."
    assert "every element has the wrong sign" in told["property"]
    assert told["cause"].startswith("the step goes uphill")


def test_gaps_are_filled_function_by_function(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    exercise = OWN["single_neuron_gaps"]
    file = Path("mine.py")
    text = exercise.written("mine.py")
    text = text.replace("    s = ...", "    s = x @ W + b").replace(
        "predicted = ...", "predicted = 1 / (1 + np.exp(-s))", 1
    )
    file.write_text(text, "utf-8")
    result = invoke("check", str(file), "--hint", "2")
    assert result.exit_code == 1
    lines = result.output.splitlines()
    assert lines[0].startswith("Still open in backward: dE_dpredicted (line ")
    assert "Still open in update: W (line 41), b (line 42)." in lines
    assert "Right so far: forward." in lines
    assert "hint 1, phase: backward has the first gap." in lines
    file.write_text(text.replace("np.exp(-s)", "np.exp(s)"), "utf-8")
    result = invoke("check", str(file), "--hint", "1")
    assert result.exit_code == 1
    assert "What is filled in isn't right yet." in result.output
    assert "hint 1, phase: forward is wrong.\n" in result.output
    assert max(map(len, lines)) <= 80


def test_zeros_of_the_example_hide_nothing(tmp_path: Path) -> None:
    """All inputs of hand_vs_keras are 0, and so is dW, however it is computed."""
    source = (OWN_FOLDER / "hand_vs_keras.py").read_text("utf-8")
    file = tmp_path / "mine.py"
    file.write_text(source.replace("dW = x.T @ dz_h", "dW = 2 * x.T @ dz_h"), "utf-8")
    found = attempt(load("hand_vs_keras"), str(file))
    assert found.drawn and found.wrong == ["backward"]
    told = dict(hints(found))
    assert told["phase"].endswith("That shows only on drawn numbers, not on the example's own.")
    assert "every element is 2 times what it should be" in told["property"]


@pytest.mark.parametrize(
    ("right", "theirs", "said"),
    [
        ([[1.0, 2.0], [3.0, 4.0]], [[32.0, 64.0], [96.0, 128.0]], "every element is 32 times"),
        (
            [[1.0, 2.0], [3.0, 4.0]],
            [[-1.0, -2.0], [-3.0, -4.0]],
            "every element has the wrong sign",
        ),
        ([[1.0, 2.0], [3.0, 4.0]], [[1.0, 3.0], [2.0, 4.0]], "it is the transpose"),
        ([[1.0, 2.0], [3.0, 4.0]], [[4.0, 3.0], [1.0, 2.0]], "the right numbers, but in other"),
        ([[1.0, 2.0], [3.0, 4.0]], [[0.0, 0.0], [0.0, 0.0]], "it is 0 throughout"),
        ([[1.0, 2.0], [3.0, 4.0]], [[1.0, 5.0], [3.0, 7.0]], "only column [:, 1] of 2 is wrong"),
        ([[1.0, 2.0], [3.0, 4.0]], [[9.0, 5.0], [3.0, 4.0]], "only row [0, :] of 2 is wrong"),
        ([[1.0, 2.0], [3.0, 4.0]], [[2.0, 6.0], [6.0, 12.0]], "each column is off by a factor"),
        ([[1.0, 2.0], [3.0, 4.0]], [[2.0, 4.0], [9.0, 12.0]], "each row is off by a factor"),
        ([1.0, 2.0, 4.0], [1.0, 9.0, 4.0], "1 of 3 elements are wrong"),
        ([1.0, 2.0, 4.0], [2.0, 6.0, 5.0], "is too large: 1.25 to 3 times"),
        ([1.0, 2.0, 4.0], [-2.0, 6.0, 5.0], "so some have the wrong sign"),
        ([0.0, 0.0], [1.0, 2.0], "every element should be 0"),
        ([0.0, 2.0, 4.0], [0.0, 6.0, 5.0], "is too large: 1.25 to 3 times"),
        ([[5.0]], [[15.0]], "it is 3 times what it should be"),
    ],
)
def test_the_pattern_of_an_error(right: list[float], theirs: list[float], said: str) -> None:
    assert said in pattern(np.array(theirs), Noisy(np.array(right), unit=2.0**-53))


STEP = '''"""A title."""

CASE = "linear_regression"


def forward(weights, x):
    return [x @ weights[0]]


def backward(weights, x, y, activations):
    dW = 2 * x.T @ (activations[0] - y) / len(x)  # gap
    # fault: dW = 2 * x.T @ (activations[0] - y)  # no mean
    return [dW]


def update(weights, gradients):
    return [weights[0] - 0.3 * gradients[0]]
'''


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ('"""A title."""', "", "quiz.py has to begin with a docstring"),
        ('"linear_regression"', '"linear"', "Received: 'linear'"),
        ('CASE = "linear_regression"', "", "Received: no such line"),
        ("def update", "def move", "quiz.py has no function 'update'"),
        ("def update", "def up date", "line 16 can't be run: SyntaxError"),
        ("# fault: dW = 2 *", "# fault: dW = = 2 *", "below line 11: the fault is no Python"),
        (" (activations[0] - y)  # no", " (activations[0] - y) / len(x)  #", "the right line"),
        ("    # fault", "\n    # fault", "line 13: a fault stands below a line of code"),
        ("gradients[0]]\n", "gradients[0]\n    ]  # gap\n", "line 18: a gap is a whole assignment"),
        ('regression"\n', 'regression"  # gap\n', "line 3: a gap is a whole assignment"),
        ("# gap", "# gap here", "line 11: a mark is written `# gap`"),
        ("# fault:", "# Fault", "line 12: a mark is written"),
        ('"""A title."""', "# coding: nonsense", "quiz.py can't be run: unknown encoding"),
    ],
)
def test_a_malformed_exercise_is_refused(
    tmp_path: Path, before: str, after: str, message: str
) -> None:
    assert before in STEP
    (tmp_path / "quiz.py").write_text(STEP, "utf-8")
    assert set(exercises(tmp_path)) == {"quiz_gaps", "quiz_fault_1"}
    (tmp_path / "quiz.py").write_text(STEP.replace(before, after), "utf-8")
    result = invoke("exercise", "quiz_gaps", "--exercises", str(tmp_path), "--out", str(tmp_path))
    assert result.exit_code == 2
    assert message in result.output
    assert [path.name for path in tmp_path.iterdir()] == ["quiz.py"]


def test_a_fault_of_several_lines() -> None:
    code = OWN["mazur_fault_2"].code
    assert "    W2 = W2 - ETA * dW2\n    dout_h = dnet_o @ W2.T  # (1, 2)\n" in code


def test_a_folder_without_exercises(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("x = 1\n", "utf-8")
    with pytest.raises(BadInput, match="marks a gap or a fault"):
        exercises(tmp_path)
    with pytest.raises(BadInput, match="Did you mean mazur_gaps"):
        named("mazur_gap")


def test_a_folder_whose_name_is_too_long() -> None:
    with pytest.raises(BadInput, match="can't be read: File name too long"):
        named("mazur_gaps", Path("9" * 5000))


def test_list() -> None:
    result = invoke("exercise")
    lines = result.output.splitlines()
    assert [line.split()[0] for line in lines] == list(OWN)
    assert all(FILL in line or FIND in line for line in lines)
    assert max(map(len, lines)) <= 80
    assert invoke("exercise", "list").output == result.output


def test_an_exercise_is_written_once_and_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert invoke("exercise", "digits_gaps").exit_code == 0
    written = Path("digits_gaps.py").read_text("utf-8")
    assert written == OWN["digits_gaps"].written("digits_gaps.py") + "\n"
    assert "python -m compare check digits_gaps.py --hint 1" in written
    again = invoke("exercise", "digits_gaps", "--out", ".")
    assert again.exit_code == 2
    assert "digits_gaps.py is there already" in again.output
    assert invoke("exercise", "digits_gaps", "--out", "other.py").exit_code == 0
    assert "python -m compare check other.py" in Path("other.py").read_text("utf-8")
    missing = invoke("exercise", "digits_gaps", "--out", "no/where.py")
    assert missing.exit_code == 2 and "for --out doesn't exist" in missing.output
    assert sorted(path.name for path in tmp_path.iterdir()) == ["digits_gaps.py", "other.py"]


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("return [x @", "return [x, x @", "1 activations are expected"),
        ("return [x @", "return [x.T @ x @", "the shape (1, 1); it should have (3, 1)"),
        ("weights[0]]", "weights[1]]", "The submitted forward raised IndexError"),
        ("(weights, gradients)", "(weights)", "called as update(weights, gradients): TypeError"),
        ("return [dW]", "return dW", "The submitted backward must return a list of 1 arrays"),
        ("return [dW]", "return [dW / 0]", "not finite"),
        ("def forward", "def onward", "has no function 'forward'; it needs"),
        ("return [x @", "return [[x @", "can't be run: SyntaxError"),
        ('"linear_regression"', '"linear"', "there is no case 'linear'"),
        ('"linear_regression"', '"mazur"', "is about 'mazur', not 'linear_regression'"),
        ('"linear_regression"', "5", "Say which function of"),
    ],
)
def test_a_file_that_cannot_be_judged(
    tmp_path: Path, before: str, after: str, message: str
) -> None:
    assert before in STEP
    file = tmp_path / "mine.py"
    file.write_text(STEP.replace(before, after), "utf-8")
    result = invoke("check", str(file), "--case", "linear_regression")
    assert result.exit_code == 2
    assert message in " ".join(result.output.split())
    assert "Traceback" not in result.output


def test_what_was_not_asked_for_is_not_in_the_json(tmp_path: Path) -> None:
    file, out = tmp_path / "mine.py", tmp_path / "out.json"
    file.write_text(STEP.replace("/ len(x)  #", " #"), "utf-8")
    assert invoke("check", str(file), "--hint", "2", "--json", str(out)).exit_code == 1
    told = json.loads(out.read_text("utf-8"))
    assert told["ok"] is False and told["open"] == []
    assert list(told["hints"]) == ["phase", "layer"]


def test_the_case_may_stand_in_any_file(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    text = 'CASE = "linear_regression"\n\ndef step(weights, x, y):\n    return {}\n'
    file.write_text(text.format("[2 * x.T @ (x @ weights[0] - y) / len(x)]"), "utf-8")
    result = invoke("check", str(file))
    assert (result.exit_code, result.output) == (0, "All 1 arrays are right, to within rounding.\n")
    result = invoke("check", str(file), "--hint", "1")
    assert result.exit_code == 2
    assert "--hint goes with a file of `python -m compare exercise`" in result.output
    file.write_text(text[text.index("def") :].format("[x]"), "utf-8")
    result = invoke("check", str(file))
    assert result.exit_code == 2
    assert "Say which example it belongs to: --case NAME." in result.output
