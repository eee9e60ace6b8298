"""Every slip in a recurrent layer is recognised, and not named where it nearly fits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from compare.causes import Candidate, Facts, Place, diagnose
from compare.causes.base import fits, ranked
from compare.causes.masks import looked_up, masked_out, mean_over_all, table_gradient
from compare.causes.recurrence import forward, gradients, shares_of
from compare.causes.recurrent import back_through_time, setting_of, what_a_step_does
from compare.rounding.judge import judge
from compare.rounding.noise import Noisy
from manual.layers import GRU, LSTM, Embedding, Input, Masking, SimpleRNN
from manual.losses import MeanSquaredError
from manual.regularizers import L2

UNIT = 2.0**-53
FACTS = Facts(samples=4, batch_size=4, learning_rate=0.03)
MASK = np.array([[1, 1, 1, 1, 1], [0, 1, 0, 1, 1], [1, 1, 0, 0, 0], [0, 0, 1, 1, 0]], bool)

LAYERS: dict[str, tuple[Callable[[], Any], bool]] = {
    "SimpleRNN": (lambda: SimpleRNN(3, name="l", return_sequences=True), False),
    "LSTM": (lambda: LSTM(3, name="l"), False),
    "LSTM, masked": (lambda: LSTM(3, name="l", return_sequences=True, go_backwards=True), True),
    "GRU": (lambda: GRU(3, name="l", return_sequences=True, zero_output_for_mask=True), True),
    "GRU, reset before": (lambda: GRU(3, name="l", reset_after=False), False),
    "SimpleRNN, softmax, dropout": (
        lambda: SimpleRNN(3, "softmax", name="l", dropout=0.4, recurrent_dropout=0.3),
        True,
    ),
    "LSTM, softsign, dropout": (
        lambda: LSTM(3, "softsign", "hard_sigmoid", name="l", recurrent_dropout=0.3),
        False,
    ),
    "GRU, elu, dropout, reset before": (
        lambda: GRU(3, "elu", name="l", dropout=0.4, recurrent_dropout=0.3, reset_after=False),
        False,
    ),
    "GRU, gelu, dropout": (
        lambda: GRU(3, "gelu", name="l", dropout=0.4, recurrent_dropout=0.2, use_bias=False),
        True,
    ),
}


def exact(array: Any) -> Noisy:
    return Noisy(np.array(array), unit=UNIT)


def places(kind: str) -> Iterator[Place]:
    """Give every place of a layer, with all that a hypothesis may ask for."""
    make, masked = LAYERS[kind]
    layer, draw = make(), np.random.default_rng(11)
    layer(Input((5, 3)))
    around: dict[str, Any] = {"mask": MASK if masked else None}
    for parameter in layer.parameters:
        parameter.value = exact(draw.normal(size=parameter.shape))
        parameter.gradient = exact(np.zeros(parameter.shape))
        around[parameter.name] = parameter.value
        around[f"{parameter.name}_new"] = parameter.value + 0.125
    around |= {"W": around["kernel"], "W_new": around["kernel_new"], "b": around.get("bias")}
    x = exact(draw.normal(size=(4, 5, 3)))
    for gates, rate in (
        (layer.gates if layer.recurrent_dropout else 1, layer.dropout),
        (layer.gates, layer.recurrent_dropout),
    ):
        around.setdefault("drawn", []).extend(
            exact(draw.random((4, 3))) for _ in range(gates if rate else 0)
        )
    layer.draws.replay(around["drawn"])
    with np.errstate(all="ignore"):
        y, saved = layer.forward(x, training=True, mask=around["mask"])
        dy = exact(draw.normal(size=y.shape))
        dx = layer.backward(dy, saved)
    around |= {"x": x, "y": y, "dz": dy}
    yield Place("activation", "l", y, layer, around, FACTS)
    yield Place("activation gradient", "x", dx, layer, around, FACTS)
    for one in layer.parameters:
        name = f"l/{one.name}"
        yield Place("weight gradient", name, one.gradient, layer, around, FACTS)


def own(place: Place) -> list[Candidate]:
    """Return what this family has to say about a place."""
    hypothesis = what_a_step_does if place.phase == "activation" else back_through_time
    with np.errstate(all="ignore"):
        return [one for one in hypothesis(place) if one.value.shape == place.right.shape]


def differ(one: Any, other: Noisy) -> bool:
    return not judge(np.asarray(one.value), other).agrees


@pytest.mark.parametrize("kind", LAYERS)
def test_with_no_knob_turned_the_rule_is_right(kind: str) -> None:
    """It is written once more and knows nothing of the layer's code."""
    for place in places(kind):
        setting = setting_of(place)
        assert setting is not None
        with np.errstate(all="ignore"):
            found, kept = forward(setting, {})
            if place.phase != "activation":
                quantity = "x" if place.name == "x" else place.name.removeprefix("l/")
                found = gradients(setting, shares_of(setting, kept, {}), {})[quantity]
        assert judge(found.value, place.right).agrees, place.name


@pytest.mark.parametrize("kind", LAYERS)
def test_every_slip_is_recognised_and_a_near_miss_is_not(kind: str) -> None:
    """What a slip gives is explained by it, or by one that gives the same numbers. With every
    number off by some thousandths, it isn't that slip."""
    for place in places(kind):
        proposed = own(place)
        assert len(proposed) > 8
        for candidate in proposed[::5]:  # of each kind; all of them take a minute
            wrong = candidate.value.value
            if not np.isfinite(candidate.value.noise).all():
                continue  # without its gate this network bursts, and anything would be within noise
            sentences = [cause.sentence for cause in diagnosed(place, wrong, proposed)]
            assert candidate.sentence in sentences, (place.name, candidate.sentence)
            for other in proposed:
                if other.sentence in sentences:
                    assert not differ(candidate.value, other.value), other.sentence
            near = 1.0 + 0.004 * np.cos(np.arange(wrong.size) + 1.0).reshape(wrong.shape)
            if np.any(wrong):
                assert not any(
                    cause.sentence == candidate.sentence
                    for cause in diagnosed(place, wrong * near, proposed)
                ), (place.name, candidate.sentence)


def diagnosed(place: Place, wrong: np.ndarray, proposed: list[Candidate]) -> list[Any]:
    """Judge what was proposed already: computing it anew for every slip would take too long."""
    with np.errstate(all="ignore"):
        return ranked(
            [
                cause
                for one in proposed
                if (cause := fits(one, wrong)) is not None
                and not judge(place.right.value, one.value).agrees
            ]
        )


@pytest.mark.parametrize("kind", LAYERS)
def test_right_and_random_numbers_have_no_cause(kind: str) -> None:
    draw = np.random.default_rng(3)
    for place in list(places(kind))[::2]:
        assert diagnose(place, place.right.value) == []
        value = place.right.value
        assert diagnose(place, draw.normal(size=value.shape) * np.std(value)) == []


NUMBERS = np.array([[1, 2, 1], [3, 0, 0]])


def around_masks() -> Iterator[tuple[Callable[[Place], Iterator[Candidate]], Place]]:
    """Give a place of each kind that embeddings and masks have."""
    draw = np.random.default_rng(5)
    layer = Embedding(4, 2, mask_zero=True, name="l")
    layer(Input((3,)))
    layer.embeddings.value = exact(draw.normal(size=(4, 2)))
    layer.embeddings.gradient = exact(np.zeros((4, 2)))
    x, dy = exact(NUMBERS), exact(draw.normal(size=(2, 3, 2)))
    y, saved = layer.forward(x)
    layer.backward(dy, saved)
    around: dict[str, Any] = {"x": x, "dz": dy, "embeddings": layer.embeddings.value}
    yield looked_up, Place("activation", "l", y, layer, around, FACTS)
    gradient = layer.embeddings.gradient
    yield table_gradient, Place("weight gradient", "l/embeddings", gradient, layer, around, FACTS)

    masking = Masking(0.5, name="m")
    features = draw.normal(size=(2, 3, 2))
    features[0, 1], features[1, 2, 0], features[1, 0] = 0.5, 0.5, 0.0
    around = {"x": exact(features), "dz": dy}
    y, saved = masking.forward(around["x"])
    yield masked_out, Place("activation", "m", y, masking, around, FACTS)
    dx = masking.backward(dy, saved)
    yield masked_out, Place("activation gradient", "x", dx, masking, around, FACTS)

    mask, loss, p = NUMBERS != 0, MeanSquaredError(), exact(draw.normal(size=(2, 3, 2)))
    target = draw.normal(size=(2, 3, 2))
    for weight in (None, draw.uniform(0.5, 2.0, (2, 3))):
        value, saved = loss.forward(target, p, mask=mask, sample_weight=weight)
        around = {"p": p, "y": exact(target), "mask": mask, "sample_weight": weight}
        around |= {"outputs": 2, "regularized": [(exact(np.array([0.5])), L2(1.0))]}
        yield mean_over_all, Place("loss", "total", value + 0.25, loss, around, FACTS)
        dp = loss.backward(saved)
        yield mean_over_all, Place("activation gradient", "p", dp, loss, around, FACTS)


@pytest.mark.parametrize("case", range(8))
def test_slips_with_masks(case: int) -> None:
    hypothesis, place = list(around_masks())[case]
    with np.errstate(all="ignore"):
        proposed = [one for one in hypothesis(place) if differ(one.value, place.right)]
    assert len(proposed) >= 3
    for candidate in proposed:
        wrong = candidate.value.value
        sentences = [cause.sentence for cause in diagnose(place, wrong)]
        assert candidate.sentence in sentences
        near = 1.0 + 0.004 * np.cos(np.arange(wrong.size) + 1.0).reshape(wrong.shape)
        missed = [cause.sentence for cause in diagnose(place, wrong * near)]
        assert candidate.sentence not in missed
    assert diagnose(place, place.right.value) == []


def test_each_named_slip_says_what_it_is() -> None:
    """The sentences that a reader relies on, each with the knob that it stands for."""
    kinds = ("GRU", "LSTM, masked")
    some = [place for kind in kinds for place in list(places(kind))[:4:3]]
    some += list(places("GRU"))[3:4]
    named = {one.sentence for place in some for one in own(place)}
    assert {
        "the gates are taken to lie in the order r, z, h, which is PyTorch's",
        "the update gate's meaning is reversed",
        "the reset gate is applied before the product instead of after",
        "the gradient through the cell state is forgotten",
        "the gradient is not carried to the step before",
        "the state after the step is used instead of the one before",
        "the second, recurrent bias is forgotten",
        "the mask is ignored",
    } <= named


def test_a_layer_with_an_unknown_function_is_left_alone() -> None:
    layer = LSTM(3, "sparsemax")
    anything = {"x": 1, "dz": 1, "W": 1, "recurrent_kernel": 1}
    assert setting_of(Place("activation", "l", exact(0.0), layer, anything, FACTS)) is None
