"""The worked examples, by name. A case is one function in one file; it is loaded when it runs."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from compare.cases.base import Case

HOMES = {
    "mazur": "mazur",
    "study_hours": "study_hours",
    "xor_bias_trick": "bias_trick",
    "xor_no_hidden": "bias_trick",
    "digits_bias_trick": "bias_trick",
    "four_layer": "four_layer",
    "single_neuron": "single_neuron",
    "three_inputs": "three_inputs",
    "linear_regression": "linear_regression",
    "normalization": "lessons",
    "learning_rate": "lessons",
    "digits": "digits",
    "hand_vs_keras": "hand_vs_keras",
}
"""Which file of this folder holds which case."""


def load(name: str) -> Case:
    """Return the case called ``name``, with its data.

    Raises
    ------
    BadInput
        If its data set isn't there.
    """
    from compare.errors import BadInput

    try:
        case: Case = getattr(import_module(f"compare.cases.{HOMES[name]}"), name)()
    except (ImportError, OSError) as error:
        raise BadInput(
            f"The data of the case {name!r} can't be loaded ({error}). "
            "Its data sets come with scikit-learn: pip install scikit-learn."
        ) from None
    return case
