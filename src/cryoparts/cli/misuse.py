"""What is wrong with a command line, and the cure, in words."""

from __future__ import annotations

from difflib import get_close_matches

import cyclopts

GENERAL = "Run `cryoparts --help`, or a verb with --help, for the options."


def misuse(error: cyclopts.CycloptsError) -> tuple[str, str]:
    """The problem and its cure, of a command line that could not be read."""
    verb = " ".join(("cryoparts", *(error.command_chain or ())))
    listed = f"`{verb} --help` lists the options."
    if isinstance(error, cyclopts.UnusedCliTokensError) and error.command_chain:
        words = " ".join(error.unused_tokens or ())
        return f"{verb}: no option says what {words} is", f"Name it, as --option {words}; {listed}"
    if not isinstance(error, cyclopts.MissingArgumentError) or error.argument is None:
        return (f"{verb}: {error}", listed) if error.command_chain else (str(error), GENERAL)
    argument = error.argument
    option = argument.name
    value = option.removeprefix("--").replace("-", "_").upper()
    name, given = option, f"{option} {value}"
    others = [t for t in error.unused_tokens or () if t.startswith("--") and t != option]
    near = get_close_matches(option, others, n=1, cutoff=0.6)
    if argument.index is not None:  # given by its place
        name, given, near = value, value, []
    problem = f"{verb}: {name} is {'missing' if error.keyword is None else 'given no value'}"
    if argument.parameter.help:
        problem += f": {argument.parameter.help.strip().rstrip('.')}"
    cure = f"Write {option} in place of {near[0]}" if near else f"Give `{verb} {given}`"
    if others and not near:
        cure += f" (there is no option {others[0]})"
    return problem, f"{cure}; {listed}"
