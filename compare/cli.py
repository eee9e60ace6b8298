"""The command line: a thin face on what `compare` can do."""

from __future__ import annotations

import os
import sys
import traceback
from pathlib import Path
from typing import Any

import click

from compare.cases import HOMES
from compare.commands import COMMANDS, run
from compare.console.command import INTERRUPTED
from compare.printable import printable

TRACEBACK = "KERAS_LOCKSTEP_TRACEBACK"
BROKEN_PIPE = 141
"""As a shell has it of a process that ends by SIGPIPE."""


class Crash(click.ClickException):
    """Neither a comparison's outcome nor anybody's input: exit status 70, as sysexits has it."""

    exit_code = 70


class Commands(click.Group):
    """Lists its commands as they were added, and tells a crash from what a comparison found."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.obj = tuple(args)  # for `command_line`
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except click.ClickException as error:
            told = printable(error.message).replace("\n", "\\n")
            error.message = told  # type: ignore[misc]
            raise
        except (click.exceptions.Exit, click.Abort):
            raise
        except KeyboardInterrupt:
            click.echo("Interrupted.", err=True)
            sys.exit(INTERRUPTED)
        except BrokenPipeError:  # whoever read what is printed has gone
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(BROKEN_PIPE)
        except MemoryError:
            raise Crash("There is not enough memory for this.") from None
        except OSError as error:
            raise Crash(f"The system refused: {error}.") from None
        except Exception as error:
            if os.environ.get(TRACEBACK):
                raise
            frame = traceback.extract_tb(error.__traceback__)[-1]
            raise Crash(
                f"This is a defect of Keras Lockstep, please report it: {type(error).__name__}: "
                f"{error} ({Path(frame.filename).name}:{frame.lineno}). {TRACEBACK}=1 shows more."
            ) from None


@click.group(
    cls=Commands,
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
