"""How good the judge is: planted bugs that it has to find, right runs to leave alone."""

from compare.score.bugs import Bug, catalogue
from compare.score.measure import Score, measure

__all__ = ["Bug", "Score", "catalogue", "measure"]
