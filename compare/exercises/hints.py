"""Hints about an attempt, each more specific than the one before: the formula comes last."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from compare.exercises.attempt import Attempt, Held
from compare.exercises.patterns import pattern
from manual.layers import Activation

LEVELS = ("phase", "layer", "property", "cause", "formula")
"""What each hint is about, from the vaguest on."""

MOST = 4
"""So many arrays that are right are listed by name."""

_ON_THE_WAY = {
    "forward": "On the way forward, {name} is the first number that is wrong{after}.",
    "backward": "On the way back, the gradient of {name} is the first that is wrong{after}.",
    "update": "From the right gradients, {name} comes out wrong{after}.",
}


def hints(attempt: Attempt) -> Iterator[tuple[str, str]]:
    """Give all hints, each with what it is about; each is found out when it is asked for.

    About what is wrong, if anything is; else about what is still open.
    """
    if not attempt.ok:
        told = _about_a_fault(attempt) if attempt.wrong else _about_a_gap(attempt)
        yield from zip(LEVELS, told, strict=True)


# ---------------------------------------------------------------------- about what is wrong


def _about_a_fault(attempt: Attempt) -> Iterator[str]:
    """Go from the function that is wrong to the formula of its first wrong array."""
    function, *_ = attempt.wrong
    arrays = attempt.judged[function]
    place = next(n for n, one in enumerate(arrays) if not one.agrees)
    first, before = arrays[place], [one.name for one in arrays[:place]]
    also = f"; {_are(attempt.right)} right" if attempt.right else ""
    drawn = " That shows only on drawn numbers, not on the example's own." * attempt.drawn
    yield f"{function} is wrong{also}.{drawn}"
    known = before if len(before) <= MOST else [f"all {len(before)} arrays"]
    after = f"; {_are(known, ' before it')} right" if before else ""
    layer = first.comparison.derivation.layer
    layer = first.name.partition("/")[0] if function == "update" else layer
    yield f"{layer}. {_ON_THE_WAY[function].format(name=first.name, after=after)}"
    yield f"in {first.name}, {_property(attempt, function, first)}."
    causes = _causes(first)
    if causes:
        others = f" Or: {causes[1].sentence}." if len(causes) > 1 else ""
        yield f"{causes[0].sentence}.{others}"
    else:
        yield "no slip that is known gives these numbers; there may be more than one."
    instead = f" Instead, you have: {causes[0].formula}." if causes and causes[0].formula else ""
    before_it = _on_the_way_to(attempt, first) if function == "backward" else []
    yield f"{_one_after_the_other([*before_it, first.comparison.derivation.formula])}{instead}"


def _property(attempt: Attempt, function: str, held: Held) -> str:
    """Say how an array is wrong; of a new weight, how its step is."""
    old = attempt.step.record.before.get(held.name)
    if function != "update" or old is None:
        return pattern(held.theirs, held.right)
    step = pattern(held.theirs - old, held.right - old)
    return f"seen as a step from the old weight to the new, {step}"


def _causes(held: Held) -> Any:
    diagnose = held.comparison.diagnose
    assert diagnose is not None, "what is wrong can be diagnosed"
    return diagnose().causes


def _on_the_way_to(attempt: Attempt, held: Held) -> list[str]:
    """Return the formulas that lead from what is right to a weight's gradient.

    If another gradient of the layer is right, so is all that the two have in common.
    """
    layer = held.name.rpartition("/")[0]
    of_layer = [one for one in attempt.judged["backward"] if one.name.rpartition("/")[0] == layer]
    if any(one.agrees for one in of_layer):
        return []
    network = attempt.step.reference.network
    index = next(i for i, node in enumerate(network.nodes) if node.layer.name == layer)
    formulas: list[str] = []
    while True:
        head = next((one for one in network.heads if one.reads == index), None)
        if head is not None:
            return [head.loss.derivation["input gradient"], *formulas]
        index = next(i for i, node in enumerate(network.nodes) if index in node.inputs)
        user = network.nodes[index].layer
        formulas.insert(0, user.derivation["input gradient"])
        if not isinstance(user, Activation):
            return formulas


# ---------------------------------------------------------------------- about what is open


def _about_a_gap(attempt: Attempt) -> Iterator[str]:
    """Lead through the first function that has a gap."""
    function, *_ = attempt.open
    yield f"{function} has the first gap."
    yield from {"forward": _through, "backward": _back, "update": _onward}[function](attempt)


def _through(attempt: Attempt) -> Iterator[str]:
    nodes = [node for node in attempt.step.reference.network.nodes if not node.is_input]
    yield f"it goes through {listed(dict.fromkeys(node.layer.name for node in nodes))}."
    yield _shapes({node.name: attempt.step.tape["activation"][node.name] for node in nodes})
    yield "each layer takes what the one before it gives, and its own weights."
    yield _one_after_the_other(node.layer.derivation["forward"] for node in nodes)


def _back(attempt: Attempt) -> Iterator[str]:
    network = attempt.step.reference.network
    (head,) = network.heads
    nodes = [node for node in network.nodes[head.reads :: -1] if not node.is_input]
    names = dict.fromkeys(node.layer.name for node in nodes)
    yield f"it starts at the loss and goes back through {listed(names)}."
    yield _shapes(attempt.step.trainable)
    yield "each gradient is the one from the right times the local derivative."
    formulas = [head.loss.derivation["input gradient"]]
    for layer in (node.layer for node in nodes):
        weights = [parameter.name for parameter in layer.parameters]
        formulas += [layer.derivation[f"{what} gradient"] for what in [*weights, "input"]]
    yield _one_after_the_other(formulas)


def _onward(attempt: Attempt) -> Iterator[str]:
    network, weights = attempt.step.reference.network, attempt.step.trainable
    yield f"each weight is updated by itself: {listed(weights)}."
    yield _shapes(weights)
    held = [name for name in weights if network.parameters[name].constraint is not None]
    stay = f" But {_are(held)} held as they were." if held else ""
    yield f"each weight moves against its gradient.{stay}"
    optimizer = network.optimizer
    assert optimizer is not None
    formulas = [
        optimizer.derivation[what] for what in [*attempt.step.record.slots_before, "weight"]
    ]
    yield f"{_one_after_the_other(formulas)} Here η = {attempt.step.record.rate:g}."


# ---------------------------------------------------------------------- in words


def listed(names: Iterable[str]) -> str:
    """Write names one after the other."""
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last


def _are(names: list[str], where: str = "") -> str:
    one = len(names) == 1 and not names[0].startswith("all ")
    return f"{listed(names)}{where} {'is' if one else 'are'}"


def _shapes(arrays: Any) -> str:
    return f"the shapes are {', '.join(f'{n} {one.shape}' for n, one in arrays.items())}."


def _one_after_the_other(formulas: Iterable[str]) -> str:
    return "; ".join(dict.fromkeys(formulas)) + "."
