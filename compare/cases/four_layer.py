"""4-2-2-1 in matrix notation: z², a², z³, a³, s."""

from __future__ import annotations

import numpy as np

from compare.cases.base import Case, Number, Run, delta, gradient, loss, output

X, Y = np.array([[1.0, -0.5, 0.25, 2.0]]), np.array([[1.0]])


def four_layer() -> Case:
    """C = (s − y)² with a linear s; and the cross-entropy, with a sigmoid on s."""
    squared = Run(
        network="four_layer",
        x=X,
        y=Y,
        loss="mse",
        learning_rate=0.1,
        batch_size=1,
        epochs=10,
        label="squared error",
        other_ways={"element by element": "element_by_element"},
        print_every=5,
    )
    entropy = squared.changed(
        label="cross-entropy",
        loss="binary_crossentropy",
        options={"output": "sigmoid"},
        other_ways={"element by element": "element_by_element_cross_entropy"},
    )
    nodes = {
        "z²": ("layer_2/pre_activation", ("1.175", "-0.675")),
        "a²": ("layer_2", ("0.764047599797", "0.337378162830")),
        "z³": ("layer_3/pre_activation", ("0.144263014807", "0.568188513880")),
        "a³": ("layer_3", ("0.536003334115", "0.638345079199")),
        "s": ("s", ("-0.145707903987",)),
    }
    deltas = {
        "δ³": ("layer_3/pre_activation", ("-0.455906981610", "0.476097946006")),
        "δ²": ("layer_2/pre_activation", ("0.0182580807145", "0.115271523098")),
    }
    weights = {
        "dW³": ("s/kernel", (("-1.22820651292",), ("-1.46271400542",))),
        "dW²": (
            "layer_3/kernel",
            (("-0.348334635030", "0.363761492914"), ("-0.153813059877", "0.160625050351")),
        ),
        "dW¹": (
            "layer_2/kernel",
            (
                ("0.0182580807145", "0.115271523098"),
                ("-0.00912904035726", "-0.0576357615489"),
                ("0.00456452017863", "0.0288178807744"),
                ("0.0365161614290", "0.230543046195"),
            ),
        ),
    }
    return Case(
        name="four_layer",
        title="4-2-2-1 in matrix notation, two cost functions",
        runs=(squared, entropy),
        numbers=(
            *(
                Number(f"{symbol}{_sub(unit)}", digits, output(X, node, unit), printed=False)
                for symbol, (node, row) in nodes.items()
                for unit, digits in enumerate(row)
            ),
            Number("C", "1.31264660126", loss, printed=False),
            *(
                Number(f"{symbol}{_sub(unit)}", digits, delta(node, unit), printed=False)
                for symbol, (node, row) in deltas.items()
                for unit, digits in enumerate(row)
            ),
            *(
                Number(f"{symbol}{_sub(j)}{_sub(i)}", digits, gradient(name, i, j), printed=False)
                for symbol, (name, matrix) in weights.items()
                for i, row in enumerate(matrix)
                for j, digits in enumerate(row)
            ),
        ),
        lesson="Two or three matrix products a layer give the same numbers as the subscripts, "
        "element by element.",
        symbols={
            **{
                f"{node}[{unit}]": f"{symbol}{_sub(unit)}"
                for symbol, (node, row) in nodes.items()
                for unit in range(len(row))
            },
            "s[0]": "s",
            **{f"input[{unit}]": f"x{_sub(unit)}" for unit in range(4)},
            **_weight_symbols("layer_2", "1", 4, 2),
            **_weight_symbols("layer_3", "2", 2, 2),
            **_weight_symbols("s", "3", 2, 1),
        },
        error="C",
    )


def _sub(unit: int) -> str:
    return "₁₂₃₄"[unit]


def _weight_symbols(layer: str, number: str, inputs: int, units: int) -> dict[str, str]:
    """W¹₂₃ leads from unit 3 to unit 2: the Keras kernel's indices the other way round."""
    power = {"1": "¹", "2": "²", "3": "³"}[number]
    names = {
        f"{layer}/kernel[{i},{j}]": f"W{power}{_sub(j)}{_sub(i)}"
        for i in range(inputs)
        for j in range(units)
    }
    return {**names, **{f"{layer}/bias[{j}]": f"b{power}{_sub(j)}" for j in range(units)}}
