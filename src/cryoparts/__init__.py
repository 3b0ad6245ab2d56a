"""cryoparts: find the moving and missing parts of a protein from cryo-EM images.

The names below are the door for scripts and notebooks; each is imported when it is
first asked for, so that ``import cryoparts`` costs nothing. `docs/api.md` introduces them.

=============================== =============================================================
`open_run`                      a run folder as one object (`cryoparts.run.run.Run`)
`read_particles`                a particle file of RELION, cryoSPARC, EMAN2 or cryoDRGN
`GaussianModel`                 positions, amplitudes and widths of Gaussians
`project`                       Fourier transforms of the images of Gaussians
`contrast_transfer`             the contrast transfer function
`fourier_shell_correlation`     FSC of two maps
`simulate`                      particles whose truth is known
`pipeline`                      the steps of ``cryoparts run``, a function each
=============================== =============================================================
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from cryoparts.version import __version__

if TYPE_CHECKING:
    from cryoparts import pipeline
    from cryoparts.errors import InputError
    from cryoparts.gaussians.model import GaussianModel
    from cryoparts.imaging.ctf import contrast_transfer
    from cryoparts.imaging.projection import project
    from cryoparts.imaging.shell_correlation import fourier_shell_correlation
    from cryoparts.particle_files.read_particles import read_particles
    from cryoparts.pipeline.simulation import simulate
    from cryoparts.run.run import Run, open_run

__all__ = [
    "GaussianModel",
    "InputError",
    "Run",
    "__version__",
    "contrast_transfer",
    "fourier_shell_correlation",
    "open_run",
    "pipeline",
    "project",
    "read_particles",
    "simulate",
]

_HOME = {
    "GaussianModel": "cryoparts.gaussians.model",
    "InputError": "cryoparts.errors",
    "Run": "cryoparts.run.run",
    "contrast_transfer": "cryoparts.imaging.ctf",
    "fourier_shell_correlation": "cryoparts.imaging.shell_correlation",
    "open_run": "cryoparts.run.run",
    "project": "cryoparts.imaging.projection",
    "read_particles": "cryoparts.particle_files.read_particles",
    "simulate": "cryoparts.pipeline.simulation",
}
"""Where each name is defined."""


def __getattr__(name: str) -> Any:
    if name == "pipeline":
        return import_module("cryoparts.pipeline")
    if name not in _HOME:
        raise AttributeError(f"module 'cryoparts' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return __all__
