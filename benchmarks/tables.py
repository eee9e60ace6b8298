"""What is printed: a table for each row of the benchmark, the measurements, the targets."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterator
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.contenders import CONTENDERS, HAND
from benchmarks.networks import NETWORKS
from benchmarks.race import Row, Spread
from benchmarks.results import (
    Results,
    gemm_share,
    kept_per_step,
    lockstep_costs,
    million_over_sixty_thousand,
    over_numpy,
    sampled_cost,
    verdict_over_imports,
)
from benchmarks.targets import Target, limit, targets

LEGEND = (
    "Each ratio is manual ÷ peer, so that below 1 the hand-written half is faster: the median over "
    "the rounds, with the quartiles. A step is timed with its loss, its gradients and its update, "
    "once it has been compiled, or recorded. Every library uses as many threads as it takes by "
    "default. Peak: the most memory that the process held, imports and data included."
)


def duration(seconds: float) -> str:
    """Write seconds in a unit that suits them."""
    for unit, factor in (("s", 1.0), ("ms", 1e3), ("µs", 1e6)):
        if seconds * factor >= 1 or unit == "µs":
            return (
                f"{seconds * factor:.3g} {unit}" if seconds * factor < 1e3 else f"{seconds:.0f} s"
            )
    raise AssertionError


def spread(ratio: Spread, digits: int = 2) -> str:
    """Write a median and its quartiles."""
    return f"{ratio.median:.{digits}f} ({ratio.low:.{digits}f}–{ratio.high:.{digits}f})"


def verdict(value: float, most: float) -> str:
    """Say plainly whether a target is reached."""
    return f"≤ {most:g} {'reached' if value <= most else 'not reached'}"


def plain(*columns: str) -> Table:
    """Return an empty table without lines."""
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    for name in columns:
        table.add_column(name, justify="left" if name in ("", "target") else "right")
    return table


def print_row(console: Console, row: Row) -> None:
    """Print what one race gave."""
    console.print(f"[bold]{row.title}[/]: {NETWORKS[row.network].title}")
    table = plain("", "a step", "peak", "manual ÷ it", "target")
    for name in row.seconds:
        cells = [CONTENDERS[name].title, duration(row.step(name)), f"{row.peak[name]:.0f} MiB"]
        if name in row.peers:
            ratio, most = row.ratio(name), limit(row.network, name)
            cells += [spread(ratio), verdict(ratio.median, most) if most else ""]
        table.add_row(*cells)
    console.print(table)
    for line in gemm(row):
        console.print(line)
    for why in row.absent.values():
        console.print(f"left out: {why}")
    console.print()


def gemm(row: Row) -> Iterator[str]:
    """Say what the machine multiplies, and how much of that a training step reaches."""
    if row.flops is not None and "products" in row.peers:
        rate = row.flops / row.step("products") / 1e9
        reached = row.flops / row.step(HAND) / 1e9
        share = gemm_share(row)
        yield (
            f"products alone {rate:.1f} GFLOP/s, in training {reached:.1f}: "
            f"{100 * share.median:.0f} % ({100 * share.low:.0f}–{100 * share.high:.0f} %)"
        )


def print_measures(console: Console, measures: dict[str, Any]) -> None:
    """Print what was measured beside the races."""
    for name, measured in measures.items():
        for line in LINES[name](measured):
            console.print(line)
        console.print()


def growth_lines(measured: dict[str, list[dict[str, float]]]) -> Iterator[str | Table]:
    """Show how a hand-written step grows, and with which power at the end of the curve."""
    yield "[bold]growth[/] of a hand-written step: 64 inputs, 2 × 64, 10 classes, batches of 32"
    for along, points in measured.items():
        table = plain("", *(f"{point['size']:.0f}" for point in points))
        if along == "width":
            table.add_row("parameters", *(short(point["parameters"]) for point in points))
        table.add_row(f"{along:<10}", *(duration(point["seconds"]) for point in points))
        yield table
        last, before = points[-1], points[-2]
        slope = math.log(last["seconds"] / before["seconds"], last["size"] / before["size"])
        yield f"  at the end as {along} to the power of {slope:.2f}"


def short(number: float) -> str:
    """Write a large number in three figures."""
    return f"{number / 1e6:.1f}M" if number >= 1e6 else f"{number / 1e3:.0f}k"


def import_lines(measured: dict[str, list[float]]) -> Iterator[str | Table]:
    """Show what one waits for."""
    yield "[bold]imports[/], each in a fresh process"
    table = plain("", "seconds")
    for name, seconds in measured.items():
        table.add_row(name, spread(Spread.of(seconds)))
    yield table
    yield f"  import manual takes {over_numpy(measured):.2f} s beyond NumPy's"
    yield f"  first verdict ÷ importing both: {spread(verdict_over_imports(measured))}"


def lockstep_lines(measured: dict[str, Any]) -> Iterator[str]:
    """Show what comparing costs."""
    yield "[bold]lock-step[/], all phases of every step, ÷ Keras fit"
    for network, cost in lockstep_costs(measured).items():
        step = statistics.median(measured[network]["lockstep"])
        yield f"  {network:<8} {spread(cost, 1)}: {duration(step)} a step"


def sampled_lines(measured: dict[str, list[float]]) -> Iterator[str]:
    """Show what comparing now and then costs."""
    yield "[bold]each 50th step[/] of a small CNN compared by the callback, ÷ Keras fit alone"
    step = statistics.median(measured["sampled"])
    yield f"  {spread(sampled_cost(measured), 2)}: {duration(step)} a step"


def memory_lines(measured: dict[str, Any]) -> Iterator[str]:
    """Show how a comparison's memory grows."""
    (first, before), (last, after) = measured["held"][0], measured["held"][-1]
    yield "[bold]memory[/] of a comparison (digits)"
    yield f"  after {first:,} steps {before:.1f} MiB, after {last:,} {after:.1f} MiB"
    yield f"  each step of the second half keeps {1024 * kept_per_step(measured):.2f} KiB"


def million_lines(measured: dict[str, Any]) -> Iterator[str]:
    """Show the long run of the smallest network."""
    steps, seconds = measured["steps"], measured["seconds"]
    yield "[bold]mazur[/], for long"
    for half, count in {HAND: 1_000_000, "keras": 60_000}.items():
        whole = count * statistics.median(seconds[half])
        told = "" if steps[half] == count else f", reckoned from {steps[half]:,}"
        yield f"  {count:>9,} steps of {CONTENDERS[half].title:<18} {duration(whole)}{told}"
    yield f"  ratio {spread(million_over_sixty_thousand(measured))}"


LINES: dict[str, Callable[[Any], Iterator[str | Table]]] = {
    "growth": growth_lines,
    "imports": import_lines,
    "lockstep": lockstep_lines,
    "sampled": sampled_lines,
    "memory": memory_lines,
    "million": million_lines,
}


def target_cells(target: Target) -> tuple[str, str, str, str]:
    """Return a target's cells: what, how much, where it's worst, the verdict."""
    name, value = target.worst
    where = f" ({name})" if name else ""
    return (
        target.what,
        f"{target.sign} {target.limit:.3g}{target.unit}",
        f"{value:.3g}{target.unit}{where}",
        "reached" if target.reached else "not reached",
    )


def print_targets(console: Console, results: Results) -> None:
    """Print which targets are reached: a target is where its worst measurement is."""
    known = targets(results)
    if not known:
        return
    count = sum(target.reached for target in known)
    console.print(f"[bold]targets[/]: {count} of {len(known)} reached; beside each its worst")
    for target in known:
        what, limit, worst, reached = target_cells(target)
        style = "green" if target.reached else "red"
        console.print(f"[{style}]{reached:<12}[/]{what} {limit}")
        console.print(f"            {worst}")


def print_surroundings(console: Console, results: Results) -> None:
    """Print the machine and the libraries."""
    machine = results.machine
    console.print(f"{machine['cpu']}, {machine['cores']} cores, {machine['system']}")
    console.print(f"  load average before the run: {machine['load']:.1f}")
    for about in [f"Python {machine['python']}", *results.libraries()]:
        console.print(f"  {about}")
    if any(row.peers for row in results.rows):
        console.print(LEGEND)
