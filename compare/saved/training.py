"""A training that the command line was asked for: of a saved model, or of a worked example."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras

from compare.cases import load
from compare.cases.base import Settings
from compare.cases.halves import built
from compare.findings.report import Report
from compare.saved.drawn import drawn_data
from compare.saved.files import read_data
from compare.saved.models import loaded_model
from compare.steps.engine import lockstep
from keras_models.precision import precision
from manual.network import Network


@dataclass
class Training:
    """A compiled model, what it is to be trained on, and for how many steps.

    Attributes
    ----------
    model : keras.Model
    x, y, sample_weight : nested as the model takes them
    batch_size, steps, epochs : int
    label : str
    network : manual.Network or None
        One written by hand, for a worked example.
    shuffle : bool
    notes : list of str
        What the reader should know of the data.
    """

    model: keras.Model
    x: Any
    y: Any
    sample_weight: Any
    batch_size: int
    steps: int
    label: str
    network: Network | None = None
    shuffle: bool = True
    notes: list[str] = field(default_factory=list)

    @property
    def batches(self) -> int:
        """How many batches an epoch has."""
        rows = max(len(one) for one in keras.tree.flatten(self.x))
        return -(-rows // self.batch_size)

    @property
    def options(self) -> dict[str, Any]:
        """What is told beside the model and its data."""
        return {
            "sample_weight": self.sample_weight,
            "batch_size": self.batch_size,
            "steps": self.steps,
            "epochs": -(-self.steps // self.batches),
            "shuffle": self.shuffle,
        }

    def follow(self, report: Report, **options: Any) -> None:
        """Train in lock-step, and fill the report."""
        report.notes += self.notes
        if self.steps < self.batches:
            report.notes.append(f"compared in {self.steps:,} of the {self.batches:,} batches")
        told = {**self.options, "network": self.network, "label": self.label, **options}
        lockstep(self.model, self.x, self.y, report=report, **told)


@contextmanager
def of_saved_model(
    path: Path, data: Sequence[Path], batch_size: int, steps: int, dtype: str | None, seed: int
) -> Iterator[Training]:
    """Load a model and its data; draw data where none is given.

    Keras computes in the model's precision within the block.
    """
    keras.utils.set_random_seed(seed)
    with loaded_model(path, dtype) as model:
        notes = []
        if data:
            x, y, sample_weight = read_data(data, model)
        else:
            (x, y, sample_weight), what = drawn_data(model, batch_size * steps, seed)
            notes.append(f"trained on random data, since none is given: {what}")
        label = f"{path.name}: {model.name}"
        yield Training(model, x, y, sample_weight, batch_size, steps, label, notes=notes)


@contextmanager
def of_case(
    name: str, batch_size: int | None, steps: int, dtype: str | None, seed: int | None
) -> Iterator[Training]:
    """Build the first network of a worked example, as it is or with other settings."""
    run = Settings(batch_size=batch_size, dtype=dtype, seed=seed).applied(load(name).runs[0])
    with precision(run.dtype):
        model, network = built(run)
        yield Training(model, run.x, run.y, None, run.batch_size, steps, name, network=network)
