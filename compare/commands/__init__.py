"""The commands, a file each; TensorFlow loads when one of them needs it."""

from compare.commands.check import check
from compare.commands.coverage import coverage
from compare.commands.exercise import exercise
from compare.commands.explain import explain
from compare.commands.model import model
from compare.commands.record import diff, record
from compare.commands.report import report
from compare.commands.run import list_cases, run
from compare.commands.score import score

COMMANDS = (list_cases, run, explain, check, exercise, model, record, diff, report, score, coverage)
"""In the order of the help page."""

__all__ = ["COMMANDS", "run"]
