"""Records of what a training computed, to be compared elsewhere: another machine, another version.

Reading and comparing them needs NumPy alone.
"""

from compare.records.difference import Difference, diff
from compare.records.divergence import Divergence
from compare.records.record import Quantity, Record

__all__ = ["Difference", "Divergence", "Quantity", "Record", "diff"]
