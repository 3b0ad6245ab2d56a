"""A run folder as far as the columns of particles read it."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path

import numpy as np

from cryoparts.config import RunConfig
from cryoparts.conventions import CtfParameters
from cryoparts.gaussians.model import GaussianModel
from cryoparts.io.run_directory import RunDirectory
from cryoparts.parts.part_labels import PartLabels
from cryoparts.states.focus import FocusedParticles

PARTICLES = 40


def names_of(count: int = PARTICLES) -> np.ndarray:
    return np.array([f"{i + 1:06d}@a, b.mrcs" for i in range(count)])


def make_run(
    root: Path,
    particles: str = "p.lst",
    count: int = PARTICLES,
    names: np.ndarray | None = None,
    arm: str = "arm",
) -> RunDirectory:
    """Two parts, the second called `arm`; focus on each and on both; files' rows shuffled."""
    rng = np.random.default_rng(0)
    run = RunDirectory.create(root, RunConfig(particles=particles, model="m.mrc"), [])
    names = names_of(count) if names is None else names
    model = GaussianModel.of(rng.normal(size=(30, 3)) * 20, np.ones(30), np.full(30, 4.0))
    model.save(run.gaussians_path)
    PartLabels(
        np.repeat([0, 1, 2], [16, 9, 5]),
        rng.normal(size=(30, 2)),
        model.positions.astype(float),
        np.ones(30),
        np.ones(30),
        "pca",
        names=("core", "part_1", arm),
    ).save(run.parts_path)
    run.particles_path.mkdir()
    np.save(run.particles_path / "images.npy", np.zeros((count, 8, 8), dtype=np.float32))
    ctf = {field.name: np.full(count, 1.0) for field in fields(CtfParameters)}
    ctf["defocus_u_angstrom"] = 10000 + 100.0 * np.arange(count)
    ctf["defocus_v_angstrom"] = ctf["defocus_u_angstrom"] + 200
    np.savez(
        run.particles_path / "particles.npz",
        names=np.char.encode(names, "utf-8"),
        rotation=np.tile(np.eye(3), (count, 1, 1)),
        shift_angstrom=np.zeros((count, 2)),
        half_set=(1 + np.arange(count) % 2).astype(np.int8),
        optics_group=np.ones(count, dtype=np.int64),
        **ctf,
    )
    (run.particles_path / "preprocessing.json").write_text(
        json.dumps({"box_size": 8, "pixel_size_angstrom": 4.0, "contrast_sign": 1})
    )
    index = np.arange(count)
    for part in (1, 2):
        _focus(rng, names, index, (part,)).save(run.focus_path(part))
    _focus(rng, names, index, (1, 2)).save(run.focus_on_several_path((1, 2)))
    run.motion_path.mkdir()
    order = rng.permutation(count)
    angles = [f"{_quoted(names[i])},{i - 20}" for i in order if i != 3]
    (run.motion_path / "part_2.csv").write_text(
        "name,signed_angle_degrees\n" + "\n".join(angles) + "\n"
    )
    latent = np.column_stack([index - index.mean(), np.zeros(count)])
    rows = [f"{_quoted(n)},{a},{b}" for n, (a, b) in zip(names, latent.tolist(), strict=True)]
    np.save(run.latent_path, latent.astype(np.float32))
    run.latent_csv_path.write_text("name,z1,z2\n" + "\n".join(rows) + "\n")
    return run


def _quoted(name: str) -> str:
    """A name as tables have it."""
    doubled = str(name).replace('"', '""')
    return f'"{doubled}"'


def _focus(rng, names, index, parts) -> FocusedParticles:
    """Amplitude of part k: row / P; state 1 for even rows."""
    order = rng.permutation(len(names))
    amplitude = (index / len(names))[order]
    return FocusedParticles(
        names=names[order],
        embedding=np.column_stack([index, index % 7])[order].astype(float),
        states=(1 + index % 2)[order],
        coordinate=amplitude,
        mean_amplitude=amplitude,
        displacement_rms_angstrom=np.zeros(len(names)),
        order="clusters",
        chosen_by="found",
        parts=parts,
        density=amplitude,
        certainty=1 - amplitude,
        amplitude_of_part=np.tile(amplitude[:, None], (1, len(parts))),
        displacement_of_part=np.zeros((len(names), len(parts))),
    )
