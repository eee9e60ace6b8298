"""Which of the traps other ways of comparing gradients fall into.

    python benchmarks/rivals.py

Every trap is a right gradient with a fault planted in it. Each way of comparing gets the right
array and the faulty one, at its defaults, and says whether they are equal. The rounding noise is
that of the gradient as it is derived by hand; torch is asked only where it is installed.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec

import numpy as np
from rich.console import Console
from rich.table import Table

from compare.judge import judge
from compare.noise import Noisy

Numbers = np.ndarray
UNIT = 2.0**-24


def inputs() -> tuple[Numbers, Numbers]:
    """Return a batch of 32 that enters a layer, and the gradient that comes back, in float32."""
    generator = np.random.default_rng(0)
    x, dz = generator.normal(size=(2, 32, 300)) * [[[1.0]], [[1e-3]]]
    return x.astype(np.float32), dz.astype(np.float32)


def one_in_a_hundred_thousand(right: Numbers) -> Numbers:
    """Make the smallest of 90,000 elements three times as large."""
    wrong = right.copy()
    wrong.flat[np.abs(right).argmin()] *= 3
    return wrong


TRAPS: dict[str, Callable[[Numbers], Numbers]] = {
    "transposed square matrix": lambda right: right.T.copy(),
    "rows rolled: the same mean": lambda right: np.roll(right, 1, axis=0),
    "a thousandth of it, below 1e-5": lambda right: right * np.float32(1e-3),
    "every element off by 1e-5": lambda right: right * np.float32(1 + 1e-5),
    "one small element of 90,000": one_in_a_hundred_thousand,
}
SMALL = {"a thousandth of it, below 1e-5"}
"""Traps in which the right gradient is small as well: one of a nearly trained network."""


def numpy_default(right: Numbers, wrong: Numbers) -> bool:
    """Say what ``np.testing.assert_allclose`` says: rtol 1e-7, atol 0."""
    try:
        np.testing.assert_allclose(wrong, right)
    except AssertionError:
        return False
    return True


def torch_default(right: Numbers, wrong: Numbers) -> bool:
    """Say what ``torch.testing.assert_close`` says: rtol 1.3e-6, atol 1e-5 for float32."""
    import torch

    try:
        torch.testing.assert_close(torch.from_numpy(wrong), torch.from_numpy(right))
    except AssertionError:
        return False
    return True


def same_means(right: Numbers, wrong: Numbers) -> bool:
    """Compare the tensors' means, to a relative 1e-5."""
    return bool(abs(wrong.mean() - right.mean()) <= 1e-5 * abs(right.mean()))


def like_gradcheck(right: Numbers, wrong: Numbers) -> bool:
    """Compare as a finite-difference check does: absolute 1e-5, relative 1e-3."""
    return bool(np.allclose(wrong, right, rtol=1e-3, atol=1e-5))


def main() -> None:
    """Print the table."""
    x, dz = inputs()
    right, reference = x.T @ dz, Noisy(x, unit=UNIT).T @ Noisy(dz, unit=UNIT)
    ways: dict[str, Callable[[Numbers, Numbers], bool]] = {
        "assert_allclose": numpy_default,
        "gradcheck's": like_gradcheck,
        "means": same_means,
    }
    if find_spec("torch") is not None:
        ways["assert_close"] = torch_default
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("trap")
    for way in (*ways, "noise"):
        table.add_column(way)
    other_order = np.einsum("bi,bo->io", x, dz)
    plain = ["alarm" if not way(right, other_order) else "passes" for way in ways.values()]
    ours = "passes" if judge(other_order, reference).agrees else "alarm"
    table.add_row("none: summed in another order", *plain, ours)
    for name, trap in TRAPS.items():
        scale = np.float32(1e-4) if name in SMALL else np.float32(1.0)
        small, wrong = right * scale, trap(right * scale)
        cells = ["missed" if way(small, wrong) else "caught" for way in ways.values()]
        ours = "missed" if judge(wrong, reference * float(scale)).agrees else "caught"
        table.add_row(name, *cells, ours)
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
