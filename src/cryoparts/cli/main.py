"""The program `cryoparts`: one verb a file of this package."""

from __future__ import annotations

import os
import sys
import warnings
from typing import TYPE_CHECKING

import cyclopts

from cryoparts.cli.console import fail, say_error, show_warnings
from cryoparts.cli.ending import TerminatedError, end_by_file, end_unfinished, told_to_stop
from cryoparts.errors import InputError
from cryoparts.version import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence

USER_ERROR = 2
"""Exit status where what the user gave is wrong, as of command lines in general."""

COMMANDS = {  # verb: its folder of this package, what it does
    "run": ("start", "Everything, from particles and a model to the report"),
    "check": ("start", "Whether particles, poses, CTF and model belong together"),
    "model": ("start", "Gaussian model of a map or an atomic model"),
    "train": ("start", "Train encoder and decoder"),
    "decode": ("analyse", "Each particle's amplitudes and displacements as .npz"),
    "parts": ("analyse", "Group the Gaussians that change together"),
    "edit-parts": ("analyse", "Merge, split, add, rename or remove parts by hand"),
    "masks": ("analyse", "A soft mask of each part for RELION and cryoSPARC"),
    "motion": ("analyse", "Rigid motion of each part in each particle: axis, angle, shift"),
    "focus": ("analyse", "Group the particles by one part"),
    "columns": ("results", "Everything known of each particle, as one table"),
    "select": ("results", "Choose particles and save them as a selection"),
    "dashboard": ("results", "Interactive page: embeddings, parts, lasso"),
    "composition": ("analyse", "Presence of each part in each particle, and its occupancy"),
    "coordination": ("analyse", "Which parts change together; the order of assembly"),
    "trust": ("analyse", "Whether each part deserves belief: null particles, seeds, half sets"),
    "reconstruct": ("results", "Half maps, FSC and difference maps of a part's states"),
    "report": ("results", "One page with every figure"),
    "evaluate": ("truth", "Compare a run with simulated ground truth"),
    "simulate": ("truth", "Particles with ground truth: composition, motion, both, maps"),
    "benchmark": (
        "truth",
        "Accuracy over seeds and decoders where the truth is known",
    ),
    "demo": ("start", "Simulate a nine-piece complex and run everything on it"),
}


def option_name(parameter: str) -> str:
    """Options are named without their unit, which their help gives."""
    return cyclopts.default_name_transform(parameter).removesuffix("-angstrom")


def build_app() -> cyclopts.App:
    """The command line; each verb is imported when it is called."""
    app = cyclopts.App(
        name="cryoparts",
        help="Find the moving and missing parts of a protein from cryo-EM images.",
        version=__version__,
        help_format="plaintext",
        suppress_keyboard_interrupt=False,  # what is kept is said here
        default_parameter=cyclopts.Parameter(name_transform=option_name, consume_multiple=True),
    )
    for name, (folder, summary) in COMMANDS.items():
        function = name.replace("-", "_")
        app.command(f"cryoparts.cli.{folder}.{function}:{function}", name=name, help=summary)
    return app


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; exits with 0; 2 for wrong input; 1, 130 or 143, see `ending`."""
    # Plotting and clustering libraries warn of their own future; users can do nothing about it.
    warnings.filterwarnings("ignore", category=FutureWarning)
    # Torch's idle threads would spin, and steal the time of other kernels and of other people's
    # programs: on a machine with another busy process, training was 5 times slower.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        with show_warnings(), told_to_stop():
            build_app()(given, exit_on_error=False, print_error=False, result_action="return_value")
    except InputError as error:
        fail(error)
        sys.exit(USER_ERROR)
    except cyclopts.CycloptsError as error:
        say_error(f"{error}", "Run `cryoparts --help`, or a verb with --help, for the options.")
        sys.exit(USER_ERROR)
    except KeyboardInterrupt:
        end_unfinished(given, terminated=False)
    except TerminatedError:
        end_unfinished(given, terminated=True)
    except OSError as fault:
        end_by_file(fault)
