"""The folder of a simulated data set, whatever is in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cryoparts.errors import InputError
from cryoparts.io.atomic import make_folder_atomically
from cryoparts.simulation.acquisition import draw_acquisition
from cryoparts.simulation.ground_truth import TRUTH_FILE, NuisanceTruth, Truth
from cryoparts.simulation.nuisances.draw import Disturbance, disturb
from cryoparts.simulation.nuisances.junk import JunkMaterial
from cryoparts.simulation.nuisances.options import Nuisances
from cryoparts.simulation.particles import write_particles

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from cryoparts.simulation.options import ImagingOptions, Progress
    from cryoparts.simulation.scene import Scene

IMAGING, NOISE, NUISANCES = "imaging", "noise", "nuisances"
"""Streams of random numbers that every data set has."""

Random = Mapping[str, np.random.Generator]
"""Streams of random numbers by name."""

Finish = Callable[[Path], object]
"""Adds to the folder of a data set before it appears."""


@dataclass(frozen=True)
class Content:
    """What a data set shows.

    Parameters
    ----------
    scene : Scene
    write_model : callable
        Writes the neutral model into a folder.
    truth : callable
        Makes the truth from what all data sets know: the fields of `Truth` by name.
    positions : array, shape (A, 3)
        The molecule's mass, Å about the box centre: what junk is made of.
    masses : array, shape (A,)
    """

    scene: Scene
    write_model: Callable[[Path], None]
    truth: Callable[..., Truth]
    positions: ArrayLike
    masses: ArrayLike


def simulate(
    folder: Path,
    imaging: ImagingOptions,
    make_content: Callable[[Random], Content],
    streams: Sequence[str],
    progress: Progress | None = None,
    nuisances: Nuisances | None = None,
    finish: Finish | None = None,
) -> Path:
    """Write particles.star, particles.mrcs, the neutral model and truth.npz.

    Parameters
    ----------
    folder : Path
        Must not exist; appears only when everything is written.
    imaging : ImagingOptions
    make_content : callable
        Makes what is shown from the streams of random numbers.
    streams : sequence of str
        Their names, `IMAGING` and `NOISE` among them, in the order in which they are
        spawned from the seed.
    progress : callable, optional
        See `write_particles`.
    nuisances : Nuisances, optional
        What is wrong with the particles. Default: nothing.
    finish : callable, optional
        Adds files to the folder before it appears.

    Returns
    -------
    Path
        `folder`.

    Raises
    ------
    InputError
        If a file or an option is unusable or the folder exists.
    """
    if folder.exists():
        raise InputError(
            str(folder), "exists already", "Choose another output folder, or remove this one."
        )
    names = (*streams, NUISANCES)
    children = np.random.SeedSequence(imaging.seed).spawn(len(names))
    random = {n: np.random.default_rng(c) for n, c in zip(names, children, strict=True)}
    with make_folder_atomically(folder) as partial:
        content = make_content(random)
        wrong = nuisances or Nuisances()
        draw, junk = random[NUISANCES].spawn(2)
        disturbance = disturb(draw_acquisition(imaging, random[IMAGING]), imaging, wrong, draw)
        written = write_particles(
            partial,
            content.scene,
            disturbance,
            imaging,
            random[NOISE],
            progress,
            (lambda: JunkMaterial.of(content.positions, content.masses, junk), junk),
        )
        content.write_model(partial)
        content.truth(
            names=written.names,
            seed=imaging.seed,
            image_scale=written.image_scale,
            contrast=imaging.contrast,
            nuisances=_nuisance_truth(disturbance) if wrong.any else None,
        ).save(partial / TRUTH_FILE)
        if finish is not None:
            finish(partial)
    return folder


def _nuisance_truth(disturbance: Disturbance) -> NuisanceTruth:
    true, given = disturbance.true_ctf, disturbance.given_ctf
    return NuisanceTruth(
        junk_kind=disturbance.junk_kind,
        lost=disturbance.lost,
        rotation=disturbance.true_poses.rotation,
        shift_angstrom=disturbance.true_poses.shift_angstrom,
        given_rotation=disturbance.given_poses.rotation,
        given_shift_angstrom=disturbance.given_poses.shift_angstrom,
        defocus_u_angstrom=true.defocus_u_angstrom,
        defocus_v_angstrom=true.defocus_v_angstrom,
        given_defocus_u_angstrom=given.defocus_u_angstrom,
        given_defocus_v_angstrom=given.defocus_v_angstrom,
        scale=true.scale,
        b_factor=true.b_factor,
        magnification=disturbance.magnification,
        background=disturbance.background,
        view=disturbance.view,
        optics_group=disturbance.optics_group,
    )
