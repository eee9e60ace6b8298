"""A report as JUnit's XML, which every continuous integration shows."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from compare.findings.report import Report

NOT_IN_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def as_junit(report: Report) -> str:
    """Return a test case for each quantity; one that disagreed fails with its finding."""
    findings = {(one.phase, one.name, one.source): str(one) for one in reversed(report.findings)}
    failed = sum(one.disagreed > 0 for one in report.quantities.values())
    suite = ElementTree.Element(
        "testsuite",
        name=_told(report.label),
        tests=str(len(report.quantities) + len(report.unverified)),
        failures=str(failed),
        errors="0",
        skipped=str(len(report.unverified)),
    )
    for (phase, name, source), largest in report.quantities.items():
        case = _case(suite, f"{report.label}.{phase}", f"{name} ({source})")
        if largest.disagreed:
            told = f"step {largest.step}: {largest.distance:.3g} × rounding noise"
            failure = ElementTree.SubElement(case, "failure", message=told, type="Disagreement")
            failure.text = _told(findings.get((phase, name, source), told))
    for name in report.unverified:
        case = _case(suite, f"{report.label}.unverified", name)
        ElementTree.SubElement(case, "skipped", message="carried by Keras itself")
    if report.remarks:
        ElementTree.SubElement(suite, "system-out").text = _told("\n".join(report.remarks))
    ElementTree.indent(suite)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ElementTree.tostring(suite, "unicode")


def _case(suite: ElementTree.Element, group: str, name: str) -> ElementTree.Element:
    return ElementTree.SubElement(suite, "testcase", classname=_told(group), name=_told(name))


def _told(text: str) -> str:
    """Return a text without the characters that XML has no place for."""
    return NOT_IN_XML.sub("�", text)
