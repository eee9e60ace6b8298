"""The command line of the benchmark. Nothing heavy is imported before something is timed."""

from __future__ import annotations

import difflib
import json
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from compare.console.command import INTERRUPTED, InputError, check_writable, write_whole

if TYPE_CHECKING:
    from benchmarks.plan import Asked
    from benchmarks.results import Results


class OneOf(click.ParamType):
    """A name from a table, with a suggestion for a misspelt one."""

    def __init__(self, name: str) -> None:
        self.name = name

    def known(self) -> list[str]:
        """Return the names, whose tables are read when one is asked for."""
        from benchmarks.contenders import CONTENDERS
        from benchmarks.networks import NETWORKS
        from benchmarks.plan import MEASURES

        return list(CONTENDERS) if self.name == "contender" else [*NETWORKS, *MEASURES]

    def convert(self, value: Any, param: Any, ctx: Any) -> str:
        known = self.known()
        if value in known:
            return str(value)
        close = difflib.get_close_matches(value, known, n=1)
        hint = f" Did you mean {close[0]}?" if close else ""
        self.fail(f"there is no {self.name} {value!r}.{hint} There are: {', '.join(known)}.")


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--only", multiple=True, type=OneOf("network"), help="A network or measurement.")
@click.option("--contender", multiple=True, type=OneOf("contender"), help="Only beside this one.")
@click.option("--optimizer", type=click.Choice(["SGD", "Adam"], case_sensitive=False))
@click.option("--dtype", type=click.Choice(["float32", "float64"]))
@click.option("--rounds", type=click.IntRange(min=1), default=5, show_default=True)
@click.option("--all", "everything", is_flag=True, help="Each with each, long runs in full: hours.")
@click.option("--json", "json_file", type=click.Path(dir_okay=False), help="Write the figures.")
@click.option(
    "--out",
    type=click.Path(file_okay=False),
    help="Write performance.md's tables and the plots into this folder.",
)
def main(
    only: tuple[str, ...],
    contender: tuple[str, ...],
    optimizer: str | None,
    dtype: str | None,
    rounds: int,
    everything: bool,
    json_file: str | None,
    out: str | None,
) -> None:
    """Time the hand-written half beside its peers, as ratios manual ÷ peer.

    All train the same network from the same weights on the same data, each in a process of its
    own, in turn, and only after their losses were found the same. Takes seven to ten minutes.
    --only, --contender, --optimizer and --dtype narrow it down; --only takes a measurement as well:
    growth, imports, lockstep, sampled, memory, million.

    Exit status: 0 when all was measured, 1 when a contender computes something else or fails, 2 for
    bad usage.
    """
    if json_file is not None:
        check_writable(Path(json_file))
    if out is not None:
        check_drawable(Path(out))
    from benchmarks.networks import NETWORKS
    from benchmarks.plan import MEASURES, Asked, planned
    from benchmarks.running import run

    networks = tuple(name for name in only if name in NETWORKS)
    measures = tuple(name for name in only if name in MEASURES)
    chosen = tuple(one for one in (optimizer,) if one), tuple(one for one in (dtype,) if one)
    asked = Asked(networks, contender, *chosen, everything)
    if not (only or contender or any(chosen)):
        measures = tuple(MEASURES)
    rows = [] if only and not networks else planned(asked)
    if not rows and not measures:
        raise InputError(nothing_to_time(asked))
    results, failure = run(rows, measures, rounds, everything)
    if json_file is not None:
        write_results(Path(json_file), results)
    if out is not None:
        from benchmarks.pages import write_pages

        write_pages(Path(out), results)
    if failure is not None:
        click.echo(f"Error: {failure}", err=True)
    if results.interrupted:
        sys.exit(INTERRUPTED)
    sys.exit(1 if failure is not None else 0)


def nothing_to_time(asked: Asked) -> str:
    """Say why no row is left."""
    from benchmarks.contenders import CONTENDERS, HAND
    from benchmarks.networks import NETWORKS

    for name in asked.contenders:
        for network in asked.networks or NETWORKS:
            for optimizer in asked.optimizers or ("SGD",):
                why = CONTENDERS[name].declines(NETWORKS[network], optimizer)
                if why is not None:
                    return f"{name} isn't timed on {network} with {optimizer}: {why}."
    return f"Nothing stands beside {HAND}: name another contender."


def check_drawable(folder: Path) -> None:
    """Refuse what can't be written or drawn before anything is timed."""
    if not folder.is_dir():
        raise InputError(f"The folder {str(folder)!r} for --out doesn't exist: create it.")
    if find_spec("matplotlib") is None:
        raise InputError('--out draws with matplotlib: pip install -e ".[bench]".')


def write_results(path: Path, results: Results) -> None:
    """Write the figures, with the targets."""
    from benchmarks.targets import targets

    told = [
        {"what": one.what, "limit": one.limit, "reached": one.reached, "measured": one.measured}
        for one in targets(results)
    ]
    everything = {**results.as_dict(), "targets": told}
    write_whole(path, json.dumps(everything, indent=2, ensure_ascii=False, allow_nan=False))
