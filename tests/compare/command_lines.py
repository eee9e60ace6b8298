"""Command lines at random, plausible and absurd, made of what the commands themselves declare."""

from __future__ import annotations

import random
from collections.abc import Iterator

import click
from fuzzing import HOSTILE

from compare.cases import HOMES
from compare.cli import main
from compare.commands.parameters import CaseName
from compare.commands.record import Steps

NUMBERS = ["1", "2", "3", "5", "0.5", "0.29", "7e-3"]
ABSURD_NUMBERS = [
    "0",
    "-1",
    "nan",
    "inf",
    "1e999",
    "-1e-999",
    "9" * 30,
    "9" * 5000,
    "0x10",
    "1,",
    "٣",
]
FILES = ["good.keras", "data.npz", "x.npy", "y.npy", "data.csv", "good.py", "record", "lessons"]
FILES += ["other record", "half a record", "solution.py", "gaps.py", "two.py:step", "nothing.keras"]
FILES += [
    f"{what}.{kind}"
    for what in ("garbage", "empty", "folder", "memory", "circle", "zero", "pipe", "a\nb\x1b[31m")
    for kind in ("keras", "npz", "npy", "csv", "py")
]
FILES += ["full", "null", "closed", "unread.keras", "not/there", ".", ".."]
TO_WRITE = ["out", "new/out", "../out", "../../x", "out.py", "full", "null", "pipe.py", "circle.py"]
TO_WRITE += [
    "folder.py",
    "closed/out",
    "good.py/out",
    "lessons",
    "record/out",
    "n" * 250,
    "🙂" * 60,
]
WRITES = {"json_file", "junit_file", "report_file", "out"}
WEIGHTS = ["w5=0.3589", "w5", "w5=", "hidden/kernel[0,1]=1", "w99=1", "hidden/kernel[9,9]=1", "=1"]
SUBMISSIONS = ["good.py", "good.py:step", "two.py:step", "solution.py", "gaps.py"]
OWN = {  # what a parameter without a type of its own takes
    "target": [*HOMES, "good.keras"],
    "name": ["list", "mazur_gaps", "mazur_fault_1", "mazur_fault_99", "mazr_gaps"],
    "weight": [*WEIGHTS, *(one.partition("=")[0] for one in WEIGHTS)],
    "unit": ["h1", "i2", "hidden[0]", "hidden[9]", "nowhere[0]", "w5", "hidden[]"],
    "loss": [*NUMBERS, *ABSURD_NUMBERS],
    "submission": [*SUBMISSIONS * 4, *(one for one in FILES if one.endswith((".py", "step")))],
    "only": ["", "transpose", "nothing at all"],
}
RECORDS = ["record", "other record", "odd record"]
BELONGS = {
    "path": ["good.keras"] * 3 + [one for one in FILES if one.endswith(".keras")],
    "data": [one for one in FILES if one.endswith((".npz", ".npy", ".csv"))],
    "a": [*RECORDS, *RECORDS, "half a record", "."],
    "b": [*RECORDS, *RECORDS, "half a record", "."],
    "folder": ["lessons", "closed", "."],
}
ONE_OF_THESE = {"check": ("submission", "loss", "weight")}
CASES = ["mazur", "study_hours", "single_neuron"]  # the others now and then


def value(draw: random.Random, parameter: click.Parameter) -> str:
    """Draw what a parameter may be given: mostly something that fits."""
    kind, name = parameter.type, parameter.name or ""
    if draw.random() < 0.08:
        return draw.choice([*HOSTILE, *ABSURD_NUMBERS, *FILES[:20]])
    if name in WRITES:
        return draw.choice(TO_WRITE + HOSTILE)
    if name in BELONGS:
        return draw.choice(BELONGS[name] if draw.random() < 0.7 else FILES)
    if name in OWN:
        return draw.choice(OWN[name])
    if isinstance(kind, CaseName):
        return draw.choice(CASES if draw.random() < 0.97 else [*HOMES, "mazr"])
    if isinstance(kind, click.Choice):
        return str(draw.choice([*kind.choices, *kind.choices, "float16", "SGD "]))
    if isinstance(kind, Steps):
        return draw.choice(["1", "1,2", "2,1,1", "0", "1,,2", "9" * 5000, "1,99"])
    return draw.choice(NUMBERS[:4] if draw.random() < 0.75 else ABSURD_NUMBERS)


def tokens(draw: random.Random, command: click.Command) -> Iterator[list[str]]:
    """Give the words of a call, those that belong together in a list."""
    either = ONE_OF_THESE.get(command.name or "", ())
    alone = draw.choice([*either, None]) if either else None
    for parameter in command.params:
        if alone is not None and parameter.name in either and parameter.name != alone:
            continue
        if isinstance(parameter, click.Option):
            times = draw.choice([1, 1, 1, 2, 3] if parameter.multiple else [1, 1, 1, 1, 2])
            needed = parameter.required or parameter.name in ("case", alone)
            wanted = draw.random() < (0.95 if needed else 0.2)
            for _ in range(times * wanted):
                option = draw.choice(parameter.opts)
                if parameter.is_flag:
                    yield [option]
                else:
                    given = value(draw, parameter)
                    yield [f"{option}={given}"] if draw.random() < 0.2 else [option, given]
        else:
            most = 3 if parameter.nargs == -1 else 1
            for _ in range(draw.randint(1, most) if draw.random() < 0.95 else 0):
                yield [value(draw, parameter)]


def spoilt(draw: random.Random, words: list[str]) -> list[str]:
    """Drop a word, say it twice, put two in each other's place, or put something in between."""
    words, place = list(words), draw.randrange(len(words))
    match draw.randrange(4):
        case 0:
            del words[place]
        case 1:
            words.insert(place, words[place])
        case 2:
            other = draw.randrange(len(words))
            words[place], words[other] = words[other], words[place]
        case 3:
            words.insert(place, draw.choice([*HOSTILE, "--help", "-h", "--version", "--no-such"]))
    return words


def command_lines(number: int, seed: int) -> Iterator[list[str]]:
    """Give so many command lines, the same ones for a seed."""
    draw = random.Random(seed)
    names = [*main.commands] * 2 + ["check", "model", "record", "diff", "exercise", "run"] * 4
    for _ in range(number):
        name = draw.choice(names)
        parts = list(tokens(draw, main.commands[name]))
        draw.shuffle(parts)
        words = [name, *(word for part in parts for word in part)]
        if draw.random() < 0.03:
            words = draw.sample(HOSTILE, 2)
        while words and draw.random() < 0.2:
            words = spoilt(draw, words)
        yield words
