"""Why a number is wrong: one small function for every slip that people make."""

from compare.causes.base import Candidate, Cause, Facts, Place, candidates, diagnose, hypothesis

__all__ = ["Candidate", "Cause", "Facts", "Place", "candidates", "diagnose", "hypothesis"]
