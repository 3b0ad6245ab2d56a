"""The programs that are compared: how each is installed, run, and its latent vectors read.

Each has an environment of its own. What it writes as a pickle is read by its own Python.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from cryoparts.particle_files.read_particles import read_particles

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LATENT_DIMENSIONS = 8
PICKLE_TO_NPY = (
    "import pickle, sys, numpy; numpy.save(sys.argv[2], pickle.load(open(sys.argv[1], 'rb')))"
)


@dataclass(frozen=True)
class Job:
    """What is asked of a program.

    Attributes
    ----------
    data : Path
        Folder of `cryoparts simulate composition`.
    out : Path
        Folder of results.
    environment : Path
        The program's virtual environment.
    options : list of str
        Of its long command, added at the end.
    """

    data: Path
    out: Path
    environment: Path
    options: list[str]

    def program(self, name: str) -> str:
        """A command of the environment."""
        return str(self.environment / "bin" / name)

    @property
    def particles(self) -> str:
        return str(self.data / "particles.star")


@dataclass(frozen=True)
class Program:
    """How one program is had and used.

    Attributes
    ----------
    requirements : tuple of str
        Installed one after the other: what must not be chosen by another's wish comes first.
    packages : tuple of str
        Whose versions are recorded.
    commands : function
        From a job to its steps' names and commands.
    latents : function
        From a job to the kinds of latent vectors that it left so far, in the particles' order.
    variables : dict
        Of the environment of its commands.
    """

    requirements: tuple[str, ...]
    packages: tuple[str, ...]
    commands: Callable[[Job], dict[str, list[str]]]
    latents: Callable[[Job], dict[str, np.ndarray]]
    variables: dict[str, str] = field(default_factory=dict)


def _cryodrgn_commands(job: Job) -> dict[str, list[str]]:
    program, poses, ctf = (
        job.program("cryodrgn"),
        str(job.out / "pose.pkl"),
        str(job.out / "ctf.pkl"),
    )
    return {
        "poses": [program, "parse_pose_star", job.particles, "-o", poses],
        "ctf": [program, "parse_ctf_star", job.particles, "-o", ctf],
        "train": [
            *(program, "train_vae", job.particles, "--datadir", str(job.data)),
            *("--poses", poses, "--ctf", ctf, "--zdim", str(LATENT_DIMENSIONS), "--seed", "0"),
            # particles of the simulation are bright
            *("--uninvert-data", "--no-analysis", "-o", str(job.out / "train"), *job.options),
        ],
    }


def _cryodrgn_latents(job: Job) -> dict[str, np.ndarray]:
    epochs = [int(file.stem.split(".")[1]) for file in (job.out / "train").glob("z.*.pkl")]
    if not epochs:
        return {}
    last, copy = max(epochs), job.out / "z.npy"
    pickled = job.out / "train" / f"z.{last}.pkl"
    subprocess.run([job.program("python"), "-c", PICKLE_TO_NPY, pickled, copy], check=True)
    return {f"z after {last} epochs": np.load(copy)}


def _recovar_commands(job: Job) -> dict[str, list[str]]:
    return {
        "pipeline": [
            *(job.program("recovar"), "pipeline", job.particles, "--datadir", str(job.data)),
            *("--mask", "from_halfmaps", "--zdim", f"{LATENT_DIMENSIONS},20", "--accept-cpu"),
            *("-o", str(job.out / "pipeline"), *job.options),
        ]
    }


def _recovar_latents(job: Job) -> dict[str, np.ndarray]:
    files = sorted((job.out / "pipeline" / "model").glob("zdim_*/latent_coords.npy"))
    return {f"{file.parent.name.removeprefix('zdim_')} dimensions": np.load(file) for file in files}


def _cryoparts_commands(job: Job) -> dict[str, list[str]]:
    # to the latent vectors, as of the others: parts, composition and maps would follow
    one = [sys.executable, "-m", "cryoparts", "--processes", "1"]
    model = str(job.data / "model.cif")
    out = str(job.out / "run")
    return {"train": [*one, "train", job.particles, "--model", model, "-o", out, *job.options]}


def _cryoparts_latents(job: Job) -> dict[str, np.ndarray]:
    file = job.out / "run" / "latent.csv"
    if not file.is_file():
        return {}
    names = read_particles(job.data / "particles.star").names
    return {"latent": pd.read_csv(file, index_col="name").loc[names].to_numpy()}


PROGRAMS = {
    "cryodrgn": Program(
        # torch first, and the same for all: a wheel for processors where the index has one
        ("torch==2.13.0", "cryodrgn==4.3.1"),
        ("cryodrgn", "torch", "numpy"),
        _cryodrgn_commands,
        _cryodrgn_latents,
    ),
    "recovar": Program(
        ("recovar==1.0.5",),
        ("recovar", "jax", "numpy"),
        _recovar_commands,
        _recovar_latents,
        {
            "JAX_PLATFORMS": "cpu",
            "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
        },
    ),
    "cryoparts": Program(
        (), ("cryoparts", "torch", "numpy"), _cryoparts_commands, _cryoparts_latents
    ),
}
