"""What `cryoparts reconstruct` needs of a run: images, masks, parts and atoms."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from scipy.spatial import cKDTree

from cryoparts.difference_maps.surroundings import Atoms, Surroundings
from cryoparts.errors import InputError
from cryoparts.gaussians.model import GaussianModel
from cryoparts.imaging.soft_mask import mask_around
from cryoparts.inference.decode import particle_probability
from cryoparts.io.atomic_models import is_structure, read_structure
from cryoparts.io.mrc import read_map
from cryoparts.io.names import rows_of_names
from cryoparts.particles.pose_change import pose_changes
from cryoparts.particles.prepared import PreparedParticles
from cryoparts.parts.part_labels import PartLabels
from cryoparts.reconstruction.passes import affordable_gigabytes
from cryoparts.selection.selection import named_rows, read_names
from cryoparts.statistics.trusted import is_trusted
from cryoparts.training.setup import choose_device, set_threads

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from cryoparts.config import ReconstructionConfig
    from cryoparts.io.run_directory import RunDirectory

MASK_RADIUS_IN_WIDTHS = 3.0
"""Radius of the model's mask about a Gaussian, in its width: 97% of its mass lies within."""

PART_RADIUS_IN_WIDTHS = 2.0
"""Radius of a part's mask about a Gaussian, in its width: less of the neighbours than the
model's."""

FARTHEST_IN_WIDTHS = 2.0
"""Gaussians lie nearer to the atoms that they stand for than this many widths, in the median."""


@dataclass(frozen=True)
class MapInputs:
    """Images of a run, and what its maps are masked, compared and named by."""

    run: RunDirectory
    options: ReconstructionConfig
    particles: PreparedParticles
    model: GaussianModel
    surroundings: Surroundings
    model_mask: NDArray[np.float32]
    given_mask: NDArray[np.float32] | None
    counted: NDArray[np.bool_]
    threads: int
    seed: int
    device: torch.device

    @classmethod
    def of(cls, run: RunDirectory, options: ReconstructionConfig | None = None) -> Self:
        """Open what a run folder holds.

        Raises
        ------
        InputError
            If something is missing or a mask does not fit.
        """
        run.require_latents()  # and with them, which particles count
        config = run.config()
        chosen = options or config.reconstruction
        particles = PreparedParticles.open(run.particles_path)
        model = GaussianModel.load(run.gaussians_path)
        labels = np.zeros(len(model), dtype=np.int64)
        names: tuple[str, ...] = ("model",)
        if (run.parts_path / "labels.npy").is_file():
            parts = PartLabels.load(run.parts_path)
            labels, names = parts.labels, parts.names
        positions = model.positions.astype(np.float64)
        atoms = _atoms_of(Path(config.model), particles, model)
        return cls(
            run=run,
            options=chosen,
            particles=particles,
            model=model,
            surroundings=Surroundings(positions, labels, names, atoms),
            model_mask=_mask_around(particles, model, positions, MASK_RADIUS_IN_WIDTHS),
            given_mask=_given_mask(chosen.solvent_mask, particles),
            counted=is_trusted(particle_probability(run, len(particles))),
            threads=set_threads(config.training.threads),
            seed=config.training.seed,
            device=choose_device(config.training.device),
        )

    def within_memory(self) -> ReconstructionConfig:
        """The options with no more memory for maps at once than this process can give.

        Raises
        ------
        InputError
            If it cannot give enough for one.
        """
        asked, box = self.options.memory_gigabytes, self.particles.box_size
        memory = affordable_gigabytes(asked, box, self.options.padding)
        return replace(self.options, memory_gigabytes=memory)

    def trusted(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Those of the rows that probably are what the model describes."""
        return rows[self.counted[rows]]

    def part_mask(self, part: int) -> NDArray[np.float32]:
        """Soft mask around one part's Gaussians."""
        members = self.surroundings.positions[self.surroundings.labels == part]
        return _mask_around(self.particles, self.model, members, PART_RADIUS_IN_WIDTHS)

    def rows_of(self, names: NDArray[np.str_]) -> NDArray[np.int64]:
        """Rows of the particles with these names.

        Raises
        ------
        InputError
            If the run has no particle of a name.
        """
        return rows_of_names(
            self.particles.names,
            names,
            str(self.run.root / "focus"),
            cure="Run `cryoparts focus` again.",
        )


def selected_rows(path: Path, particles: PreparedParticles) -> NDArray[np.int64]:
    """Rows, in order, of the particles that a selection's file names.

    Raises
    ------
    InputError
        If the file is missing, has no column `name`, or names unknown particles.
    """
    if not path.is_file():
        raise InputError(
            f"--selection {path}",
            "there is no such selection",
            "Make one with `cryoparts select`, or give a .csv file with a column `name`.",
        )
    names = read_names(path)
    return np.flatnonzero(
        named_rows(names, particles.names, str(path), "the run", particles.image_names)
    )


def independence(inputs: MapInputs) -> dict[str, Any]:
    """What of the half maps is independent and what is not, for the summary."""
    half = inputs.run.config().training.half
    source = inputs.particles.details.get("half_sets")
    drawn = {"file": "given by the particle file", "random": "drawn at random before training"}
    seen = (
        "one training on both halves decided each particle's state; in each half that decision "
        "saw the particle's own image, so a difference between states may contain noise that "
        "helped to tell them apart"
        if half is None
        else f"the training saw half {half} only; the states of half {3 - half} come from a "
        "network that never saw its images"
    )
    refined = bool(pose_changes(inputs.particles.folder))
    posed = "poses are those of the particle file" + (
        ", refined under a model that both halves were trained on" if refined else ""
    )
    return {
        "half_maps": {
            "halves": drawn.get(str(source), "not recorded"),
            "independent": "the two half maps share no image",
            "not_independent": f"{posed}; {seen}",
        }
    }


def _mask_around(
    particles: PreparedParticles,
    model: GaussianModel,
    positions: NDArray[np.float64],
    radius_in_widths: float,
) -> NDArray[np.float32]:
    return mask_around(
        positions,
        particles.box_size,
        particles.pixel_size_angstrom,
        radius_angstrom=radius_in_widths * float(model.widths.mean()),
    )


def _given_mask(choice: str, particles: PreparedParticles) -> NDArray[np.float32] | None:
    if choice in ("density", "model"):
        return None
    density = read_map(Path(choice)).density
    box = particles.box_size
    if density.shape != (box,) * 3 or density.min() < -1e-3 or density.max() > 1 + 1e-3:
        raise InputError(
            f"--solvent-mask {choice}",
            f"must have {box} x {box} x {box} voxels with values from 0 to 1; it has "
            f"{density.shape} from {density.min():.3g} to {density.max():.3g}",
            "Resample the mask to the run's working images.",
        )
    return np.clip(density, 0.0, 1.0)


def _atoms_of(path: Path, particles: PreparedParticles, model: GaussianModel) -> Atoms | None:
    """The model's atoms in the Gaussians' frame; None if it was no structure or has moved."""
    if not is_structure(path) or not path.is_file():
        return None
    structure = read_structure(path)
    corner = (particles.box_size // 2) * particles.pixel_size_angstrom
    raw = structure.positions.astype(np.float64)
    # the frame that the Gaussians were made in is the one in which they lie on the atoms
    placed = min((raw, raw - corner), key=lambda points: _distance(points, model))
    if _distance(placed, model) > FARTHEST_IN_WIDTHS * float(model.widths.mean()):
        return None
    return Atoms(placed, structure.chain_ids, structure.residue_numbers, structure.residue_names)


def _distance(points: NDArray[np.float64], model: GaussianModel) -> float:
    """Median distance of a Gaussian to the nearest atom, Å."""
    distance, _ = cKDTree(points).query(model.positions)
    return float(np.median(distance))
