"""What of Keras has a hand-derived twin, with which options, and how well they are known to agree.

Nothing is listed by hand: what Keras has is read from the Keras that is installed, what has a twin
from the registry, and what was held against Keras from the record of the last sweep.
"""

from compare.coverage.entries import Entry, Option, coverage
from compare.coverage.page import as_page, is_open, print_coverage, write_page

__all__ = ["Entry", "Option", "as_page", "coverage", "is_open", "print_coverage", "write_page"]
