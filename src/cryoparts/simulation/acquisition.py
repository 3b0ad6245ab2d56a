"""Orientations, shifts and CTFs of the particles, drawn or read from a file."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np
import torch

from cryoparts.conventions import CtfParameters, Poses
from cryoparts.errors import InputError
from cryoparts.imaging.rotations import random_rotations
from cryoparts.particle_files.read_particles import read_particles

if TYPE_CHECKING:
    from pathlib import Path

    from cryoparts.conventions import FloatArray
    from cryoparts.simulation.options import ImagingOptions

CTF_KEYS = {
    "defocus_u_angstrom": "defocus_u_angstrom",
    "defocus_v_angstrom": "defocus_v_angstrom",
    "astigmatism_angle_degrees": "defocus_angle_degree",
    "voltage_kv": "voltage_kv",
    "spherical_aberration_mm": "cs_mm",
    "amplitude_contrast": "amplitude_contrast",
    "phase_shift_degrees": "phase_shift_degree",
}
"""Field of `CtfParameters` -> its name in an .npz of poses."""


@dataclass(frozen=True)
class Acquisition:
    """How each of the P particles was imaged, and the half set it belongs to.

    Parameters
    ----------
    poses : Poses
    ctf : CtfParameters
    half_set : int8 array, shape (P,)
        1 or 2, as many of one as of the other (one more of 1 if P is odd).
    """

    poses: Poses
    ctf: CtfParameters
    half_set: np.ndarray[tuple[int], np.dtype[np.int8]]


def draw_acquisition(options: ImagingOptions, rng: np.random.Generator) -> Acquisition:
    """Draw the poses, CTFs and half sets of a data set.

    With a poses file the particles are drawn from it without repetition (in
    its order) and each takes its own CTF along; shifts are always drawn, since
    those of the file are relative to another box.

    Raises
    ------
    InputError
        If the poses file cannot be read or has fewer particles than asked.
    """
    count = options.n_particles
    if options.poses_file is None:
        rotation, ctf = uniform_rotations(count, rng), draw_ctf(options, rng)
    else:
        rotation, stored = _read_poses(options.poses_file)
        if len(rotation) < count:
            raise InputError(
                str(options.poses_file),
                f"holds {len(rotation)} particles, {count} are asked for",
                "Ask for fewer with --n-particles, or leave the poses file out.",
            )
        rows = np.sort(rng.choice(len(rotation), size=count, replace=False))
        rotation = rotation[rows]
        ctf = draw_ctf(options, rng) if stored is None else stored.take(rows)
    shift = rng.normal(0.0, options.shift_sigma_angstrom, size=(count, 2))
    half_set = rng.permutation(np.arange(count) % 2 + 1).astype(np.int8)
    return Acquisition(Poses(rotation, shift), ctf, half_set)


def uniform_rotations(count: int, rng: np.random.Generator) -> FloatArray:
    """Rotation matrices (count, 3, 3), uniform over all rotations."""
    generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
    matrices: FloatArray = random_rotations(count, generator, torch.float64).numpy()
    return matrices


def draw_ctf(options: ImagingOptions, rng: np.random.Generator) -> CtfParameters:
    """CTFs of mean defocus, astigmatism and angle uniform in their ranges."""
    count = options.n_particles
    mean = rng.uniform(*options.defocus_range_angstrom, size=count)
    half_difference = 0.5 * options.astigmatism_angstrom * rng.random(count)
    return CtfParameters(
        defocus_u_angstrom=mean + half_difference,
        defocus_v_angstrom=mean - half_difference,
        astigmatism_angle_degrees=rng.uniform(0.0, 180.0, size=count),
        voltage_kv=np.full(count, options.voltage_kv),
        spherical_aberration_mm=np.full(count, options.spherical_aberration_mm),
        amplitude_contrast=np.full(count, options.amplitude_contrast),
        phase_shift_degrees=np.zeros(count),
        b_factor=np.zeros(count),
        scale=np.ones(count),
    )


def _read_poses(path: Path) -> tuple[FloatArray, CtfParameters | None]:
    if path.suffix != ".npz":
        table = read_particles(path, require_stacks=False)
        return table.poses.rotation, table.ctf
    try:
        with np.load(path, allow_pickle=False) as stored:
            arrays = {name: np.asarray(stored[name], dtype=np.float64) for name in stored.files}
    except (OSError, ValueError) as fault:
        raise InputError(
            str(path), f"not an .npz of numbers: {fault}", "Give a file of poses."
        ) from fault
    rotation = arrays.get("rotation", np.zeros(0))
    count = len(rotation)
    if rotation.shape != (count, 3, 3) or not _are_rotations(rotation):
        raise InputError(
            str(path),
            f"key 'rotation' must hold rotation matrices (P, 3, 3), got shape {rotation.shape}",
            "Store rotations of determinant 1 that take the reference to the image.",
        )
    given = [key for key in CTF_KEYS.values() if key in arrays]
    if not given:
        return rotation, None
    for key in CTF_KEYS.values():
        values = arrays.get(key)
        if values is None or values.shape != (count,) or not np.isfinite(values).all():
            raise InputError(
                str(path),
                f"key '{key}' must hold {count} finite numbers like the other CTF parameters",
                f"Store all of {', '.join(CTF_KEYS.values())}, or none of them.",
            )
    known = {field: arrays[key] for field, key in CTF_KEYS.items()}
    rest = {f.name: np.zeros(count) for f in fields(CtfParameters) if f.name not in known}
    rest["scale"] = np.ones(count)
    return rotation, CtfParameters(**known, **rest)


def _are_rotations(matrices: FloatArray) -> bool:
    """Whether every matrix is finite, orthogonal to 1e-3 and of positive determinant."""
    if not np.isfinite(matrices).all():
        return False
    products = matrices @ np.swapaxes(matrices, 1, 2)
    return bool(
        np.allclose(products, np.eye(3), atol=1e-3) and (np.linalg.det(matrices) > 0.0).all()
    )
