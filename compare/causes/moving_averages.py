"""Slips in the moving averages of batch normalization: their shares, and of what."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from compare.causes.base import Candidate, Place, hypothesis
from compare.causes.standardization import MOMENTA, Setting, remembered, setting
from manual.layers import BatchNormalization


@hypothesis("state")
def moving_average(place: Place) -> Iterator[Candidate]:
    """Propose m · old + (1 − m) · new with other shares, or another new."""
    of = setting(place)
    if of is None or not isinstance(place.map, BatchNormalization):
        return
    name, m = place.name.rsplit("/", 1)[-1], place.map.momentum
    old, letter = place.inputs[name], "μ" if name == "moving_mean" else "σ²"

    def flat(statistic: Any) -> Any:
        return statistic.reshape(-1)

    mean, variance = flat(of.mu), flat(of.variance)
    new, other = (mean, variance) if name == "moving_mean" else (variance, mean)
    yield Candidate("the moving average is never updated", old, f"{letter}⁺ = {letter}̄")
    yield Candidate(
        "the momentum is taken for the share of the new",
        old * (1.0 - m) + new * m,
        f"(1 − momentum) · old + momentum · {letter}",
    )
    yield Candidate("the batch's statistic replaces the average", new, letter)
    yield Candidate("1 − momentum is forgotten", old * m + new, f"momentum · old + {letter}")
    yield Candidate(
        "the old is not multiplied by the momentum",
        old + new * (1.0 - m),
        f"old + (1 − momentum) · {letter}",
    )
    yield Candidate("only the new is there", new * (1.0 - m), f"(1 − momentum) · {letter}")
    yield Candidate("only the old is there", old * m, "momentum · old")
    yield Candidate("old and new are averaged", (old + new) * 0.5, f"(old + {letter}) / 2")
    yield Candidate(
        "the average is updated twice",
        old * (m * m) + new * (1.0 - m * m),
        "momentum² · old + (1 − momentum²) · new",
    )
    yield Candidate(
        "the average moves away from the batch's statistic: the difference has the wrong sign",
        old + (old - new) * (1.0 - m),
        f"old + (1 − momentum) · (old − {letter})",
    )
    for usual, whose in MOMENTA.items():
        if usual != m:
            yield Candidate(
                f"the momentum is {usual:g}, {whose}, instead of {m:g}",
                old * usual + new * (1.0 - usual),
            )
    yield from _of_another(place, of, old, m, other)


def _of_another(place: Place, of: Setting, old: Any, m: float, other: Any) -> Iterator[Candidate]:
    """Propose the right average of the wrong statistic."""
    epsilon, n, x = of.epsilon, of.n, of.x
    of_mean = place.name.endswith("/moving_mean")
    output = of.shifted(of.scaled((x - of.mu) * of.r))
    named: list[tuple[str, Any, str]] = []
    if of_mean:
        named += [
            ("the variance goes into the average of the mean", other, "μ̄⁺ from σ²"),
            ("it is the mean of the layer's output", of.mean(output), "μ̄⁺ from mean y"),
        ]
    else:
        v = of.variance
        named += [
            (
                "the variance is the unbiased one, as in PyTorch",
                v * (n / (n - 1.0)),
                "σ² = Σ (x − μ)² / (n − 1)",
            )
        ] * bool(np.ndim(n) or n > 1.0)
        named += [
            ("the mean goes into the average of the variance", other, "σ̄²⁺ from μ"),
            ("the deviation goes into the average, not its square", np.sqrt(v), "σ̄²⁺ from σ"),
            (
                "the deviation goes into the average, not its square, ε included",
                np.sqrt(v + epsilon),
                "σ̄²⁺ from √(σ² + ε)",
            ),
            ("ε goes into the average", v + epsilon, "σ̄²⁺ from σ² + ε"),
            (
                "the variance is taken without subtracting the mean",
                of.mean(np.square(x)),
                "σ² = mean x²",
            ),
            ("1 / √(σ² + ε) goes into the average", of.r, "σ̄²⁺ from r"),
        ]
        moving = remembered(place)
        assert moving is not None
        about = of.mean(np.square(x - moving[0]))
        named.append(("the variance is taken about the moving mean", about, "σ² = mean (x − μ̄)²"))
    for sentence, elsewhere in of.elsewhere():
        named.append((sentence, elsewhere.mu if of_mean else elsewhere.variance, ""))
        if not of_mean and elsewhere.count is not None:
            squares = elsewhere.mean(np.square(x - of.mu))
            named.append((f"in the variance, {sentence}", squares, ""))
    for sentence, statistic, formula in named:
        if np.size(statistic) == old.size:
            yield Candidate(sentence, old * m + statistic.reshape(-1) * (1.0 - m), formula)
