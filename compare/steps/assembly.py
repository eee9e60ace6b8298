"""Slips between the maps: how the gradients of a step are handed from one to the next.

Where every map agrees by itself, and the gradients of the whole step don't, it is the way back that
is put together wrongly. Each such slip is carried on here through the maps that agree.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from compare.findings.places import Places
from compare.rounding.judge import judge
from compare.rounding.noise import Noisy
from compare.rounding.reference import Reference
from manual.backpropagation import Pass
from manual.heads import of_each

Gradients = Mapping[str, Noisy]


class Assembly:
    """The way back through a step, put together otherwise.

    Parameters
    ----------
    reference : Reference
        With the step's weights loaded.
    run : Pass
        The step's way forward.
    places : Places
    targets : sequence of array
        What each output was to be.
    """

    def __init__(
        self, reference: Reference, run: Pass, places: Places, targets: Sequence[Any]
    ) -> None:
        self.reference, self.network, self.run = reference, reference.network, run
        self.places, self.targets = places, targets

    def slips_at(self, name: str, actual: np.ndarray) -> dict[str, Noisy]:
        """Return what each slip makes of one weight's gradient, by the sentence that tells it.

        Nothing if the maps, put together rightly, don't give Keras's numbers (``actual``): then it
        is a map that is wrong, though it agreed where a choice at a kink left it in doubt.
        """
        weights = list(self.places.loss_weights or [head.weight for head in self.network.heads])
        if not judge(actual, self._back(weights)[name]).agrees:
            return {}
        return {sentence: gradients[name] for sentence, gradients in self._slips(weights)}

    def _slips(self, weights: list[float]) -> Iterator[tuple[str, Gradients]]:
        """Give each slip, and all gradients that come of it."""
        several = "a value that is used several times"
        for sentence, joined in (
            (f"{several} keeps only the gradient that comes back last", "last"),
            (f"{several} keeps only the gradient that comes back first", "first"),
            (f"the gradients that come back to {several} are averaged", "mean"),
        ):
            yield sentence, self._back(weights, joined)
        if any(weight != 1.0 for weight in weights):
            yield (
                "the loss weights are ignored on the way back",
                self._back([1.0 for _ in weights]),
            )
            yield (
                "the loss weights are applied twice on the way back",
                self._back([weight * weight for weight in weights]),
            )
            yield (
                "the loss weights belong to other outputs on the way back",
                self._back(weights[::-1]),
            )
        if len({np.shape(target) for target in self.targets}) == 1 < len(weights):
            swapped = self._back(weights, targets=self.targets[::-1])
            yield "the targets of the outputs are swapped on the way back", swapped
        for left_out in range(len(weights)) if len(weights) > 1 else ():
            kept = [0.0 if one == left_out else weight for one, weight in enumerate(weights)]
            yield f"the loss of output {left_out + 1} sends no gradient back", self._back(kept)

    def _back(
        self, loss_weights: list[float], joined: str = "sum", targets: Sequence[Any] | None = None
    ) -> Gradients:
        """Run the way back, with these loss weights, and with gradients joined in this way."""
        self.reference.clear_gradients()
        arrived: list[list[Noisy]] = [[] for _ in self.network.nodes]
        heads = self.network.heads
        for head, target, of_samples, weight in zip(
            heads,
            targets or self.targets,
            of_each(heads, self.places.sample_weight),
            loss_weights,
            strict=True,
        ):
            read, mask = self.run.values[head.reads], self.run.masks[head.output]
            one = replace(head, weight=weight)
            arrived[head.reads].append(self.reference.head(one, target, read, of_samples, mask)[1])
        for index, _, gradient in self.network.activity_penalties(self.run.values):
            arrived[index].append(gradient)
        together: list[Noisy | None] = [None] * len(self.network.nodes)
        for index in reversed(range(len(self.network.nodes))):
            node, parts = self.network.nodes[index], arrived[index]
            if parts:
                together[index] = parts[0] if joined == "first" else parts[-1]
                if joined in ("sum", "mean"):
                    total = sum(parts[1:], parts[0])
                    together[index] = total / float(len(parts)) if joined == "mean" else total
            dy = node.gathered(index, together) if node.is_run else None
            if dy is None:
                continue
            back = self.reference.backward(node, dy, self.run.saved[index])
            for source, dx in zip(node.inputs, back, strict=True):
                if dx is not None:
                    arrived[source].append(dx)
        self.network.add_regularization_gradients()
        return self.reference.gradients()
