"""What the tests of the engine count in a report."""

from __future__ import annotations

from compare import Report


def compared(report: Report, phase: str, source: str | None = None) -> dict[str, int]:
    """Return how often each quantity of a phase was compared."""
    return {
        name: largest.compared
        for (of, name, by), largest in report.quantities.items()
        if of == phase and source in (None, by)
    }
