"""The arguments of a run, read with Hydra's grammar before Hydra reads them, so that an error says what to type."""

import shlex
import sys
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

WRONG_SETTINGS = 2  # exit status


def add_searchpath(argv: list[str]) -> None:
    """A main file of the user's own (`--config-path`) finds verl's groups and ours: their path is added to `argv`."""
    flags = ("--config-path", "-cp", "--config-dir", "-cd")
    if any(argument.startswith(flags) for argument in argv) and not any("hydra.searchpath" in one for one in argv):
        ours = Path(__file__).parents[1] / "configs"
        argv.append(f"hydra.searchpath=[pkg://verl.trainer.config,file://{ours}]")


def check_arguments(arguments: list[str]) -> None:
    """Exit with one line and status 2 where a value holds signs of Hydra's grammar (`=`, `(`, `{`) without quotes."""
    parser = OverridesParser.create()
    for argument in arguments:
        name, is_setting, value = argument.partition("=")
        if not is_setting or argument.startswith("-"):
            continue
        try:
            parser.parse_override(argument)
        except HydraException:
            escaped = value.replace("'", "\\'")
            quoted = f"{name}='{escaped}'"
            print(
                f"error: Hydra cannot read {argument}: signs as =, (, {{ and , mean something to it; write "
                f"{shlex.quote(quoted)}",
                file=sys.stderr,
            )
            sys.exit(WRONG_SETTINGS)
