"""What is wrong with a command line, and the cure, in words."""

from __future__ import annotations

from difflib import get_close_matches

import cyclopts

GENERAL = "Run `cryoparts --help`, or a verb with --help, for the options."


def misuse(error: cyclopts.CycloptsError) -> tuple[str, str]:
    """The problem and its cure, of a command line that could not be read."""
    if not isinstance(error, cyclopts.MissingArgumentError) or error.argument is None:
        return str(error), GENERAL
    argument, verb = error.argument, " ".join(("cryoparts", *(error.command_chain or ())))
    positional = argument.index is not None
    option = argument.name
    value = option.removeprefix("--").replace("-", "_").upper()
    name = value if positional else option
    what = (argument.parameter.help or "").strip().rstrip(".")
    told = f"{name} is given no value" if error.keyword is not None else f"{name} is missing"
    cure = f"Give `{verb} {'' if positional else option + ' '}{value}`"
    others = [
        token for token in error.unused_tokens or () if token.startswith("--") and token != option
    ]
    near = get_close_matches(option, others, n=1, cutoff=0.6)
    if near and not positional:
        cure = f"Write {option} in place of {near[0]}"
    return f"{verb}: {told}: {what}" if what else f"{verb}: {told}", (
        f"{cure}; `{verb} --help` lists the options."
    )
