"""Two drawings: the ratios of every row, and how a hand-written step grows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib

from benchmarks.contenders import CONTENDERS
from benchmarks.results import Results

matplotlib.use("svg")
matplotlib.rcParams["svg.hashsalt"] = "benchmarks"  # the same figures give the same file
matplotlib.rcParams["svg.fonttype"] = "none"

from matplotlib import pyplot as plt  # noqa: E402  (behind the choice of what draws)

TICKS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)


def draw_ratios(path: Path, results: Results) -> None:
    """Draw manual ÷ peer for each row: left of the line the hand-written half is faster."""
    rows = [row for row in results.rows if row.peers]
    peers = [name for name in CONTENDERS if any(name in row.peers for row in rows)]
    peers = [name for name in peers if name != "products"]
    figure, axes = plt.subplots(figsize=(8, 1 + 0.4 * len(rows)), layout="constrained")
    for peer in peers:
        here = [(place, row.ratio(peer)) for place, row in enumerate(rows) if peer in row.peers]
        offset = 0.07 * (peers.index(peer) - (len(peers) - 1) / 2)
        axes.errorbar(
            [ratio.median for _, ratio in here],
            [place + offset for place, _ in here],
            xerr=[
                [ratio.median - ratio.low for _, ratio in here],
                [ratio.high - ratio.median for _, ratio in here],
            ],
            fmt="o",
            markersize=4,
            linewidth=1,
            label=CONTENDERS[peer].title,
        )
    axes.axvline(1.0, color="black", linewidth=0.8)
    axes.set_xscale("log")
    low, high = axes.get_xlim()
    ticks = [one for one in TICKS if low <= one <= high]
    axes.set_xticks(ticks, [f"{one:g}" for one in ticks])
    axes.set_yticks(range(len(rows)), [row.title for row in rows])
    axes.invert_yaxis()
    axes.grid(axis="x", alpha=0.25)
    axes.set_xlabel("time of manual ÷ time of the peer (median and quartiles)")
    axes.legend(fontsize="small", loc="center left", bbox_to_anchor=(1.0, 0.5))
    _save(figure, path)


def draw_growth(path: Path, measured: dict[str, list[dict[str, float]]]) -> None:
    """Draw the time of a step over width, depth, batch and parameters."""
    curves = {along: [point["size"] for point in points] for along, points in measured.items()}
    seconds = {along: [point["seconds"] for point in points] for along, points in measured.items()}
    curves["parameters"] = [point["parameters"] for point in measured["width"]]
    seconds["parameters"] = seconds["width"]
    figure, all_axes = plt.subplots(1, 4, figsize=(10, 2.8), sharey=True, layout="constrained")
    for axes, (along, sizes) in zip(all_axes, curves.items(), strict=True):
        axes.plot(sizes, [1e6 * one for one in seconds[along]], "o-", markersize=4)
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlabel(along)
        axes.grid(alpha=0.25)
    all_axes[0].set_ylabel("µs a step")
    _save(figure, path)


def _save(figure: Any, path: Path) -> None:
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
