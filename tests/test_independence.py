"""The two halves know nothing of each other, and `manual` needs NumPy alone."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import keras_models.networks
import manual.networks
from keras_models.precision import precision

ROOT = Path(manual.__file__).parent.parent
FORBIDDEN = {
    "manual": {"keras", "tensorflow", "keras_models", "compare", "torch", "jax", "sklearn"},
    "keras_models": {"manual", "compare"},
}
NETWORKS = [
    name
    for name, function in inspect.getmembers(keras_models.networks, inspect.isfunction)
    if function.__module__ == "keras_models.networks"
]
DRAWN_BY_KERAS = {"wine", "diabetes", "digits"}


@pytest.mark.parametrize("room", FORBIDDEN)
def test_imports(room: str) -> None:
    files = list((ROOT / room).rglob("*.py"))
    assert len(files) > 5
    for file in files:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            for name in names:
                assert name.split(".")[0] not in FORBIDDEN[room], f"{file}: {name}"


def test_manual_loads_neither_keras_nor_the_judge() -> None:
    code = "import sys, manual, manual.networks; print(*{n.split('.')[0] for n in sys.modules})"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    ).stdout.split()
    assert "numpy" in loaded
    assert FORBIDDEN["manual"].isdisjoint(loaded)


@pytest.mark.parametrize("name", NETWORKS)
def test_both_halves_bring_the_same_network(name: str) -> None:
    with precision("float64"):
        model = getattr(keras_models.networks, name)()
    network = getattr(manual.networks, name)("float64")
    weights = network.get_weights()
    assert [w.shape for w in weights] == [w.shape for w in model.get_weights()]
    if name not in DRAWN_BY_KERAS:
        for mine, theirs in zip(weights, model.get_weights(), strict=True):
            np.testing.assert_array_equal(mine, theirs)
