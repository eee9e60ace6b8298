"""A pytest plugin: the fixture ``lockstep``, which pytest finds once the package is installed.

Importing it loads neither Keras nor TensorFlow: pytest does that in every project of the same
environment.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from compare.errors import BadInput, Disagreement

if TYPE_CHECKING:
    from compare.findings.report import Report

MARKER = "lockstep(**options): what the fixture of this name hands to compare.lockstep by default"


@dataclass
class Checked:
    """What the fixture ``lockstep`` returns: a comparison, and the check of it."""

    _report: Report
    looked_at: bool = field(default=False, init=False)

    @property
    def report(self) -> Report:
        """The whole report, for assertions of one's own."""
        self.looked_at = True
        return self._report

    def check(self) -> Report:
        """Fail the test with the first finding, if anything disagrees or nothing was compared."""
        __tracebackhide__ = True
        try:
            self.report.raise_if_different()
        except Disagreement as found:
            raise Disagreement(str(found)) from None  # without the frames of this package
        return self._report


Runs = list[Checked]
RUNS = pytest.StashKey[Runs]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that chooses the precision."""
    parser.getgroup("lockstep", "Keras and hand-derived backpropagation in lock-step").addoption(
        "--lockstep-dtype",
        choices=("float32", "float64"),
        help="what Keras computes in, in tests that use the fixture lockstep",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known, also to ``--strict-markers``."""
    config.addinivalue_line("markers", MARKER)


@pytest.fixture
def lockstep(request: pytest.FixtureRequest) -> Iterator[Callable[..., Checked]]:
    """Compare a compiled model with its hand-written twin: ``lockstep(model, x, y).check()``.

    Takes what `compare.lockstep` takes; ``@pytest.mark.lockstep(epochs=2, strict=True)`` gives
    other defaults. With ``--lockstep-dtype`` Keras computes in that precision.
    """
    from compare import lockstep as compared
    from keras_models.precision import precision

    options: dict[str, Any] = {}
    for marker in reversed([*request.node.iter_markers("lockstep")]):  # the closest comes last
        options |= marker.kwargs
    runs: Runs = request.node.stash.setdefault(RUNS, [])

    def run(*data: Any, **told: Any) -> Checked:
        __tracebackhide__ = True
        try:
            runs.append(Checked(compared(*data, **{**options, **told})))
        except BadInput as refused:
            raise BadInput(str(refused)) from None
        return runs[-1]

    with precision(request.config.getoption("--lockstep-dtype")):
        yield run


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Iterator[None]:
    """Fail a test that has compared something and didn't look at the result."""
    result = yield
    if not all(run.looked_at for run in pyfuncitem.stash.get(RUNS, [])):
        pytest.fail(
            "lockstep(…) compared something, and the test never looked at the result: "
            "call .check() on what it returns.",
            pytrace=False,
        )
    return result
