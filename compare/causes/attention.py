"""Slips in attention: scores, masks, softmax, heads, and each of their derivatives."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from compare.causes.attention_formulas import Heads, Knobs
from compare.causes.base import Candidate, Place, hypothesis
from manual.layers.multi_head_attention import ProjectedAttention

FORWARD_KNOBS: dict[str, tuple[Knobs, str]] = {
    "the softmax runs over the queries instead of the keys": (
        {"softmax_over": "queries"},
        "A = softmax(S) down the columns",
    ),
    "the softmax runs over the heads instead of the keys": ({"softmax_over": "heads"}, ""),
    "the softmax is left out": ({"no_softmax": True}, "A = S"),
    "the softmax is not divided by its sum": ({"unnormalised": True}, "A = e^(S − max S)"),
    "the causal mask is missing: a query looks at what comes after it": (
        {"causal": "missing"},
        "",
    ),
    "the causal mask is off by one: a query doesn't see its own position": (
        {"causal": "strict"},
        "M = [s < t]",
    ),
    "the causal mask is off by one: a query sees the position after its own": (
        {"causal": "late"},
        "M = [s ≤ t + 1]",
    ),
    "the causal mask is transposed: a query looks only at what comes after it": (
        {"causal": "turned"},
        "M = [s ≥ t]",
    ),
    "a causal mask is there without being asked for": ({"causal": "added"}, "M = [s ≤ t]"),
    "the mask is ignored": ({"masks_ignored": True}, "A = softmax(S)"),
    "the mask is the wrong way round: what counts is hidden": ({"inverted": True}, "M = not M"),
    "the mask is added with the wrong sign: what counts is pushed down": (
        {"hidden": "lowered"},
        "S − ∞ where it counts",
    ),
    "masked scores are set to +∞ instead of −∞": ({"hidden": "raised"}, ""),
    "masked scores are set to 0 instead of −∞": ({"hidden": "zeroed"}, "S = 0 where masked"),
    "the mask is applied after the softmax, whose sum is then not 1": ({"hidden": "seen"}, ""),
}
SOFTMAX_KNOBS: dict[str, tuple[Knobs, str]] = {
    "only the diagonal of softmax's derivative is used": (
        {"softmax_gradient": "diagonal"},
        "dS = dA · A (1 − A)",
    ),
    "the derivative of the softmax is missing": ({"softmax_gradient": "missing"}, "dS = dA"),
    "the row sum is missing in the softmax's derivative": (
        {"softmax_gradient": "no sum"},
        "dS = A · dA",
    ),
    "the row sum in the softmax's derivative is not weighted with A": (
        {"softmax_gradient": "plain sum"},
        "dS = A · (dA − Σ dA)",
    ),
    "the row sum in the softmax's derivative has the wrong sign": (
        {"softmax_gradient": "plus"},
        "dS = A · (dA + Σ dA A)",
    ),
    "the sum in the softmax's derivative runs over the queries instead of the keys": (
        {"softmax_gradient": "queries"},
        "dS = A · (dA − Σₜ dA A)",
    ),
}
"""Sentence, what is turned, and the formula that comes of it."""


SCALE_KNOBS: dict[str, tuple[Knobs, str]] = {
    "the scores are not divided by √h": ({"scale": "none"}, "S = Q · Kᵀ"),
    "the scores are divided by h instead of √h": ({"scale": "h"}, "S = Q · Kᵀ / h"),
    "the scores are multiplied by √h instead of divided": ({"scale": "root"}, "S = Q · Kᵀ √h"),
    "the scores are divided by the root of the embedding's size instead of a head's": (
        {"scale": "embedding"},
        "S = Q · Kᵀ / √d",
    ),
    "the scores are divided by the root of all heads' size instead of one's": (
        {"scale": "all heads"},
        "S = Q · Kᵀ / √(n h)",
    ),
    "the scores are divided by the root of the number of heads": ({"scale": "heads"}, ""),
    "the scores are divided by the root of the number of keys": ({"scale": "steps"}, ""),
    "1/√h is not rounded to float32, as it is in Keras": ({"unrounded": True}, ""),
}
PROJECTED_KNOBS: dict[str, tuple[Knobs, str]] = {
    **SCALE_KNOBS,
    **FORWARD_KNOBS,
    "query and key are swapped: the scores are transposed": (
        {"scores_turned": True},
        "S = K · Qᵀ / √h",
    ),
    "query and key are swapped: each has the other's projection": (
        {"exchanged": ("query", "key")},
        "Q = x_q W_K, K = x_k W_Q",
    ),
    "value and key are swapped: each has the other's projection": (
        {"exchanged": ("value", "key")},
        "K = x_k W_V, V = x_v W_K",
    ),
    "query and value are swapped: each has the other's projection": (
        {"exchanged": ("query", "value")},
        "Q = x_q W_V, V = x_v W_Q",
    ),
    "value and key are swapped: each projects the other's input": (
        {"exchanged_inputs": ("value", "key")},
        "K = x_v W_K, V = x_k W_V",
    ),
    "query and key are swapped: each projects the other's input": (
        {"exchanged_inputs": ("query", "key")},
        "Q = x_k W_Q, K = x_q W_K",
    ),
    "the heads are split in the wrong order: reshaped without a transposition": (
        {"split": "reshaped"},
        "",
    ),
    "the heads are joined in the wrong order: reshaped without a transposition": (
        {"split": "merged"},
        "",
    ),
    "the heads are split and joined in the wrong order: reshaped without a transposition": (
        {"split": "both"},
        "",
    ),
    "the heads are split in the wrong order: their numbers are interleaved": (
        {"split": "interleaved"},
        "",
    ),
    "query heads share keys in turn instead of with their neighbours": ({"alternating": True}, ""),
    "the output projection is transposed": ({"output_turned": True}, "y = C · W_Oᵀ + b_O"),
    "the bias of the query is forgotten": ({"without_bias": ("query",)}, "Q = x_q W_Q"),
    "the bias of the value is forgotten": ({"without_bias": ("value",)}, "V = x_v W_V"),
    "the bias of the output is forgotten": ({"without_bias": ("attention_output",)}, "y = C W_O"),
    "all biases are forgotten": (
        {"without_bias": ("query", "key", "value", "attention_output")},
        "",
    ),
    "the dropout of the weights is left out": ({"dropout": "left out"}, ""),
    "the weights that dropout keeps are not enlarged": ({"dropout": "not enlarged"}, ""),
}
GRADIENT_KNOBS: dict[str, tuple[Knobs, str]] = {
    **SOFTMAX_KNOBS,
    "the scores' gradient is not divided by √h": ({"scale": "none"}, "dQ = dS · K, dK = dSᵀ · Q"),
    "the gradient of the query is not divided by √h": (
        {"scale": "none", "scale_of": "query"},
        "dQ = dS · K",
    ),
    "the gradient of the key is not divided by √h": (
        {"scale": "none", "scale_of": "key"},
        "dK = dSᵀ · Q",
    ),
    "the scores' gradient is divided by h instead of √h": ({"scale": "h"}, "dQ = dS · K / h"),
    "the scores' gradient is divided by the root of the embedding's size": (
        {"scale": "embedding"},
        "dQ = dS · K / √d",
    ),
    "the gradient of the key: the scores' gradient is not transposed": (
        {"dK_untransposed": True},
        "dK = dS · Q / √h",
    ),
    "the gradient of the query: the scores' gradient is transposed": (
        {"dQ_turned": True},
        "dQ = dSᵀ · K / √h",
    ),
    "the gradient of the value: the weights are not transposed": (
        {"dV_untransposed": True},
        "dV = A · dC",
    ),
    "the gradients of query and key are swapped": ({"swapped": True}, "dQ = dSᵀ · Q, dK = dS · K"),
    "the gradient of the query is made of the query instead of the key": (
        {"dQ_with_Q": True},
        "dQ = dS · Q / √h",
    ),
    "the gradient of the key is made of the key instead of the query": (
        {"dK_with_K": True},
        "dK = dSᵀ · K / √h",
    ),
    "the gradient of the value is made of the scores instead of their softmax": (
        {"for_dV": "S"},
        "dV = Sᵀ · dC",
    ),
    "the gradient of the value is made of the weights before dropout": ({"for_dV": "A"}, ""),
    "the keys stand for the values in the gradient of the weights": (
        {"for_values": "K"},
        "dA = dC · Kᵀ",
    ),
    "the output projection is not transposed": ({"output_turned": True}, "dC = dy · W_O"),
    "the projections are not transposed": ({"input_turned": True}, "dx = dQ · W_Q + …"),
    "the gradient through the query is forgotten": ({"without": ("query",)}, ""),
    "the gradient through the key is forgotten": ({"without": ("key",)}, ""),
    "the gradient through the value is forgotten": ({"without": ("value",)}, ""),
    "only the gradient through the query is there": ({"without": ("key", "value")}, ""),
    "only the gradient through the value is there": ({"without": ("query", "key")}, ""),
    "only the first head's gradient is there": ({"head": 0}, ""),
    "only the last head's gradient is there": ({"head": -1}, ""),
    "the keys' input stands for the queries', and the other way round": (
        {"exchanged_inputs": ("query", "key")},
        "dW_Q = x_kᵀ · dQ, dW_K = x_qᵀ · dK",
    ),
    "the keys' input stands for the values', and the other way round": (
        {"exchanged_inputs": ("value", "key")},
        "dW_V = x_kᵀ · dV, dW_K = x_vᵀ · dK",
    ),
    "query heads that share a key: only the first one's gradient is there": (
        {"one_of_group": True},
        "",
    ),
    "the heads are split in the wrong order: reshaped without a transposition": (
        {"split": "reshaped"},
        "",
    ),
    "the heads are joined in the wrong order: reshaped without a transposition": (
        {"split": "merged"},
        "",
    ),
    "the heads are split and joined in the wrong order: reshaped without a transposition": (
        {"split": "both"},
        "",
    ),
    "the dropout of the weights is left out": ({"dropout": "left out"}, ""),
    "the weights that dropout keeps are not enlarged": ({"dropout": "not enlarged"}, ""),
    "the softmax's derivative is taken at the weights after dropout": ({"dropped_twice": True}, ""),
}


def possible(make: Callable[[], Any]) -> Any:
    """Return what a slip gives; None where the shapes don't allow it."""
    try:
        return make()
    except ValueError:
        return None


def variants(knobs: Knobs) -> Iterator[Knobs]:
    """Give a scale as Keras would round it, and as it is."""
    yield knobs
    if "scale" in knobs:
        yield {**knobs, "unrounded": True}


@hypothesis("activation")
def projected_forward(place: Place) -> Iterator[Candidate]:
    """Propose attention with one decision taken otherwise."""
    if not isinstance(place.map, ProjectedAttention) or not place.has("x", "y"):
        return
    for sentence, (turned, formula) in PROJECTED_KNOBS.items():
        for knobs in variants(turned):
            made = possible(Heads(place, knobs).forward)
            if made is not None:
                yield Candidate(sentence, made["y"], formula)


@hypothesis("activation gradient", "weight gradient")
def projected_gradient(place: Place) -> Iterator[Candidate]:
    """Propose each of attention's gradients with one decision taken otherwise."""
    if not isinstance(place.map, ProjectedAttention) or not place.has("x", "y", "dz"):
        return
    right = Heads(place).forward()
    if place.phase == "activation gradient":
        quantity = "dx"
    else:
        quantity = place.name.split("/", 1)[1]
        steps = right["A"].shape[-1 if quantity.startswith(("key", "value")) else -2]
        yield Candidate(
            f"the gradient is averaged over the {steps} positions instead of summed",
            place.right / float(steps),
        )
    for sentence, (turned, formula) in GRADIENT_KNOBS.items():
        for knobs in variants(turned):
            made = possible(partial(Heads(place, knobs).backward, right))
            if made is not None and made[quantity] is not None:
                yield Candidate(sentence, made[quantity].reshape(*place.right.shape), formula)
