"""Exercises: a worked network's training step with gaps to fill in, or with one fault to find."""

from compare.exercises.exercise import FUNCTIONS, Exercise
from compare.exercises.folder import OWN_FOLDER, exercises, named

__all__ = ["FUNCTIONS", "OWN_FOLDER", "Exercise", "exercises", "named"]
