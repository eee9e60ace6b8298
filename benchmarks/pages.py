"""Writes the figures into docs/performance.md, between two markers, and the plots beside it."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

from rich.console import Console

from benchmarks.contenders import CONTENDERS, HAND
from benchmarks.networks import NETWORKS
from benchmarks.race import Row
from benchmarks.results import Results
from benchmarks.tables import (
    LEGEND,
    duration,
    gemm,
    print_measures,
    spread,
    target_cells,
    verdict,
)
from benchmarks.targets import limit, targets
from compare.console.command import write_whole

BEGIN, END = "<!-- python -m benchmarks: begin -->", "<!-- python -m benchmarks: end -->"
PAGE = f"""# Performance

`python -m benchmarks` takes these figures, side by side in one run. What lies between the markers
is written by `python -m benchmarks --out docs`.

{BEGIN}
{END}"""


def write_pages(folder: Path, results: Results) -> None:
    """Write the page and the plots of what was measured."""
    from benchmarks.plots import draw_growth, draw_ratios

    page = folder / "performance.md"
    text = page.read_text(encoding="utf-8").rstrip("\n") if page.exists() else PAGE
    if BEGIN not in text or END not in text:
        text += f"\n\n{BEGIN}\n{END}"
    before, _, rest = text.partition(BEGIN)
    after = rest.partition(END)[2]
    if any(row.peers for row in results.rows):
        draw_ratios(folder / "ratios.svg", results)
    if "growth" in results.measures:
        draw_growth(folder / "growth.svg", results.measures["growth"])
    told = "\n".join(lines(results))
    write_whole(page, f"{before}{BEGIN}\n\n{told}\n{END}{after}")


def lines(results: Results) -> Iterator[str]:
    """Return the page's lines between the markers."""
    machine = results.machine
    yield filled(
        f"{machine['cpu']}, {machine['cores']} cores, {machine['system']}, load average "
        f"{machine['load']:.1f} before the run; Python {machine['python']}; "
        f"{'; '.join(results.libraries())}."
    )
    yield ""
    yield from targets_table(results)
    if any(row.peers for row in results.rows):
        yield "## Ratios"
        yield ""
        yield filled(LEGEND)
        yield ""
        yield "![manual ÷ peer, row by row](ratios.svg)"
        yield ""
        for row in results.rows:
            yield from row_table(row)
        for why in results.absent():
            yield f"Left out: {why}."
            yield ""
    if results.measures:
        yield "## Beside the races"
        yield ""
        if "growth" in results.measures:
            yield "![the time of a step over width, depth, batch, parameters](growth.svg)"
            yield ""
        text = StringIO()
        print_measures(Console(file=text, width=80, highlight=False), results.measures)
        yield "```"
        yield from (line.rstrip() for line in text.getvalue().strip().splitlines())
        yield "```"
        yield ""


def filled(text: str) -> str:
    """Break a paragraph as the other pages are broken."""
    return textwrap.fill(text, 100, break_on_hyphens=False)


def targets_table(results: Results) -> Iterator[str]:
    """Return the table of the targets."""
    yield "## Targets"
    yield ""
    yield "| target | wanted | worst measured | |"
    yield "|---|---|---|---|"
    for target in targets(results):
        yield f"| {' | '.join(target_cells(target))} |"
    yield ""


def row_table(row: Row) -> Iterator[str]:
    """Return one race's table."""
    if not row.peers:
        return
    yield f"### {row.title}"
    yield ""
    step, peak = duration(row.step(HAND)), f"{row.peak[HAND]:.0f} MiB"
    yield filled(f"{NETWORKS[row.network].title}. By hand {step} a step, {peak}.")
    yield ""
    yield "| peer | a step | peak | manual ÷ it | target |"
    yield "|---|---|---|---|---|"
    for peer in row.peers:
        ratio, most = row.ratio(peer), limit(row.network, peer)
        told = verdict(ratio.median, most) if most else ""
        step, peak = duration(row.step(peer)), f"{row.peak[peer]:.0f} MiB"
        yield f"| {CONTENDERS[peer].title} | {step} | {peak} | {spread(ratio)} | {told} |"
    yield ""
    for line in gemm(row):
        yield line[0].upper() + line[1:] + "."
        yield ""
