"""``python -m compare explain``: one step, written out."""

from __future__ import annotations

import click

from compare.cases import load
from compare.commands.parameters import DTYPE, CaseName
from compare.console.command import errors_for_people, load_tensorflow
from compare.printable import echo


@click.command()
@click.argument("case", type=CaseName())
@click.option("--step", type=click.IntRange(min=1), default=1, show_default=True)
@click.option("--weight", help="One weight: hidden/kernel[0,1], or the tutorial's own symbol.")
@click.option("--unit", help="One unit: hidden[0], or the tutorial's own symbol.")
@DTYPE
def explain(case: str, step: int, weight: str | None, unit: str | None, dtype: str | None) -> None:
    """Write out a step: forward pass, chain rule, old → new weight.

    Every number is shown twice, by hand and from Keras.
    """
    if weight is not None and unit is not None:
        raise click.UsageError("Give --weight or --unit: one of them.")
    from compare.console.terminal import Terminal

    with errors_for_people(), Terminal(stderr=True).status(f"training {case} up to step {step}"):
        load_tensorflow()
        from compare.cases.base import Settings
        from compare.explain import explain as explained

        settings = Settings(dtype=dtype)
        text = explained(load(case), step=step, weight=weight, unit=unit, settings=settings)
    echo(text)
