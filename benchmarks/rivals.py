"""Which of the traps other ways of comparing gradients fall into.

    python benchmarks/rivals.py

Every trap is a right gradient with a fault planted in it. Each way of comparing gets the right
array and the faulty one, at its defaults, and says whether they are equal. Two rows hold no fault:
the same sum in another order, and the other derivative of a ReLU at 0. There the column of
``gradcheck`` holds the central difference against the derivative, as that does. The rounding noise
is that of the gradient as it is derived by hand; torch is asked only where it is installed
(``pip install -e ".[rivals]"``).

Some faults only show in training. There each way gets every gradient of three steps, from both
halves, which start from the same weights and train on by themselves; the judge runs its lock-step.
A first row is that of a right training.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

import manual
from compare import lockstep
from compare.rounding.judge import judge, judge_at_kinks
from compare.rounding.noise import Noisy, resolved
from compare.twins.twin import twin_network
from keras_models import Recorder

import keras  # isort: skip  (behind keras_models, which loads TensorFlow quietly)

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


Z = np.array([[-1.0, 0.0, 2.0], [0.0, 0.5, 0.0]], np.float32)
"""Pre-activations of which some lie at ReLU's kink."""


def relu_gradient(z: Any, at_0: float) -> Any:
    """Return the derivative of Σ max(z, 0), with a value of its own at 0."""
    return 1.0 * (z > 0.0) + at_0 * (1.0 * (z >= 0.0) - 1.0 * (z > 0.0))


def at_a_kink(ways: dict[str, Callable[[Numbers, Numbers], bool]]) -> list[str]:
    """Say what each way makes of the derivative 1 at 0, where the other side takes 0."""
    zero, one = (relu_gradient(Z, at_0).astype(np.float32) for at_0 in (0.0, 1.0))
    z, eps = Z.astype(np.float64), 1e-6
    slope = (np.maximum(z + eps, 0.0) - np.maximum(z - eps, 0.0)) / (2 * eps)
    said = {name: way(zero, one) for name, way in ways.items()}
    said["gradcheck's"] = like_gradcheck(slope, one)
    ends = []
    for way in (False, True):
        with resolved(way):
            ends.append(Noisy(relu_gradient(Noisy(Z, unit=UNIT), 0.0), unit=UNIT))
    ours = judge_at_kinks(one, Noisy(zero, unit=UNIT), ends, between=True)
    return ["passes" if passes else "alarm" for passes in (*said.values(), ours is not None)]


# ---------------------------------------------------------------------- faults within a training

_right_backward, _right_adam = manual.Dense.backward, manual.optimizers.Adam.update


def only_in_the_last_batch(self: Any, dz: Any, x: Any) -> Any:
    """Average the last, smaller batch over the size of a full one."""
    return _right_backward(self, dz * (len(dz) / BATCH), x)


def only_at_step_2(self: Any, w: Any, g: Any, slots: Any, t: Any, learning_rate: float) -> None:
    """Double the gradient at the second step."""
    second = float(getattr(t, "value", t)) == 2
    _right_adam(self, w, g * (2.0 if second else 1.0), slots, t, learning_rate)


def only_in_memory(self: Any, w: Any, g: Any, slots: Any, t: Any, learning_rate: float) -> None:
    """Update the weights rightly, and remember a velocity that is a thousandth too large."""
    _right_adam(self, w, g, slots, t, learning_rate)
    slots["velocity"] *= 1.0 + 2.0**-10


IN_TRAINING: dict[str, tuple[Any, str, Any]] = {
    "none: three steps of Adam": (manual.Dense, "backward", _right_backward),
    "only in the last, smaller batch": (manual.Dense, "backward", only_in_the_last_batch),
    "only at step 2": (manual.optimizers.Adam, "update", only_at_step_2),
    "only in the optimizer's memory": (manual.optimizers.Adam, "update", only_in_memory),
}
BATCH, SAMPLES = 16, 40


def trained() -> tuple[Any, Numbers, Numbers]:
    """Return a compiled model and its data: two full batches, and one of half the size."""
    keras.utils.set_random_seed(0)
    hidden = keras.layers.Dense(8, "tanh", name="hidden")
    model = keras.Sequential([keras.Input((6,)), hidden, keras.layers.Dense(3, name="out")])
    model.compile(keras.optimizers.Adam(0.01), "mse")
    x, y = np.random.default_rng(0).normal(size=(2, SAMPLES, 6)).astype(np.float32)
    return model, x, y[:, :3]


def gradients_of_both(twin: Any) -> Iterator[tuple[Numbers, Numbers]]:
    """Train both halves on their own, and give their gradients, weight by weight."""
    model, x, y = trained()
    records: list[Any] = []
    recorder = Recorder(records.append)
    model.fit(x, y, batch_size=BATCH, shuffle=False, verbose=0, callbacks=[recorder])
    recorder.restore()
    for record in records:
        twin.train_step(record.x, record.y)
        for name, parameter in twin.parameters.items():
            yield record.gradients[name], parameter.gradient.copy()


def in_training(
    ways: dict[str, Callable[[Numbers, Numbers], bool]], fault: tuple[Any, str, Any]
) -> list[bool]:
    """Say for each way, and the judge, whether it takes the two trainings for equal."""
    owner, method, function = fault
    right = getattr(owner, method)
    setattr(owner, method, function)
    try:
        pairs = list(gradients_of_both(twin_network(trained()[0])))
        report = lockstep(*trained(), batch_size=BATCH, shuffle=False)
    finally:
        setattr(owner, method, right)
    return [all(way(*pair) for pair in pairs) for way in ways.values()] + [report.ok]


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
    table.add_row("none: a ReLU's derivative at 0", *at_a_kink(ways))
    for name, trap in TRAPS.items():
        scale = np.float32(1e-4) if name in SMALL else np.float32(1.0)
        small, wrong = right * scale, trap(right * scale)
        cells = ["missed" if way(small, wrong) else "caught" for way in ways.values()]
        ours = "missed" if judge(wrong, reference * float(scale)).agrees else "caught"
        table.add_row(name, *cells, ours)
    for name, fault in IN_TRAINING.items():
        passes, fails = ("passes", "alarm") if fault[2] is _right_backward else ("missed", "caught")
        table.add_row(name, *(passes if one else fails for one in in_training(ways, fault)))
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
