"""How good the judge is: planted bugs that it has to find, right runs to leave alone."""

import keras_models  # noqa: F401  (before keras: a process of its own shall load it quietly, too)

# isort: split
from compare.score.bugs import Bug, catalogue
from compare.score.measure import Score, Smallest, measure
from compare.score.sensitivity import sensitivity

__all__ = ["Bug", "Score", "Smallest", "catalogue", "measure", "sensitivity"]
