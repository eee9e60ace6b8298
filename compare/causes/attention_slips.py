"""What goes wrong in attention: each slip's sentence, the knobs it turns, and what comes of it."""

from __future__ import annotations

from compare.causes.attention_weights import Knobs

EVERY_MASK = ("query", "value", "key", "attention_mask")

DROPOUT_KNOBS: dict[str, tuple[Knobs, str]] = {
    "the dropout of the weights is left out": ({"dropout": "left out"}, ""),
    "the weights that dropout keeps are not enlarged": ({"dropout": "not enlarged"}, ""),
    "the weights that dropout keeps are multiplied by 1 − rate": ({"dropout": "multiplied"}, ""),
    "the dropout of the weights drops what should be kept": ({"dropout": "inverted"}, ""),
}
SPLIT_KNOBS: dict[str, tuple[Knobs, str]] = {
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
}
SHARE_KNOBS: dict[str, tuple[Knobs, str]] = {
    "the gradient through the query is forgotten": ({"without": ("query",)}, ""),
    "the gradient through the key is forgotten": ({"without": ("key",)}, ""),
    "the gradient through the value is forgotten": ({"without": ("value",)}, ""),
    "only the gradient through the query is there": ({"without": ("key", "value")}, ""),
    "only the gradient through the value is there": ({"without": ("query", "key")}, ""),
}
TURNED_KNOBS: dict[str, tuple[Knobs, str]] = {
    "the gradient of the key: the scores' gradient is not transposed": (
        {"dK_untransposed": True},
        "dK = dS · Q",
    ),
    "the gradient of the query: the scores' gradient is transposed": (
        {"dQ_turned": True},
        "dQ = dSᵀ · K",
    ),
    "the gradient of the value: the weights are not transposed": (
        {"dV_untransposed": True},
        "dV = A · dC",
    ),
}
VALUE_KNOBS: dict[str, tuple[Knobs, str]] = {
    "the gradient of the value is made of the scores instead of their softmax": (
        {"for_dV": "S"},
        "dV = Sᵀ · dC",
    ),
    "the gradient of the value is made of the weights before dropout": ({"for_dV": "A"}, ""),
}
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
    "the causal mask is aligned at the ends of queries and keys, not at their beginnings": (
        {"causal": "at the end"},
        "M = [s ≤ t + S − T]",
    ),
    "a causal mask is there without being asked for": ({"causal": "added"}, "M = [s ≤ t]"),
    "the mask is ignored": ({"without_mask": EVERY_MASK}, "A = softmax(S)"),
    "the mask of the values is ignored": ({"without_mask": ("value", "key")}, ""),
    "the attention mask is ignored": ({"without_mask": ("attention_mask",)}, ""),
    "the mask of the queries is applied to the keys": ({"keys_as_queries": True}, ""),
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
    **SPLIT_KNOBS,
    "the heads are split in the wrong order: their numbers are interleaved": (
        {"split": "interleaved"},
        "",
    ),
    "the heads are joined in the wrong order: their numbers are interleaved": (
        {"split": "joined interleaved"},
        "",
    ),
    "query heads share keys in turn instead of with their neighbours": ({"alternating": True}, ""),
    "the output projection is transposed": ({"output_turned": True}, "y = C · W_Oᵀ + b_O"),
    "the bias of the query is forgotten": ({"without_bias": ("query",)}, "Q = x_q W_Q"),
    "the bias of the value is forgotten": ({"without_bias": ("value",)}, "V = x_v W_V"),
    "the bias of the output is forgotten": ({"without_bias": ("attention_output",)}, "y = C W_O"),
    "the bias of the query is added twice": ({"bias_twice": ("query",)}, "Q = x_q W_Q + 2 b_Q"),
    "the bias of the value is added twice": ({"bias_twice": ("value",)}, "V = x_v W_V + 2 b_V"),
    "the bias of the output is added twice": (
        {"bias_twice": ("attention_output",)},
        "y = C W_O + 2 b_O",
    ),
    "all biases are forgotten": (
        {"without_bias": ("query", "key", "value", "attention_output")},
        "",
    ),
    "the bias of the key is forgotten": ({"without_bias": ("key",)}, "K = x_k W_K"),
    "the values are projected from the query's input": (
        {"projects": {"value": "query"}},
        "V = x_q W_V",
    ),
    "the keys are projected from the query's input": (
        {"projects": {"key": "query"}},
        "K = x_q W_K",
    ),
    "the keys are projected from the value's input": (
        {"projects": {"key": "value"}},
        "K = x_v W_K",
    ),
    "the sliding window is ignored": ({"window": "missing"}, ""),
    "the sliding window is one too wide": ({"window": "wide"}, "M = [|t − s| ≤ w]"),
    "the sliding window is one too narrow": ({"window": "narrow"}, "M = [|t − s| < w − 1]"),
    "the sliding window looks back only": ({"window": "causal"}, "M = [0 ≤ t − s < w]"),
    **DROPOUT_KNOBS,
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
    "the gradient of the query is divided by h instead of √h": (
        {"scale": "h", "scale_of": "query"},
        "dQ = dS · K / h",
    ),
    "the gradient of the key is divided by h instead of √h": (
        {"scale": "h", "scale_of": "key"},
        "dK = dSᵀ · Q / h",
    ),
    "the scores' gradient is divided by h instead of √h": ({"scale": "h"}, "dQ = dS · K / h"),
    "the scores' gradient is divided by the root of the embedding's size": (
        {"scale": "embedding"},
        "dQ = dS · K / √d",
    ),
    **TURNED_KNOBS,
    "the gradients of query and key are swapped": ({"swapped": True}, "dQ = dSᵀ · Q, dK = dS · K"),
    "the gradient of the query is made of the query instead of the key": (
        {"dQ_with_Q": True},
        "dQ = dS · Q / √h",
    ),
    "the gradient of the key is made of the key instead of the query": (
        {"dK_with_K": True},
        "dK = dSᵀ · K / √h",
    ),
    **VALUE_KNOBS,
    "the keys stand for the values in the gradient of the weights": (
        {"for_values": "K"},
        "dA = dC · Kᵀ",
    ),
    "the output projection is not transposed": ({"output_turned": True}, "dC = dy · W_O"),
    "the projections are not transposed": ({"input_turned": True}, "dx = dQ · W_Q + …"),
    **SHARE_KNOBS,
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
        {"one_of_group": 0},
        "",
    ),
    "query heads that share a key: only the last one's gradient is there": (
        {"one_of_group": -1},
        "",
    ),
    "query heads that share a key: their gradients are averaged instead of summed": (
        {"mean_of_group": True},
        "",
    ),
    **SPLIT_KNOBS,
    **DROPOUT_KNOBS,
    "the softmax's derivative is taken at the weights after dropout": ({"dropped_twice": True}, ""),
}
