"""What a notebook shows of a comparison: a piece of HTML without script, with its own style."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader
from markupsafe import Markup

from compare.pages.charts import drift, heat_map, loss_curves
from compare.pages.charts.markup import plain
from compare.pages.charts.phases import phases
from compare.pages.words import summary

if TYPE_CHECKING:
    from compare.findings.report import Report
    from compare.records.difference import Difference

TEMPLATE = "fragment.html.j2"


def of_report(report: Report) -> str:
    """Return a report as a notebook shows it."""
    told = report.as_dict()
    badge = "✓ agrees" if report.ok else "✗ differs"
    findings = [
        {"text": str(finding), "map": _map(of_it)}
        for finding, of_it in zip(report.findings, told["findings"], strict=True)
    ]
    return _written(
        ok=report.ok,
        badge=badge if report.compared else "nothing compared",
        title=" · ".join(part for part in (report.label, report.dtype, report.status) if part),
        sentences=summary([told]),
        findings=findings,
        more=report.disagreements - len(findings),
        pictures=[phases(told["quantities"]), *_losses(told["history"])],
        notes=[*_drift(told["drift"]), *report.remarks],
        again=report.reproduce.format(step=max(report.steps, 1)) if report.ok else "",
    )


def of_difference(difference: Difference) -> str:
    """Return the difference of two records as a notebook shows it."""
    points = [{"step": step, "drift": apart} for step, apart in difference.drift]
    first = str(difference.first)
    return _written(
        ok=difference.ok,
        badge="✓ agree" if difference.ok else "✗ diverge",
        title="two records",
        sentences=[line for line in difference.lines() if line != first],
        findings=[{"text": str(one), "map": ""} for one in difference.divergences],
        more=difference.diverging - len(difference.divergences),
        pictures=[drift(points)] if len(points) > 1 else [],
        notes=[],
        again="",
    )


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("compare.pages"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: value if isinstance(value, Markup) else plain(value),
    )


def _written(**parts: Any) -> str:
    return _environment().get_template(TEMPLATE).render(**parts)


def _map(finding: Mapping[str, Any]) -> Markup:
    pattern = finding.get("pattern")
    if not pattern or pattern["size"] == 1:
        return Markup("")
    return heat_map(pattern, finding["verdict"]["bound"], pattern["told"])


def _losses(history: Iterable[Mapping[str, Any]]) -> Iterable[Markup]:
    points = [
        {"step": one["epoch"], "keras": one["keras"]["loss"], "by_hand": one["by_hand"]["loss"]}
        for one in history
        if "loss" in one["keras"]
    ]
    if len(points) > 1:
        yield loss_curves(points, "epoch")


def _drift(about: Mapping[str, Any] | None) -> Iterable[str]:
    if about and about["steps"]:
        yield f"{about['told']}."
