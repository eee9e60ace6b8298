"""Somebody's own numbers: a backward pass, an update step, one number; judged and diagnosed."""

from compare.submissions.submission import check_gradients, check_step

__all__ = ["check_gradients", "check_step"]
