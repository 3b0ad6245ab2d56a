"""A run folder as the other steps write it, with a known molecule in it."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import yaml
from scipy.ndimage import gaussian_filter

from cryoparts.conventions import CtfParameters
from cryoparts.difference_maps.difference_map import difference_map
from cryoparts.difference_maps.map_files import write_part_maps
from cryoparts.difference_maps.part_maps import GroupMap, PartMaps
from cryoparts.difference_maps.surroundings import Surroundings
from cryoparts.gaussians.model import GaussianModel
from cryoparts.io.structure import write_gaussians_cif
from cryoparts.parts.part_labels import PartLabels
from cryoparts.reconstruction.fsc import resolution_at
from cryoparts.reconstruction.half_maps import Reconstruction
from cryoparts.reconstruction.phase_randomisation import FscCurves
from cryoparts.states.focus import FocusedParticles

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Made:
    """What was put into the folder."""

    folder: Path
    names: np.ndarray
    labels: np.ndarray
    states: dict[int, np.ndarray]


def make_run(
    folder: Path,
    *,
    particles: int = 400,
    gaussians: int = 300,
    parts: int = 2,
    box: int = 24,
    pixel: float = 6.0,
    epochs: int = 5,
    gain: float = 0.02,
    latent: int = 4,
    steps: tuple[str, ...] = ("train", "parts", "focus", "reconstruct", "evaluate"),
    name_prefix: str = "",
    seed: int = 3,
) -> Made:
    """Fabricate a run folder; `gain` is the rise of the held-out FRC over the neutral model."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    names = np.array([f"{i + 1:06d}@{name_prefix}particles.mrcs" for i in range(particles)])
    model, labels = _molecule(rng, gaussians, parts, 0.33 * box * pixel)
    present = {p: (rng.random(particles) < 0.35 + 0.1 * p).astype(int) for p in range(1, parts + 1)}
    states = {p: 2 - present[p] for p in present}
    _write_inputs(folder, rng, model, names, box, pixel)
    if "train" in steps:
        _write_training(folder, rng, names, states, epochs, gain, latent)
    if "parts" in steps:
        _write_parts(folder, rng, model, labels)
    for part, state in states.items() if "focus" in steps else ():
        _write_focus(folder / "focus" / f"part_{part}", rng, names, state)
    for part in states if "reconstruct" in steps else ():
        _write_maps(
            folder / "reconstruction" / f"part_{part}", rng, model, labels == part, box, pixel
        )
    if "evaluate" in steps:
        content = {
            "amplitude_accuracy": {"optional": 0.9573, "all": 0.9812},
            "parts": {"adjusted_rand_index": 0.91},
        }
        (folder / "evaluation.json").write_text(json.dumps(content))
    return Made(folder, names, labels, states)


def _molecule(rng, count, parts, radius):
    points = rng.normal(size=(4 * count, 3))
    points *= (
        radius
        * rng.random((len(points), 1)) ** (1 / 3)
        / np.linalg.norm(points, axis=1, keepdims=True)
    )
    centres = points[rng.choice(len(points), count, replace=False)]
    for _ in range(6):
        nearest = np.argmin(((points[:, None] - centres) ** 2).sum(axis=2), axis=1)
        centres = np.array(
            [
                points[nearest == i].mean(axis=0) if (nearest == i).any() else centres[i]
                for i in range(count)
            ]
        )
    directions = rng.normal(size=(parts, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    labels = np.zeros(count, dtype=np.int64)
    for part, direction in reversed(list(enumerate(directions, start=1))):
        labels[(centres @ direction) > radius * (0.35 + 0.08 * part)] = part
    if count > 50:
        labels[rng.choice(count, 3, replace=False)] = -1
    model = GaussianModel.of(centres, 30 + 20 * rng.random(count), np.full(count, 4.0))
    return model, labels


def _write_inputs(folder, rng, model, names, box, pixel):
    model.save(folder / "gaussians.npz")
    write_gaussians_cif(folder / "gaussians.cif", model.positions, model.amplitudes, model.widths)
    config = {
        "versions": {"cryoparts": "0.1.0", "torch": "2.13.0"},
        "input_checksums_sha256": {"job042/run_data.star": "8f3a" * 16},
        "options": {
            "particles": "job042/run_data.star",
            "model": "reference <b>& map</b>.mrc",
            "training": {
                "decoder": "point-transformer",
                "vary": ["amplitude"],
                "learning_rate": None,
            },
        },
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    (folder / "command.txt").write_text(
        "cryoparts run job042/run_data.star --model reference.mrc -o run\n"
    )
    cache = folder / "particles"
    cache.mkdir()
    count = len(names)
    quaternion = rng.normal(size=(count, 4))
    w, x, y, z = (quaternion / np.linalg.norm(quaternion, axis=1, keepdims=True)).T
    rotation = np.stack(
        [
            np.stack([1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)], axis=1),
            np.stack([2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)], axis=1),
            np.stack([2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)], axis=1),
        ],
        axis=1,
    )
    ctf = {field.name: np.zeros(count) for field in fields(CtfParameters)}
    ctf["defocus_u_angstrom"] = rng.uniform(8000, 25000, count)
    ctf["defocus_v_angstrom"] = ctf["defocus_u_angstrom"] + 300
    np.savez(
        cache / "particles.npz",
        names=np.char.encode(names, "utf-8"),
        rotation=rotation,
        shift_angstrom=rng.normal(size=(count, 2)),
        half_set=(1 + np.arange(count) % 2).astype(np.int8),
        optics_group=np.ones(count, dtype=np.int64),
        **ctf,
    )
    np.lib.format.open_memmap(cache / "images.npy", "w+", np.float32, (count, box, box)).flush()
    details = {"box_size": box, "pixel_size_angstrom": pixel, "contrast_sign": -1}
    (cache / "preprocessing.json").write_text(json.dumps(details))


def _write_training(folder, rng, names, states, epochs, gain, latent):
    rows = [{"epoch": 0, "train_frc": 0.12, "held_out_frc": 0.121}]
    for epoch in range(1, epochs + 1):
        rise = 1 - np.exp(-2.5 * epoch / epochs)
        rows.append(
            {
                "epoch": epoch,
                "loss": 0.9 - 0.2 * rise,
                "train_frc": 0.12 + 1.2 * abs(gain) * rise,
                "held_out_frc": 0.121 + gain * rise - 0.02 * abs(gain) * (epoch == epochs),
                "particles_per_second": 210.0,
                "seconds": 15.2,
                "peak_memory_mib": 812.0,
                "learning_rate": 1e-3,
            }
        )
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    z = 0.08 * rng.normal(size=(len(names), latent))
    for number, state in enumerate(states.values()):
        z[:, number % latent] += 0.5 * (state == 1)
    np.save(folder / "latent.npy", z.astype(np.float32))
    table = pd.DataFrame(z, columns=[f"z_{i + 1}" for i in range(latent)])
    table.insert(0, "name", names)
    table.to_csv(folder / "latent.csv", index=False)


def _write_parts(folder, rng, model, labels):
    moved = np.where(labels > 0, 0.4, 0.03)
    angles = 2 * np.pi * labels / max(labels.max() + 1, 1)
    embedding = 5 * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    PartLabels(
        labels=labels,
        embedding=embedding + 0.4 * rng.normal(size=embedding.shape),
        positions=model.positions.astype(np.float64),
        amplitude_change=moved,
        displacement_rms_angstrom=0.5 + 3.0 * (labels == 2),
        method="umap",
    ).save(folder / "parts")


def _write_focus(folder, rng, names, state):
    there = np.where(state == 1, 0.95, 0.12) + 0.08 * rng.normal(size=len(state))
    FocusedParticles(
        names=names,
        embedding=np.stack([there, 0.3 * rng.normal(size=len(state))], axis=1),
        states=state,
        coordinate=there,
        mean_amplitude=there,
        displacement_rms_angstrom=np.zeros(len(state)),
        order="clusters",
        chosen_by="found",
    ).save(folder)


def _write_maps(folder, rng, model, members, box, pixel):
    states, curves = {}, {}
    nothing = np.full(box // 2 + 1, np.nan)
    for state, kept in ((1, np.ones(len(model), dtype=bool)), (2, ~members)):
        grid = np.zeros((box, box, box))
        voxel = np.rint(model.positions[kept][:, ::-1] / pixel).astype(int) + box // 2
        np.add.at(grid, tuple(voxel.T), model.amplitudes[kept])
        clean = gaussian_filter(grid, 1.2)
        halves = [clean + 0.2 * gaussian_filter(rng.normal(size=grid.shape), 1.0) for _ in "12"]
        curves[state] = 1 / (1 + np.exp((np.arange(box // 2 + 1) - 0.3 * box) * 40 / box))
        states[state] = Reconstruction(
            map=np.mean(halves, axis=0).astype(np.float32),
            half1=halves[0].astype(np.float32),
            half2=halves[1].astype(np.float32),
            curves=FscCurves(curves[state], curves[state], nothing, curves[state], None),
            resolution_angstrom=resolution_at(curves[state], box, pixel),
            n_particles=200,
            n_in_halves=(100, 100),
            pixel_size_angstrom=pixel,
            effective_particles=200.0,
        )
    maps = PartMaps(
        {f"state_{k}": GroupMap(r, None, None, None, None, None) for k, r in states.items()},
        {("state_1", "state_2"): difference_map(states[1], states[2])},
        mask=np.ones((box,) * 3, dtype=np.float32),
        mask_source="everything",
        part_mask=None,
    )
    labels = members.astype(np.int64)
    around = Surroundings(model.positions.astype(np.float64), labels, ("core", "part_1"))
    write_part_maps(folder, maps, around, {})
