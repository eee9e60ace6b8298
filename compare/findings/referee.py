"""A third opinion on a disputed number.

Of a *gradient*: the loss itself, from forward passes only. The gradient of the loss says how much
the loss changes along any direction. Along the direction in which the two sides differ most, the
loss is computed a little ahead and a little behind, in float64; that difference knows no
derivative, and supports one side, both, or neither.

Of a *value or an update*: Keras's own map, alone and in float64. If it stands by what Keras had in
the working precision, the difference isn't one of rounding; if it sides with the hand derivation,
Keras lost the digits on the way.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from compare.rounding.judge import judge
from compare.rounding.noise import Noisy
from compare.rounding.reference import replay
from compare.rounding.reference_update import Named
from manual.backpropagation import Pass
from manual.network import Network

KERAS, BY_HAND = "Keras", "the hand derivation"

STEPS = (2.0**-12, 2.0**-14, 2.0**-16)
"""Relative to the size of what is moved. The middle one counts; the others tell its error."""

NEARER = 0.05
"""A side that is nearer than this share of what the two differ by is supported."""


@dataclass(frozen=True)
class Ruling:
    """What the third opinion is.

    Attributes
    ----------
    supports : str
        `KERAS`, the other side (`BY_HAND`), ``"both"``, ``"neither"``, or, where it can't decide,
        ``"nobody"``.
    value : float
        What it says: the central difference along the disputed direction, or the worst element.
    keras, by_hand : float
        What each side says of that.
    error : float
        How far the value may be off.
    why : str
        Where it can't decide: the reason.
    evidence : str
        Where the value comes from.
    """

    supports: str
    value: float
    keras: float
    by_hand: float
    error: float
    why: str = ""
    evidence: str = "a central difference of the loss"

    def __str__(self) -> str:
        if self.supports == "nobody":
            return f"cannot decide here: {self.why}"
        said = {
            "both": "is within rounding of both",
            "neither": "supports neither side",
        }.get(self.supports, f"supports {self.supports}")
        return f"{self.evidence}, {self.value:.6g}, {said}"


def undecided(why: str) -> Ruling:
    """Return a ruling that leaves it open, and says why."""
    return Ruling("nobody", np.nan, np.nan, np.nan, np.inf, why)


def value_ruling(alone: Any, keras: Any, by_hand: Noisy) -> Ruling:
    """Ask Keras's own map, run alone in float64, about a value or an update.

    Parameters
    ----------
    alone : array
        What it gives there.
    keras : array
        What it gave in the working precision.
    by_hand : Noisy
    """
    alone = np.asarray(alone, np.float64)
    if not np.isfinite(alone).all():
        return undecided("Keras's own map is not finite in float64")
    ruler = Noisy(alone, np.maximum(by_hand.noise, np.abs(alone)), unit=by_hand.unit)
    theirs, ours = judge(keras, ruler), judge(by_hand.value, ruler)
    sides = np.asarray(keras, np.float64), by_hand.value
    # By hand, noise is that of other numbers: where one side is far nearer, that is enough.
    enough = NEARER * float(np.max(np.abs(sides[0] - sides[1]), initial=0.0))
    theirs_near, ours_near = (
        verdict.agrees or float(np.max(np.abs(side - alone), initial=0.0)) <= enough
        for verdict, side in zip((theirs, ours), sides, strict=True)
    )
    supports = {(True, True): "both", (True, False): KERAS, (False, True): BY_HAND}
    index = ours.index if theirs_near else theirs.index
    value = float(alone[index])
    numbers = float(sides[0][index]), float(sides[1][index])
    evidence = "Keras's own map, alone in float64"
    return Ruling(
        supports.get((theirs_near, ours_near), "neither"), value, *numbers, 0.0, evidence=evidence
    )


def gradient_ruling(
    network: Network,
    x: Any,
    y: Any,
    sample_weight: Any,
    what: str,
    keras: np.ndarray,
    by_hand: np.ndarray,
    other_side: str = BY_HAND,
    drawn: Named | None = None,
) -> Ruling:
    """Ask the loss about the gradient of one weight, or of one node's output.

    Parameters
    ----------
    network : manual.Network
        In float64, with the weights that the step starts from. Only its forward pass is used.
    x, y, sample_weight : the batch
    what : str
        A weight's name, or a node's.
    keras, by_hand : arrays
        What each side says.
    other_side : str
        What the side that isn't Keras is called.
    drawn : mapping of str to array, optional
        The random numbers of the step, so that the loss is the same function every time.
    """
    keras, by_hand = np.asarray(keras, np.float64), np.asarray(by_hand, np.float64)
    apart = keras - by_hand
    size = float(np.linalg.norm(apart))
    if not np.isfinite(size):
        return undecided("a gradient is not finite")
    if size == 0.0:
        return Ruling("both", 0.0, 0.0, 0.0, 0.0)
    direction = apart / size
    says = float((keras * direction).sum()), float((by_hand * direction).sum())

    def forward(replaced: dict[int, np.ndarray] | None = None) -> Pass:
        replay(network, drawn or {})
        return network.forward(x, training=True, replaced=replaced)

    masks, moved = forward().masks, [False]

    def loss(run: Pass) -> float:
        pairs = zip(map(np.asarray, run.masks), map(np.asarray, masks), strict=True)
        moved.append(not all(np.array_equal(one, other) for one, other in pairs))
        return float(network.loss(run, y, sample_weight)[0].sum())

    with np.errstate(all="ignore"):
        slope, error = _slope(network, forward, loss, what, direction)
    if any(moved):  # a derivative takes them as they are
        return undecided("the masks change along the way")
    if not np.isfinite(slope):
        return Ruling("nobody", slope, *says, error, "the loss is not finite")
    far = [abs(slope - one) for one in says]
    if error > 0.25 * abs(says[0] - says[1]):
        if max(far) <= 2.0 * error:
            return Ruling("both", slope, *says, error)
        why = "the loss is too uneven, or the two sides too close"
        return Ruling("nobody", slope, *says, error, why)
    near = [distance <= max(2.0 * error, NEARER * abs(says[0] - says[1])) for distance in far]
    supports = "neither"
    if near[0] != near[1]:
        supports = KERAS if near[0] else other_side
    return Ruling(supports, slope, *says, error)


def _slope(
    network: Network,
    forward: Callable[..., Pass],
    loss: Callable[[Pass], float],
    what: str,
    direction: np.ndarray,
) -> tuple[float, float]:
    """Return the central difference of the loss along a direction, and how far it may be off."""
    parameter = network.parameters.get(what)
    node = next((i for i, one in enumerate(network.nodes) if one.name == what), -1)
    at = np.array(forward().values[node] if parameter is None else parameter.value)

    def loss_at(moved: np.ndarray) -> float:
        """Compute the loss with a weight, or with a node's output, replaced."""
        if parameter is None:
            return loss(forward({node: moved}))
        parameter.value[...] = moved
        return loss(forward())

    scale = float(np.sqrt(np.mean(np.square(at)))) or 1.0
    slopes, noise = [], 0.0
    for step in STEPS:
        h = step * scale / (float(np.max(np.abs(direction))) or 1.0)
        losses = [loss_at(at + sign * h * direction) for sign in (1.0, -1.0)]
        slopes.append((losses[0] - losses[1]) / (2.0 * h))
        noise = 16.0 * np.finfo(np.float64).eps * max(map(abs, losses)) / h
    if parameter is not None:
        parameter.value[...] = at
    coarse, middle, fine = slopes
    truncation = abs(coarse - middle) / 15.0 + abs(middle - fine)
    return middle, truncation + noise
