"""The hypotheses about attention, joined branches and moved numbers: their own slip, no other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from compare.causes import Facts, Place, candidates, diagnose
from compare.causes.base import fits
from compare.rounding.noise import Noisy
from manual import layers
from manual.layers import Input

UNITS = {"float32": 2.0**-24, "float64": 2.0**-53}
FACTS = Facts(samples=3, batch_size=3, learning_rate=0.03)
HIDDEN = np.arange(25).reshape(5, 5) % 3 > 0

Case = tuple[Callable[[], Any], list[tuple[int, ...]], dict[str, Any], str, tuple[int, ...]]
"""A layer, its inputs' shapes, the call's options, a weight's name or "", and which input."""

SELF, CROSS = [(3, 5, 6)] * 2, [(3, 5, 6)] * 3
CAUSAL, MASK = {"use_causal_mask": True}, {"attention_mask": HIDDEN}


def mha(**options: Any) -> Callable[[], Any]:
    return lambda: layers.MultiHeadAttention(2, 3, name="layer", **options)


def simple(kind: str, *arguments: Any, **options: Any) -> Callable[[], Any]:
    return lambda: getattr(layers, kind)(*arguments, name="layer", **options)


def along(equation: str, output_shape: Any, bias_axes: str) -> Callable[[], Any]:
    return simple("EinsumDense", equation, output_shape, bias_axes=bias_axes)


CASES: dict[str, Case] = {
    "attention": (mha(), CROSS, {}, "", ()),
    "attention, causal": (mha(), SELF, CAUSAL, "", ()),
    "attention, masked, dropped": (mha(dropout=0.25), SELF, MASK, "", ()),
    "attention, grouped": (simple("GroupQueryAttention", 3, 4, 2), SELF, {}, "", ()),
    "attention, of the query": (mha(), CROSS, {}, "", (0,)),
    "attention, of the value": (mha(dropout=0.25), CROSS, MASK, "", (1,)),
    "attention, of the key": (mha(), CROSS, {}, "", (2,)),
    "attention, of itself": (mha(), SELF, CAUSAL, "", (0, 1)),
    "attention, grouped, of the value": (
        simple("GroupQueryAttention", 3, 4, 2),
        SELF,
        {},
        "",
        (1,),
    ),
    "attention, query/kernel": (mha(), CROSS, {}, "query/kernel", ()),
    "attention, key/kernel": (mha(), CROSS, {}, "key/kernel", ()),
    "attention, value/bias": (mha(), CROSS, {}, "value/bias", ()),
    "attention, output": (mha(), SELF, {}, "attention_output/kernel", ()),
    "dot": (simple("Attention", use_scale=True), CROSS, CAUSAL, "", ()),
    "dot, of the query": (simple("Attention", use_scale=True), CROSS, {}, "", (0,)),
    "dot, of the value": (simple("Attention", dropout=0.25), SELF, {}, "", (1,)),
    "dot, scale": (simple("Attention", use_scale=True), SELF, {}, "scale", ()),
    "concat": (simple("Attention", use_scale=True, score_mode="concat"), CROSS, {}, "", ()),
    "concat, of the key": (
        simple("Attention", use_scale=True, score_mode="concat"),
        CROSS,
        {},
        "",
        (2,),
    ),
    "additive": (simple("AdditiveAttention"), CROSS, {}, "", ()),
    "additive, of the query": (simple("AdditiveAttention"), CROSS, {}, "", (0,)),
    "attention, window": (mha(sliding_window=2), SELF, CAUSAL, "", ()),
    "dot, masked, dropped": (simple("Attention", dropout=0.25), SELF, CAUSAL, "", ()),
    "einsum": (along("abc,cde->abde", (5, 3, 2), "de"), [(3, 5, 4)], {}, "", ()),
    "einsum, of the input": (along("abc,cde->abde", (5, 3, 2), "de"), [(3, 5, 4)], {}, "", (0,)),
    "einsum, kernel": (along("abc,cd->abd", (5, 4), "d"), [(3, 5, 4)], {}, "kernel", ()),
    "einsum, bias": (along("abc,bcd->abd", (5, 3), "bd"), [(3, 5, 4)], {}, "bias", ()),
    "einsum, ellipsis": (along("...x,xy->...y", 4, "y"), [(3, 2, 5, 4)], {}, "", (0,)),
    "einsum, two sums": (along("abcd,cde->abe", (5, 3), "e"), [(3, 5, 2, 4)], {}, "bias", ()),
    "Add": (simple("Add"), [(3, 4)] * 3, {}, "", (1,)),
    "Add, repeated": (simple("Add"), [(3, 5, 4), (3, 1, 4)], {}, "", (1,)),
    "Subtract": (simple("Subtract"), [(3, 4)] * 2, {}, "", (1,)),
    "Multiply": (simple("Multiply"), [(3, 4)] * 3, {}, "", (0,)),
    "Average": (simple("Average"), [(3, 4)] * 2, {}, "", (0,)),
    "Maximum": (simple("Maximum"), [(3, 4)] * 3, {}, "", (0,)),
    "Minimum": (simple("Minimum"), [(3, 4)] * 2, {}, "", (1,)),
    "Average forward": (simple("Average"), [(3, 4)] * 2, {}, "", ()),
    "Subtract forward": (simple("Subtract"), [(3, 4)] * 2, {}, "", ()),
    "Multiply forward": (simple("Multiply"), [(3, 4)] * 3, {}, "", ()),
    "Concatenate": (simple("Concatenate"), [(3, 4), (3, 2), (3, 4)], {}, "", (0,)),
    "Concatenate forward": (simple("Concatenate"), [(3, 4), (3, 2)], {}, "", ()),
    "Dot": (simple("Dot", 2), [(3, 5, 4), (3, 2, 4)], {}, "", (0,)),
    "Dot, normalized": (simple("Dot", 2, True), [(3, 5, 4), (3, 2, 4)], {}, "", (1,)),
    "Dot, normalized, forward": (simple("Dot", 1, True), [(3, 4), (3, 4)], {}, "", ()),
    "Reshape": (simple("Reshape", (4, 3)), [(3, 2, 6)], {}, "", (0,)),
    "Reshape forward": (simple("Reshape", (4, 3)), [(3, 2, 6)], {}, "", ()),
    "Flatten": (simple("Flatten"), [(3, 2, 5)], {}, "", (0,)),
    "Permute": (simple("Permute", (2, 3, 1)), [(3, 4, 4, 4)], {}, "", (0,)),
    "Permute forward": (simple("Permute", (2, 3, 1)), [(3, 4, 4, 4)], {}, "", ()),
    "Rescaling": (simple("Rescaling", 0.3, 0.2), [(3, 4)], {}, "", (0,)),
    "Rescaling forward": (simple("Rescaling", 0.3, 0.2), [(3, 4)], {}, "", ()),
    "RepeatVector": (simple("RepeatVector", 4), [(3, 5)], {}, "", (0,)),
    "UpSampling1D": (simple("UpSampling1D", 3), [(3, 4, 2)], {}, "", (0,)),
    "UpSampling2D": (simple("UpSampling2D", (2, 2)), [(3, 2, 3, 2)], {}, "", (0,)),
    "ZeroPadding1D": (simple("ZeroPadding1D", (0, 2)), [(3, 4, 2)], {}, "", (0,)),
    "ZeroPadding2D forward": (
        simple("ZeroPadding2D", ((0, 2), (1, 0))),
        [(3, 4, 3, 2)],
        {},
        "",
        (),
    ),
    "Cropping1D": (simple("Cropping1D", (1, 0)), [(3, 4, 2)], {}, "", (0,)),
    "Cropping2D forward": (simple("Cropping2D", ((0, 2), (1, 0))), [(3, 4, 3, 2)], {}, "", ()),
}


def place_of(case: Case, unit: float) -> Place:
    """Run a layer by hand, and describe its output, or one of its gradients."""
    make, shapes, options, weight, which = case
    generator = np.random.default_rng(11)

    def exact(array: Any) -> Noisy:
        return Noisy(np.array(array), unit=unit)

    layer = make()
    layer(*(Input(shape[1:]) for shape in shapes))
    for parameter in layer.parameters:
        parameter.value = exact(generator.normal(size=parameter.shape))
        parameter.gradient = exact(np.zeros(parameter.shape))
    xs = [exact(generator.normal(size=shape)) for shape in shapes]
    drawn = []
    if getattr(layer, "dropout", 0.0):
        heads = (layer.query_heads,) if hasattr(layer, "query_heads") else ()
        drawn = [exact(generator.uniform(size=(3, *heads, 5, 5)))]
        layer.draws.replay(drawn)
    y, saved = layer.forward(xs if len(xs) > 1 else xs[0], training=True, **options)
    dz = exact(generator.normal(size=y.shape))
    back = layer.backward(dz, saved)
    dxs = back if isinstance(back, list) else [back]
    around = {
        "x": xs if len(xs) > 1 else xs[0],
        "y": y,
        "dz": dz,
        "options": options,
        "masks": [None] * len(xs),
        "drawn": drawn,
        **{parameter.name: parameter.value for parameter in layer.parameters},
    }
    around |= {"W": around.get("kernel"), "b": around.get("bias")}
    if weight:
        gradient = next(p.gradient for p in layer.parameters if p.name == weight)
        return Place("weight gradient", f"layer/{weight}", gradient, layer, around, FACTS)
    if not which:
        return Place("activation", "layer", y, layer, around, FACTS)
    right = dxs[which[0]]
    for other in which[1:]:
        right = right + dxs[other]
    around |= {"which": list(which)}
    return Place("activation gradient", "x", right, layer, around, FACTS)


def branches(unit: float) -> Place:
    """Describe the gradient of what a skip connection and two other branches use."""
    parts = [place_of(CASES[name], unit) for name in ("attention, of itself", "dot, of the query")]
    skip = place_of((simple("Add"), SELF, {}, "", (0,)), unit)
    total = parts[0].right + parts[1].right + skip.right
    shares = {"shares": [*parts, skip]}
    return Place("activation gradient", "x", total, None, shares, FACTS)


PLACES: dict[str, Callable[[float], Place]] = {
    **{name: lambda unit, case=case: place_of(case, unit) for name, case in CASES.items()},
    "three branches": branches,
}


def differs(one: Noisy, other: Noisy, size: float) -> bool:
    """Say whether two arrays differ by far more than rounding (or one is not finite).

    ``size`` is that of what stands there: what a slip makes 0 is 0 to within its rounding only.
    """
    a, b = one.value, other.value
    with np.errstate(all="ignore"):
        scale = max(float(np.max(np.abs(b))), 2.0**-10 * size)
        return bool(np.isfinite(a).all() and np.max(np.abs(a - b)) > 2.0**-16 * scale)


@pytest.mark.parametrize("name", PLACES)
def test_every_slip_is_recognised_and_a_near_miss_is_not(name: str) -> None:
    """Alternate the precisions over the cases: each hypothesis meets both.

    Put what a hypothesis proposes in the place of the right numbers: it, or one that gives the same
    numbers, is named. With every number some thousandths off, it is not.
    """
    place = PLACES[name](UNITS["float32" if len(name) % 2 else "float64"])
    assert diagnose(place, place.right.value) == []
    size = float(np.max(np.abs(place.right.value)))
    with np.errstate(all="ignore"):
        proposed = [one for one in candidates(place) if differs(one.value, place.right, size)]
    single = [one for one in proposed if one.slips == 1]
    assert len({one.sentence for one in single}) > 1
    for candidate in single if len(single) < 90 else single[::7]:
        value = candidate.value.value
        with np.errstate(all="ignore"):
            same = {
                one.sentence for one in proposed if not differs(one.value, candidate.value, size)
            }
        found = {cause.sentence for cause in explained(place, proposed, value)}
        assert candidate.sentence in found
        assert found <= same, candidate.sentence
        if np.max(np.abs(value)) > 2.0**-10 * size:  # nothing is near to nothing
            off = 1.0 + 0.004 * np.cos(np.arange(value.size) + 1.0).reshape(value.shape)
            near = {cause.sentence for cause in explained(place, proposed, value * off)}
            assert candidate.sentence not in near


def explained(place: Place, proposed: list[Any], wrong: np.ndarray) -> list[Any]:
    """Return what `diagnose` would say, without computing every candidate anew."""
    with np.errstate(all="ignore"):
        return [cause for one in proposed if (cause := fits(one, wrong)) is not None]


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("Average", "the division by the number of inputs is missing"),
        ("Multiply", "the whole product stands for the other factors"),
        ("attention", "the scores are not divided by √h"),
        ("attention, causal", "the causal mask is missing"),
        ("attention, of itself", "the gradient through the value is forgotten"),
        ("UpSampling1D", "the copies' gradients are averaged instead of summed"),
    ],
)
def test_what_is_true_of_the_layer_is_named_before_a_mere_factor(name: str, sentence: str) -> None:
    place = PLACES[name](UNITS["float64"])
    wrong = next(one for one in candidates(place) if one.sentence.startswith(sentence))
    assert diagnose(place, wrong.value.value)[0].sentence.startswith(sentence)


def test_another_layers_hypotheses_keep_silent() -> None:
    """A slip of attention is no explanation at a Multiply, and the other way round."""
    about_softmax = {one.sentence for one in candidates(PLACES["attention"](UNITS["float64"]))}
    assert any("softmax" in sentence for sentence in about_softmax)
    for name in ("Multiply", "Add", "Reshape", "Dot"):
        said = {one.sentence for one in candidates(PLACES[name](UNITS["float64"]))}
        assert not any("softmax" in sentence or "mask" in sentence for sentence in said)


@pytest.mark.parametrize(("name", "slip"), [("Add", False), ("Subtract", False), ("Average", True)])
def test_what_adds_passes_a_gradient_on_rightly(name: str, slip: bool) -> None:
    """Else an Add takes the blame for what is wrong in the branch beside it."""
    said = {one.sentence for one in candidates(PLACES[name](UNITS["float64"]))}
    assert any("passes unchanged" in sentence for sentence in said) is slip


def test_random_numbers_have_no_cause() -> None:
    """A wrong guess is worse than none."""
    generator = np.random.default_rng(2)
    for name in ("attention, of itself", "dot", "Multiply", "Dot, normalized", "Permute"):
        place = PLACES[name](UNITS["float32"])
        assert diagnose(place, generator.normal(size=place.right.shape)) == []
