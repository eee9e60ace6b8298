"""The command line: a thin face on what `compare` can do."""

from __future__ import annotations

import click

from compare.cases import HOMES
from compare.commands import COMMANDS, run


class InOrder(click.Group):
    """Lists its commands as they were added."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)


@click.group(
    cls=InOrder,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(package_name="keras-lockstep", message="%(version)s")
@click.pass_context
def main(context: click.Context) -> None:
    """Train each network twice, in Keras and by hand, and compare every step.

    Without a command, every worked example is trained and compared. Exit status: 0 when all
    agree, 1 when anything differs, 2 for bad usage or input.
    """
    if context.invoked_subcommand is None:
        context.invoke(run, cases=tuple(HOMES))


for command in COMMANDS:
    main.add_command(command)
