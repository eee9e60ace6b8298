"""The explanation of a step: the tutorial's symbols, both halves' numbers, the chain rule."""

from __future__ import annotations

import dataclasses
import re
from itertools import cycle

import numpy as np
import pytest

from compare.cases import HOMES, load
from compare.errors import BadInput
from compare.explain import explain


def rows(text: str) -> dict[str, tuple[float, float]]:
    """Read every line that ends in two numbers, the hand-derived one and Keras's."""
    found = {}
    text = re.sub(r"\n {30,}(?=-?[\d.])", "  ", text)  # a long label stands on a line of its own
    for line in text.splitlines():
        match = re.fullmatch(r"  (.+?)\s+(-?[\d.]+(?:e[-+]\d+)?)\s+(-?[\d.]+(?:e[-+]\d+)?)", line)
        if match:
            found[match[1]] = (float(match[2]), float(match[3]))
    return found


@pytest.mark.parametrize("weight", ["w5", "output/kernel[0,0]"])
def test_three_factors_and_their_product(weight: str) -> None:
    text = explain(load("mazur"), weight=weight)
    assert rows(text) == {
        "∂E/∂out_o1": (0.7413650696, 0.7413650696),
        "∂out_o1/∂net_o1": (0.1868156018, 0.1868156018),
        "∂net_o1/∂w5 = out_h1": (0.5932699921, 0.5932699921),
        "∂E/∂w5, their product": (0.08216704056, 0.08216704056),
        "w5 before": (0.4, 0.4),
        "w5⁺ after": (0.3589164797, 0.3589164797),
    }
    assert "= 0.74136507 · 0.186815602 · 0.593269992" in text
    assert "w5⁺ = w5 − η · ∂E/∂w5 = 0.4 − 0.5 · 0.0821670406" in text


def test_a_hidden_weight_sums_over_the_outputs() -> None:
    text = explain(load("mazur"), weight="w1")
    assert "∂E/∂out_h1 = ∂E/∂net_o1 · w5 + ∂E/∂net_o2 · w7" in text
    assert "= 0.138498562 · 0.4 + (-0.0380982365) · 0.5" in text
    found = rows(text)
    assert found["∂E/∂out_h1"] == (0.03635030639, 0.03635030639)
    assert found["∂E/∂w1, their product"] == (0.0004385677345, 0.0004385677345)
    assert found["w1⁺ after"] == (0.1497807161, 0.1497807161)


def test_a_frozen_bias_is_said_to_be_held() -> None:
    text = explain(load("mazur"), weight="hidden/bias[1]")
    assert rows(text)["b1⁺ after"] == (0.35, 0.35)
    assert "this weight is held where it is" in text


def test_the_samples_of_a_batch_add_up() -> None:
    text = explain(load("study_hours"), weight="hidden/kernel[1,2]")
    one_line_each = re.sub(r"\n {30,}(?=-?[\d.])", "  ", text).splitlines()
    shares = [float(line.split()[-2]) for line in one_line_each if "this sample's share" in line]
    assert len(shares) == 3
    found = rows(text)
    (total,) = [pair for name, pair in found.items() if name.endswith("Σ of the samples' shares")]
    assert f"{sum(shares):.8g}" == f"{total[0]:.8g}"


@pytest.mark.parametrize("unit", ["h1", "out_h1", "net_h1", "hidden[0]"])
def test_a_unit_forward_and_backward(unit: str) -> None:
    text = explain(load("mazur"), unit=unit)
    assert rows(text) == {
        "net_h1": (0.3775, 0.3775),
        "out_h1": (0.5932699921, 0.5932699921),
        "∂E/∂out_h1": (0.03635030639, 0.03635030639),
        "∂out_h1/∂net_h1": (0.2413007086, 0.2413007086),
        "∂E/∂net_h1, their product": (0.008771354689, 0.008771354689),
    }
    assert "net_h1 = w1 · i1 + w2 · i2 + b1\n    = 0.15 · 0.05 + 0.2 · 0.1 + 0.35\n" in text
    assert "∂E/∂out_h1 = ∂E/∂net_o1 · w5 + ∂E/∂net_o2 · w7" in text
    assert "= 0.138498562 · 0.4 + (-0.0380982365) · 0.5" in text
    assert "= 0.0363503064 · 0.241300709" in text


def test_an_output_and_an_input() -> None:
    assert "  target 0.99\n" in explain(load("mazur"), unit="o2")
    text = explain(load("mazur"), unit="i2")
    assert rows(text) == {"i2": (0.1, 0.1)}
    assert "no gradient comes back to it" in text


def test_a_unit_of_a_large_network() -> None:
    text = explain(load("digits"), unit="hidden_1[0]")
    counted = "the sum of 64 products, one for each number that it takes, and hidden_1/bias[0]:"
    assert counted in " ".join(text.split())
    assert "sample 3 of 32" in text
    assert "sample 4" not in text
    assert text.count("… and so on for 29 more samples") == 2
    assert max(len(line) for line in text.splitlines()) <= 80


@pytest.mark.parametrize("name", ["mazur", "single_neuron", "four_layer", "study_hours"])
def test_all_of_a_small_network(name: str) -> None:
    text = explain(load(name))
    for piece in ("Forward", "Backward through", "from the right", "local", "to the weights", "→"):
        assert piece in text
    if name != "single_neuron":
        assert "to the left" in text


@pytest.mark.parametrize(("name", "step"), list(zip(HOMES, cycle([1, 3]))))
def test_both_columns_agree_and_fit(name: str, step: int) -> None:
    """To five digits in float32, to nine in float64: what rounding leaves after three steps."""
    case = load(name)
    text = explain(case, step=step)
    assert max(len(line) for line in text.splitlines()) <= 80
    found = rows(text)
    assert len(found) > 4
    relative = {"float32": 1e-4, "float64": 1e-9}[case.runs[0].dtype]
    for what, (by_hand, theirs) in found.items():
        assert abs(by_hand - theirs) <= relative * max(abs(by_hand), 1e-3), what


def test_softmax_and_cross_entropy_are_taken_together() -> None:
    text = explain(load("normalization"), weight="grower/kernel[0,1]")
    assert "CategoricalCrossentropy and the activation, taken together:" in text


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weight": "w99"}, "or one of b1, b2, w1, w2"),
        ({"weight": "nowhere/kernel[0,0]"}, "mazur has no weight 'nowhere/kernel'"),
        ({"weight": "hidden/kernel[5,0]"}, "has the shape (2, 2)"),
        ({"weight": "hidden/kernel[0]"}, "give 2 indices"),
        ({"weight": f"hidden/kernel[0,{'9' * 5000}]"}, "A weight is written like"),
        ({"unit": "h9"}, "or one of h1, h2, i1, i2, net_h1"),
        ({"unit": "w5"}, "A unit is written like hidden[0]"),
        ({"unit": "nowhere[0]"}, "mazur has no units 'nowhere'. Its units: input, hidden"),
        ({"unit": "hidden[2]"}, "hidden has 2 units, counted from 0, as in hidden[1]"),
        ({"unit": "h1", "weight": "w5"}, "for one weight or for one unit, not for both"),
    ],
)
def test_what_cannot_be_explained(options: dict[str, str], message: str) -> None:
    with pytest.raises(BadInput) as error:
        explain(load("mazur"), **options)
    assert message in str(error.value)


def test_a_step_after_the_end() -> None:
    case = load("three_inputs")
    soon = dataclasses.replace(case.runs[0], stop_when_close=0.3)
    with pytest.raises(BadInput, match="three_inputs ends before step 130"):
        explain(dataclasses.replace(case, runs=(soon,)), step=130)


def test_a_late_step_is_reached_without_looking_at_those_before() -> None:
    """Held against the tutorial's network in five lines of NumPy."""
    x, t = np.array([0.05, 0.10]), np.array([0.01, 0.99])
    W, V = np.array([[0.15, 0.25], [0.20, 0.30]]), np.array([[0.40, 0.50], [0.45, 0.55]])
    for _ in range(9_999):
        h = 1 / (1 + np.exp(-(x @ W + 0.35)))
        o = 1 / (1 + np.exp(-(h @ V + 0.60)))
        do = (o - t) * o * (1 - o)
        W, V = W - 0.5 * np.outer(x, V @ do * h * (1 - h)), V - 0.5 * np.outer(h, do)
    found = rows(explain(load("mazur"), step=10_000, weight="w5"))
    assert found["w5 before"] == pytest.approx((V[0, 0], V[0, 0]), abs=5e-10)
