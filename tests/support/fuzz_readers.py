"""For every reader: a valid file, how it is read, and what would be absurd to accept."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import gemmi
import h5py
import numpy as np
from scipy.spatial.transform import Rotation

from archived_run import VERSIONS, unpacked
from cryoparts.conventions import CtfParameters, Poses
from cryoparts.gaussians.model import GaussianModel
from cryoparts.io.atomic_models import read_structure
from cryoparts.io.mrc import read_map, write_map, write_stack
from cryoparts.io.structure import Structure, write_structure
from cryoparts.motion.motion_files import read_part_motion
from cryoparts.particle_files.particle_table import ParticleTable
from cryoparts.particle_files.read_particles import read_particles
from cryoparts.particle_files.relion_writing import write_relion
from cryoparts.particles.particle_set import ParticleSet
from cryoparts.particles.pose_change import FINAL, PoseChange, PoseSpread, pose_change_path
from cryoparts.parts.edit_history import read_edits
from cryoparts.parts.part_description import read_description
from cryoparts.run.run import Run
from cryoparts.selection.selection import Selection, columns_with_selections
from cryoparts.training.judgements import judgement_path, known_probability
from cryoparts.validation.limits import Limits
from cryoparts.validation.null_judgement import NullTest
from cryoparts.validation.trust_record import TrustRecord
from cryoparts.validation.visible_parts import VisibleParts

COUNT, BOX, PIXEL = 12, 16, 2.5


@dataclass(frozen=True)
class Reader:
    """One kind of file."""

    name: str
    make: Callable[[Path], Path]  # writes a valid file and all it needs into a folder
    read: Callable[[Path], Any]
    check: Callable[[Any], None]  # AssertionError where something absurd was accepted
    files: tuple[str, ...] = ()  # of a folder: those that are damaged in turn


def _stack(folder: Path, count: int = COUNT) -> Path:
    path = folder / "p.mrcs"
    images = np.random.default_rng(1).normal(size=(count, BOX, BOX)).astype(np.float32)
    write_stack(path, iter([images]), count=count, box_size=BOX, pixel_size_angstrom=PIXEL)
    return path


def _table(folder: Path) -> ParticleTable:
    stack = _stack(folder)
    random = np.random.default_rng(7)
    ones = np.ones(COUNT)
    ctf = dict(zip((f.name for f in fields(CtfParameters)), [0 * ones] * 99, strict=False))
    ctf |= {
        "defocus_u_angstrom": 15000 * ones,
        "defocus_v_angstrom": 14000 * ones,
        "voltage_kv": 300 * ones,
        "spherical_aberration_mm": 2.7 * ones,
        "amplitude_contrast": 0.1 * ones,
        "scale": ones,
    }
    return ParticleTable(
        names=np.array([f"{i + 1:06d}@{stack.name}" for i in range(COUNT)]),
        stack_paths=(stack,),
        stack_of_particle=np.zeros(COUNT, dtype=np.int64),
        slice_in_stack=np.arange(COUNT),
        poses=Poses(
            Rotation.random(COUNT, random_state=3).as_matrix(), random.normal(size=(COUNT, 2))
        ),
        ctf=CtfParameters(**ctf),
        pixel_size_angstrom=PIXEL * ones,
        box_size=np.full(COUNT, BOX),
        optics_group=np.ones(COUNT, dtype=np.int64),
        half_set=(np.arange(COUNT) % 2 + 1).astype(np.int8),
        source=folder / "p.star",
        format="relion",
    )


def _star(folder: Path) -> Path:
    write_relion(folder / "p.star", _table(folder))
    return folder / "p.star"


def _cs(folder: Path) -> Path:
    _stack(folder)
    kinds = [
        ("uid", "<u8"), ("blob/path", "S16"), ("blob/idx", "<u4"), ("blob/shape", "<u4", 2),
        ("blob/psize_A", "<f4"), ("alignments3D/pose", "<f4", 3), ("alignments3D/shift", "<f4", 2),
        ("alignments3D/psize_A", "<f4"), ("alignments3D/split", "<u4"), ("ctf/df1_A", "<f4"),
        ("ctf/df2_A", "<f4"), ("ctf/df_angle_rad", "<f4"), ("ctf/accel_kv", "<f4"),
        ("ctf/cs_mm", "<f4"), ("ctf/amp_contrast", "<f4"), ("ctf/phase_shift_rad", "<f4"),
    ]  # fmt: skip
    rows = np.zeros(COUNT, dtype=kinds)
    rows["uid"] = np.arange(1, COUNT + 1)
    rows["blob/path"], rows["blob/idx"], rows["blob/shape"] = b"p.mrcs", np.arange(COUNT), BOX
    rows["blob/psize_A"] = rows["alignments3D/psize_A"] = PIXEL
    rows["ctf/df1_A"], rows["ctf/df2_A"], rows["ctf/accel_kv"] = 15000, 14000, 300
    rows["ctf/cs_mm"], rows["ctf/amp_contrast"] = 2.7, 0.1
    rows["alignments3D/pose"] = Rotation.random(COUNT, random_state=3).as_rotvec()
    with (folder / "p.cs").open("wb") as stream:
        np.save(stream, rows)
    return folder / "p.cs"


def _lst(folder: Path, stack: str = "p.mrcs") -> Path:
    _stack(folder)
    pose = '"xform.projection": {"__class__": "Transform", "matrix": "[1,0,0,0,0,1,0,0,0,0,1,0]"}'
    lines = [f"{i}\t{stack}\t{{{pose}}}" for i in range(COUNT)]
    text = "#LSX\n# This file is in fast LST format.\n# 1\n" + "\n".join(lines) + "\n"
    (folder / "p.lst").write_text(text)
    return folder / "p.lst"


def _poses(folder: Path) -> Path:
    _stack(folder)
    pose = (Rotation.random(COUNT, random_state=3).as_matrix(), np.zeros((COUNT, 2)))
    (folder / "poses.pkl").write_bytes(pickle.dumps(pose))
    ctf = np.tile([BOX, PIXEL, 15000, 14000, 20, 300, 2.7, 0.1, 0], (COUNT, 1))
    (folder / "ctf.pkl").write_bytes(pickle.dumps(ctf))
    return folder / "poses.pkl"


def _ctf(folder: Path) -> Path:
    return _poses(folder).with_name("ctf.pkl")


def _of_pickles(path: Path) -> ParticleTable:
    folder = path.parent
    return read_particles(folder / "p.mrcs", poses=folder / "poses.pkl", ctf=folder / "ctf.pkl")


def _images(table: ParticleTable) -> np.ndarray:
    return np.asarray(ParticleSet(table).images(np.arange(len(table))))


def _of_star(path: Path) -> np.ndarray:
    return _images(read_particles(path.with_name("p.star")))


def _of_lst(path: Path) -> np.ndarray:
    return _images(read_particles(path.with_name("p.lst"), without_ctf=True))


def _stack_of_star(folder: Path) -> Path:
    _star(folder)
    return folder / "p.mrcs"


def _hdf(folder: Path) -> Path:
    images = np.random.default_rng(1).normal(size=(COUNT, BOX, BOX)).astype(np.float32)
    with h5py.File(folder / "p.hdf", "w") as file:
        for number, image in enumerate(images):
            group = file.create_group(f"MDF/images/{number}")
            group.create_dataset("image", data=image)
            group.attrs["EMAN.apix_x"] = PIXEL
        file["MDF/images"].attrs["imageid_max"] = COUNT - 1
    _lst(folder, "p.hdf")
    return folder / "p.hdf"


def _map(folder: Path) -> Path:
    write_map(folder / "m.mrc", np.random.default_rng(2).random((BOX,) * 3, np.float32), PIXEL)
    return folder / "m.mrc"


def _structure(folder: Path, suffix: str) -> Path:
    random = np.random.default_rng(5)
    count = 30
    path = folder / "m.cif"
    write_structure(
        path,
        Structure(
            positions=random.normal(size=(count, 3)) * 10,
            masses=np.full(count, 12.0),
            chain_ids=np.repeat(["A", "B"], count // 2),
            residue_numbers=np.tile(np.arange(1, count // 2 + 1), 2),
            residue_names=np.full(count, "ALA"),
            atom_names=np.full(count, "CA"),
            elements=np.full(count, "C"),
        ),
    )
    if suffix == ".pdb":
        gemmi.read_structure(str(path)).write_pdb(str(folder / "m.pdb"))
    return folder / f"m{suffix}"


def _model(folder: Path) -> Path:
    random = np.random.default_rng(5)
    GaussianModel.of(random.normal(size=(9, 3)), np.ones(9), np.full(9, 4.0)).save(folder / "m.npz")
    return folder / "m.npz"


def _sound_table(table: ParticleTable) -> None:
    count = len(table)
    assert count > 0
    rotation = table.poses.rotation
    assert np.allclose(rotation @ rotation.transpose(0, 2, 1), np.eye(3), atol=1e-2)
    assert (np.linalg.det(rotation) > 0).all()
    assert np.isfinite(table.poses.shift_angstrom).all()
    assert ((table.pixel_size_angstrom >= 0.05) & (table.pixel_size_angstrom <= 100)).all()
    assert all(np.isfinite(getattr(table.ctf, f.name)).all() for f in fields(CtfParameters)
               if isinstance(getattr(table.ctf, f.name), np.ndarray))  # fmt: skip


def _sound_map(density: Any) -> None:
    assert np.isfinite(density.density).all()
    assert 0.05 <= density.voxel_size <= 100


def _finite(images: np.ndarray) -> None:
    assert np.isfinite(images).all()


def _sound_structure(structure: Structure) -> None:
    assert np.isfinite(structure.positions).all()
    assert np.abs(structure.positions).max() < 1e5
    assert np.isfinite(structure.masses).all()


def _sound_model(model: GaussianModel) -> None:
    assert len(model) > 0
    assert np.isfinite(model.positions).all()


def _run_folder(folder: Path) -> Path:
    """A run of long ago, with what runs hold since."""
    root = unpacked(VERSIONS[0], folder)
    run = Run.open(root)
    count = len(run.particles)
    np.save(run.directory.probability_path, np.linspace(0, 1, count))
    change = PoseChange(np.zeros((count, 3)), np.zeros((count, 2)), PoseSpread(0.01, 0.5))
    change.save(pose_change_path(run.directory.particles_path, FINAL))
    np.save(judgement_path(run.directory.particles_path, 2), np.linspace(0, 1, count))
    chosen = Selection(run.particles.names, np.arange(count) % 2 == 0, {"where": "a test"})
    chosen.save(run.directory.selections_path, "half")
    visible = VisibleParts((0.01, 0.1), (0.9, 0.99), (0.8, 0.98), (0.95, 1.0))
    limits = Limits(0.1, 1.0, 2.0, ((20.0, 0.5), (15.0, 0.1)), visible)
    limits.save(run.directory.limits_path)
    return root


def read_run(root: Path) -> Run:
    """All that the folder of a run tells, as the verbs ask for it."""
    run = Run.open(root)
    directory = run.directory
    directory.metrics()
    assert len(run.parts) == len(run.model)
    run.particles.images(np.arange(3))
    run.decoder.decode(np.arange(3))
    judged = known_probability(directory.particles_path, len(run.particles))
    assert ((judged >= 0) & (judged <= 1)).all()
    states = run.states(1)
    assert states.n_states > 0
    assert run.composition.parts
    _ = run.motions, run.parts_options
    read_part_motion(directory.motion_path, 1)
    read_description(directory.parts_path)
    read_edits(directory.parts_path)
    TrustRecord.load(directory.trust_path)
    NullTest.load(directory.trust_path)
    Limits.load(directory.limits_path)
    columns_with_selections(directory)
    return run


def _sound_run(run: Run) -> None:
    decoded = run.decoder.decode(np.arange(3))
    assert decoded.relative_amplitudes is None or np.isfinite(decoded.relative_amplitudes).all()


RUN_FILES = (
    "config.yaml", "metrics.jsonl", "gaussians.npz", "latent.npy", "checkpoints/best.json",
    "checkpoints/best.safetensors", "parts/labels.npy", "parts/description.csv",
    "parts/parts.csv", "parts/embedding.npy", "focus/part_1/particles.csv",
    "focus/part_1/summary.json", "focus/part_1/states.npy", "motion/motions.json",
    "motion/part_1.csv", "composition/presence.csv", "composition/occupancies.csv",
    "composition/summary.json", "trust/trust.json", "trust/parts.csv", "particles/particles.npz",
    "particles/preprocessing.json", "particles/images.npy", "particles/encoder_input.npz",
    "probability.npy", "particles/pose_change_final.npz",
    "particles/probability_after_0002.npy", "selections/half.csv", "limits.json",
    "latent.csv",
)  # fmt: skip
"""Each is damaged in its turn."""

READERS = {
    reader.name: reader
    for reader in (
        Reader("star", _star, read_particles, _sound_table),
        Reader("cs", _cs, read_particles, _sound_table),
        Reader("lst", _lst, lambda path: read_particles(path, without_ctf=True), _sound_table),
        Reader("poses", _poses, _of_pickles, _sound_table),
        Reader("ctf", _ctf, _of_pickles, _sound_table),
        Reader("mrcs", _stack_of_star, _of_star, _finite),
        Reader("hdf", _hdf, _of_lst, _finite),
        Reader("map", _map, read_map, _sound_map),
        Reader("pdb", lambda folder: _structure(folder, ".pdb"), read_structure, _sound_structure),
        Reader("cif", lambda folder: _structure(folder, ".cif"), read_structure, _sound_structure),
        Reader("model", _model, GaussianModel.load, _sound_model),
        Reader("run", _run_folder, read_run, _sound_run, RUN_FILES),
    )
}
