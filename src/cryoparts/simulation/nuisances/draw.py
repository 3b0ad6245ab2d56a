"""What is wrong with each particle, drawn; and what its user would be given."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

import numpy as np
import torch

from cryoparts.conventions import CtfParameters, Poses
from cryoparts.imaging.rotations import rotation_about_axis
from cryoparts.simulation.acquisition import uniform_rotations
from cryoparts.simulation.nuisances.optics import in_groups, read_optics_groups
from cryoparts.simulation.nuisances.views import read_views, seen_from

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cryoparts.conventions import FloatArray, IntArray
    from cryoparts.simulation.acquisition import Acquisition
    from cryoparts.simulation.nuisances.options import Nuisances
    from cryoparts.simulation.options import ImagingOptions

SMALLEST_SCALE = 0.1
"""Least contrast of a particle: one of none would be junk."""


@dataclass(frozen=True)
class Disturbance:
    """What makes the P images, and what is said of them.

    Parameters
    ----------
    true_poses, true_ctf : Poses, CtfParameters
        That the images are made with; the CTF's scale and B-factor are the particle's.
    given_poses, given_ctf : Poses, CtfParameters
        That the particle table holds.
    junk_kind : str array, shape (P,)
        Kind of junk, "" for a particle.
    lost : bool array, shape (P,)
        Good particles whose given pose is random.
    magnification : float64 array, shape (P,)
        True over nominal.
    background : float64 array, shape (P, 2)
        Rise of the background across the box along x and y, in standard deviations of the noise.
    view : int array, shape (P,)
        Number of the preferred view, -1 for none.
    optics_group : int array, shape (P,)
        1 for the first.
    half_set : int8 array, shape (P,)
        1 or 2.
    """

    true_poses: Poses
    true_ctf: CtfParameters
    given_poses: Poses
    given_ctf: CtfParameters
    junk_kind: NDArray[np.str_]
    lost: NDArray[np.bool_]
    magnification: FloatArray
    background: FloatArray
    view: IntArray
    optics_group: IntArray
    half_set: NDArray[np.int8]

    @classmethod
    def none(cls, acquisition: Acquisition) -> Self:
        """Nothing is wrong: what is given is true."""
        count = len(acquisition.poses)
        return cls(
            acquisition.poses,
            acquisition.ctf,
            acquisition.poses,
            acquisition.ctf,
            np.full(count, "", dtype=np.str_),
            np.zeros(count, dtype=bool),
            np.ones(count),
            np.zeros((count, 2)),
            np.full(count, -1),
            np.ones(count, dtype=np.int64),
            acquisition.half_set,
        )

    @property
    def is_junk(self) -> NDArray[np.bool_]:
        """Which images are no particle in its place, shape (P,)."""
        junk: NDArray[np.bool_] = self.junk_kind != ""
        return junk


def disturb(
    acquisition: Acquisition,
    options: ImagingOptions,
    nuisances: Nuisances,
    rng: np.random.Generator,
) -> Disturbance:
    """Draw what is wrong with each particle.

    Each nuisance has a stream of random numbers of its own: one that is switched on
    changes nothing in the others.

    Raises
    ------
    InputError
        If a text of the options cannot be read.
    """
    ideal = Disturbance.none(acquisition)
    if not nuisances.any:
        return ideal
    count = len(acquisition.poses)
    views_rng, optics_rng, junk_rng, pose_rng, ctf_rng, scale_rng, ground_rng = rng.spawn(7)
    rotation, view = seen_from(
        acquisition.poses.rotation, read_views(nuisances.preferred_views), views_rng
    )
    true_poses = Poses(rotation, acquisition.poses.shift_angstrom)
    groups = read_optics_groups(nuisances.optics_groups, options)
    ctf, group = in_groups(acquisition.ctf, groups, optics_rng)
    scale = 1.0 + nuisances.scale_spread * scale_rng.standard_normal(count)
    damping = nuisances.largest_b_factor * scale_rng.random(count)
    kind = _junk_kinds(count, nuisances, junk_rng)
    given_poses, lost = _given_poses(true_poses, kind != "", nuisances, options, pose_rng)
    error = nuisances.defocus_error_angstrom * ctf_rng.standard_normal(count)
    return replace(
        ideal,
        true_poses=true_poses,
        true_ctf=replace(ctf, scale=np.maximum(scale, SMALLEST_SCALE), b_factor=damping),
        given_poses=given_poses,
        given_ctf=replace(
            ctf,
            defocus_u_angstrom=ctf.defocus_u_angstrom + error,
            defocus_v_angstrom=ctf.defocus_v_angstrom + error,
        ),
        junk_kind=kind,
        lost=lost,
        magnification=1.0 + nuisances.magnification_error * np.where(group % 2 == 1, 1.0, -1.0),
        background=nuisances.background_gradient * ground_rng.standard_normal((count, 2)),
        view=view,
        optics_group=group,
    )


def _junk_kinds(count: int, nuisances: Nuisances, rng: np.random.Generator) -> NDArray[np.str_]:
    """Kind of each image; the share of junk and of each kind are exact to a particle."""
    kinds = nuisances.junk_kinds
    weights = np.array(nuisances.junk_weights or (1.0,) * len(kinds))
    wanted = round(nuisances.junk * count)
    ends = np.rint(np.cumsum(weights / weights.sum()) * wanted).astype(np.int64)
    number = np.searchsorted(ends, np.arange(count), side="right")
    named = np.array([*kinds, ""])[number]
    shuffled: NDArray[np.str_] = named[rng.permutation(count)]
    return shuffled


def _given_poses(
    true: Poses,
    junk: NDArray[np.bool_],
    nuisances: Nuisances,
    options: ImagingOptions,
    rng: np.random.Generator,
) -> tuple[Poses, NDArray[np.bool_]]:
    """Poses with their errors, and which are lost."""
    count = len(true)
    tilt = rng.standard_normal((count, 3)) * nuisances.pose_error_degrees / np.sqrt(3.0)
    move = rng.standard_normal((count, 2)) * nuisances.shift_error_angstrom / np.sqrt(2.0)
    rotation = turned_by(tilt) @ true.rotation
    shift = true.shift_angstrom + move
    lost = np.zeros(count, dtype=bool)
    good = np.flatnonzero(~junk)
    lost[rng.permutation(good)[: round(nuisances.lost_poses * count)]] = True
    anywhere = uniform_rotations(count, rng)
    elsewhere = rng.normal(0.0, options.shift_sigma_angstrom, size=(count, 2))
    rotation[lost], shift[lost] = anywhere[lost], elsewhere[lost]
    return Poses(rotation, shift), lost


def turned_by(rotation_vectors_degrees: FloatArray) -> FloatArray:
    """Rotation matrices (P, 3, 3) of rotation vectors (P, 3): axis times angle, degrees."""
    angle = np.linalg.norm(rotation_vectors_degrees, axis=1)
    safe = np.where(angle[:, None] > 0.0, rotation_vectors_degrees, [0.0, 0.0, 1.0])
    matrices: FloatArray = rotation_about_axis(
        torch.from_numpy(safe), torch.from_numpy(angle)
    ).numpy()
    return matrices
