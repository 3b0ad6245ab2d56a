"""The program `cryoparts`: one verb a file of this package."""

from __future__ import annotations

import os
import sys
import warnings
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

import cyclopts
from cyclopts import Parameter
from cyclopts.completion.detect import ShellDetectionError

from cryoparts.cli.console import DISPLAY, fail, loudness, say_error, show_warnings
from cryoparts.cli.ending import (
    TerminatedError,
    end_by_file,
    end_unfinished,
    end_unread,
    end_without_memory,
    told_to_stop,
)
from cryoparts.cli.help import BRIEF, GROUPS, brief_help, epilogue
from cryoparts.cli.misuse import misuse
from cryoparts.errors import InputError
from cryoparts.memory.halving import is_shortage
from cryoparts.memory.kept import keep_freed_memory
from cryoparts.memory.limit import restricted
from cryoparts.parallel.current import follows, is_launched, launched_work, shared_work
from cryoparts.version import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager

USER_ERROR = 2
"""Exit status where what the user gave is wrong, as of command lines in general."""

COMMANDS = {  # in the order of the work; verb: its folder of this package, what it does
    "demo": ("start", "Simulate a nine-piece complex and run everything on it"),
    "check": ("start", "Whether particles, poses, CTF and model belong together"),
    "run": ("start", "Everything, from particles and a model to the report"),
    "model": ("start", "Gaussian model of a map or an atomic model"),
    "train": ("start", "Train encoder and decoder"),
    "parts": ("analyse", "Group the Gaussians that change together"),
    "edit-parts": ("analyse", "Merge, split, add, rename or remove parts by hand"),
    "masks": ("analyse", "A soft mask of each part for RELION and cryoSPARC"),
    "motion": ("analyse", "Rigid motion of each part in each particle: axis, angle, shift"),
    "focus": ("analyse", "Group the particles by one part"),
    "composition": ("analyse", "Presence of each part in each particle, and its occupancy"),
    "trust": ("analyse", "Whether each part deserves belief: null particles, seeds, half sets"),
    "coordination": ("analyse", "Which parts change together; the order of assembly"),
    "decode": ("analyse", "Each particle's amplitudes and displacements as .npz"),
    "reconstruct": ("results", "Half maps, FSC and difference maps of a part's states"),
    "report": ("results", "One page with every figure"),
    "dashboard": ("results", "Interactive page: embeddings, parts, lasso"),
    "columns": ("results", "Everything known of each particle, as one table"),
    "select": ("results", "Choose particles and save them as a selection"),
    "export": ("results", "Particles of states or selections for other programs"),
    "morph": ("results", "The atomic model along a part's motion, or without a part"),
    "movie": ("results", "What a part does, as .mp4 or .gif"),
    "relion": ("results", "Everything, as an External job of RELION calls it"),
    "simulate": ("truth", "Particles with ground truth: composition, motion, bend, both, maps"),
    "evaluate": ("truth", "Compare a run with simulated ground truth"),
    "benchmark": (
        "truth",
        "Accuracy over seeds and decoders where the truth is known",
    ),
}

SERVES = ("dashboard",)
"""Verbs that run until they are stopped: no work goes on that could be shown."""

KINDS = ("simulate", "benchmark")
"""Verbs that have verbs of their own."""

Shell = Literal["bash", "zsh", "fish", "powershell"]


@dataclass(frozen=True)
class Everywhere:
    """Flags that every verb understands, wherever they stand."""

    quiet: bool = False
    verbose: bool = False
    help_all: bool = False
    processes: int | None = None
    memory: float | None = None


MEMORY = "--memory"
"""Of them, takes a number of GiB."""

PROCESSES = "--processes"
"""Of them, takes a number, or auto."""

FLAGS = {
    "-q": "quiet",
    "--quiet": "quiet",
    "-v": "verbose",
    "--verbose": "verbose",
    "--help-all": "help_all",
}


def option_name(parameter: str) -> str:
    """Options are named without their unit, which their help gives."""
    return cyclopts.default_name_transform(parameter).removesuffix("-angstrom")


def build_app(*, help_all: bool = False, asked: str | None = None) -> cyclopts.App:
    """The command line; each verb is imported when it is called.

    Parameters
    ----------
    help_all : bool
        Whether help lists every option, or those that matter most.
    asked : str, optional
        Verb whose help is asked for: then it is all that its function says of itself.
    """
    app = cyclopts.App(
        name="cryoparts",
        help="Find the moving and missing parts of a protein from cryo-EM images.",
        version=__version__,
        help_format="plaintext",
        help_formatter=brief_help(None),
        help_epilogue=epilogue(None),
        suppress_keyboard_interrupt=False,  # what is kept is said here
        default_parameter=Parameter(
            name_transform=option_name,
            consume_multiple=True,
            negative_bool=(),  # what is off by default has no opposite; see `options.ON`
            negative_iterable=(),
        ),
    )
    for number, (name, (folder, summary)) in enumerate(COMMANDS.items()):
        function = name.replace("-", "_")
        # a verb with kinds is an application of its own, and brings its help with it
        own: dict[str, Any] = {} if name in KINDS else {"help_epilogue": epilogue(name)}
        if name != asked or name in KINDS:
            own["help"] = summary
        if name in BRIEF and not help_all:
            own["help_formatter"] = brief_help(name)
        app.command(
            f"cryoparts.cli.{folder}.{function}:{function}",
            name=name,
            group=GROUPS[folder],
            sort_key=number,
            **own,
        )
    app.register_install_completion_command(
        help="Complete verbs and options with the tab key in this shell."
    )

    @app.command(name="--show-completion", help="Print what --install-completion installs.")
    def show_completion(shell: Annotated[Shell | None, Parameter(show=False)] = None) -> None:
        try:
            print(app.generate_completion(shell=shell))
        except ShellDetectionError as fault:
            raise InputError(
                "--show-completion",
                "the shell is not known",
                "Name it: cryoparts --show-completion bash (zsh, fish, powershell).",
            ) from fault

    return app


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; exits with 0; 2 for wrong input; 1, 130 or 143, see `ending`."""
    # Plotting and clustering libraries warn of their own future; users can do nothing about it.
    warnings.filterwarnings("ignore", category=FutureWarning)
    # Torch's idle threads would spin, and steal the time of other kernels and of other people's
    # programs: on a machine with another busy process, training was 5 times slower.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # So would numpy's and scipy's: a short product waited for another's turn on the processor.
    os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "4")
    keep_freed_memory()
    if follows():
        _follow()
        return
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        given, flags = _everywhere(given)
        with (
            show_warnings(),
            told_to_stop(),
            loudness(quiet=flags.quiet, verbose=flags.verbose),
            restricted(flags.memory),
            launched_work() if is_launched() else shared_work(flags.processes),
        ):
            asked = given[0] if {"--help", "-h"}.intersection(given) else None
            app = build_app(help_all=flags.help_all, asked=asked)
            command, bound, _ = app.parse_args(given, exit_on_error=False, print_error=False)
            with _shown(given, flags):
                command(*bound.args, **bound.kwargs)
    except InputError as error:
        fail(error)
        sys.exit(USER_ERROR)
    except cyclopts.CycloptsError as error:
        say_error(*misuse(error))
        sys.exit(USER_ERROR)
    except KeyboardInterrupt:
        end_unfinished(given, terminated=False)
    except TerminatedError:
        end_unfinished(given, terminated=True)
    except BrokenPipeError:
        end_unread()
    except OSError as fault:
        if is_shortage(fault):
            end_without_memory(fault)
        end_by_file(fault)
    except (MemoryError, RuntimeError) as fault:
        if not is_shortage(fault):
            raise
        end_without_memory(fault)


def relion_job() -> None:
    """The executable `cryoparts-relion`, which RELION's screen takes: one word."""
    main(["relion", *sys.argv[1:]])


def _follow() -> None:
    """Share the work of the process that is rank 0 of the same job."""
    from cryoparts.parallel.follow import follow_launched

    follow_launched()


def _everywhere(given: list[str]) -> tuple[list[str], Everywhere]:
    """The arguments of the verb, and the flags that all verbs share."""
    end = given.index("--") if "--" in given else len(given)
    words, memory = _without(MEMORY, given[:end])
    words, processes = _without(PROCESSES, words)
    rest = [word for word in words if word not in FLAGS] + given[end:]
    flags = Everywhere(
        memory=_gibibytes(memory),
        processes=_count(processes),
        **{FLAGS[word]: True for word in words if word in FLAGS},
    )
    return ([*rest, "--help"] if flags.help_all else rest), flags


def _without(flag: str, words: Sequence[str]) -> tuple[list[str], str | None]:
    """The words but for a flag and its value, and the last value that it was given."""
    rest, found, waiting = [], None, iter(words)
    for word in waiting:
        name, given, value = word.partition("=")
        if name == flag:
            found = value if given else next(waiting, "")
        else:
            rest.append(word)
    return rest, found


def _gibibytes(text: str | None) -> float | None:
    """A memory that was asked for; None where none was."""
    try:
        return None if text is None else float(text)
    except ValueError as fault:
        raise InputError(
            MEMORY, f"needs a number of GiB, got {text!r}", "Write --memory 8."
        ) from fault


def _count(text: str | None) -> int | None:
    """A number of processes that was asked for; None of auto."""
    if text is None or text == "auto":
        return None
    if not text.isdigit() or int(text) < 1:
        raise InputError(
            PROCESSES,
            f"needs a number from 1, or auto; got {text!r}",
            "auto starts as many as there are cores (or cards) where the work is worth it.",
        )
    return int(text)


def _shown(given: Sequence[str], flags: Everywhere) -> AbstractContextManager[None]:
    """The line of the work, while a verb works."""
    verb = given[0] if given else ""
    works = verb in COMMANDS and verb not in SERVES and "--help" not in given and "-h" not in given
    return DISPLAY.shown(verb) if works and not flags.quiet else nullcontext()
