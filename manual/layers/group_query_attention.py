"""Attention whose heads of queries share heads of keys and values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from manual.layers.base import Shape
from manual.layers.multi_head_attention import ProjectedAttention
from manual.registry import NoTwin, twin_of
from manual.regularizers import Regularizer


@twin_of("GroupQueryAttention")
class GroupQueryAttention(ProjectedAttention):
    """Attention whose query heads share fewer heads of keys and values (Ainslie et al. 2023).

    Parameters
    ----------
    head_dim : int
        The numbers of every head.
    num_query_heads, num_key_value_heads : int
        The first is a multiple of the second; heads are shared by neighbours.
    """

    def __init__(
        self,
        head_dim: int,
        num_query_heads: int,
        num_key_value_heads: int,
        dropout: float = 0.0,
        use_bias: bool = True,
        sliding_window: int | None = None,
        use_gate: bool = False,
        seed: int | None = None,
        *,
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(
            query_heads=num_query_heads,
            heads=num_key_value_heads,
            sizes=(head_dim, head_dim),
            result=None,
            dropout=dropout,
            use_bias=use_bias,
            sliding_window=sliding_window,
            use_gate=use_gate,
            of_kernel=(kernel_constraint, kernel_regularizer),
            of_bias=(bias_constraint, bias_regularizer),
            seed=seed,
            name=name,
            trainable=trainable,
        )

    def regularize_activity(self, penalty: Regularizer) -> None:
        """Let the projections cost something, and, as in Keras, once more what the layer gives."""
        super().regularize_activity(penalty)
        self.activity_regularizer = penalty

    def build(self, input_shape: Sequence[Shape], generator: np.random.Generator) -> None:
        if any(len(shape) != 2 for shape in input_shape):
            raise NoTwin(
                f"layer {self.name!r}: attention of grouped heads takes inputs of shape (batch, "
                f"steps, features), in Keras too. Received: {list(input_shape)}."
            )
        super().build(input_shape, generator)
