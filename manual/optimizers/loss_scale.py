"""A loss scale that looks for itself: as large as the gradients bear."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from manual.optimizers.base import Optimizer
from manual.optimizers.dynamic_scale import DynamicScale
from manual.registry import from_keras, twin_of


@twin_of("LossScaleOptimizer")
class LossScaleOptimizer:
    """Dynamic loss scaling (Micikevicius et al. 2018, section 3.2) around another optimizer.

    The loss is multiplied by a scale σ before it is differentiated, and the gradient divided by it
    before anything else is done to it. Where some element of it isn't finite, nothing moves and
    nothing is counted but that σ is halved; after so many finite gradients in a row σ is doubled.
    Updates are counted within: the count of Keras's outer optimizer stays 0.

    Parameters
    ----------
    inner_optimizer : Optimizer or Keras configuration
        Its own loss scale, if it has one, is switched off.
    initial_scale : float
        Keras on TensorFlow rounds it to float32.
    dynamic_growth_steps : int
    """

    kind: ClassVar[str] = "optimizer"
    derivation: ClassVar[Mapping[str, str]] = {
        **DynamicScale.derivation,
        "weight": "w⁺ = by the rule within, from g / σ",
    }

    def __init__(
        self,
        inner_optimizer: Optimizer | Mapping[str, Any],
        initial_scale: float = 2.0**15,
        dynamic_growth_steps: int = 2000,
    ) -> None:
        inner: Optimizer = (
            from_keras("optimizer", inner_optimizer)
            if isinstance(inner_optimizer, Mapping)
            else inner_optimizer
        )
        inner.loss_scale_factor = None
        inner.scaling = DynamicScale(initial_scale, dynamic_growth_steps)
        self.inner_optimizer = inner
