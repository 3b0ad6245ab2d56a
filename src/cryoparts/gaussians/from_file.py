"""The Gaussian model of a file that the user gives, whatever it is, and where it lies."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from cryoparts.conventions import box_centre
from cryoparts.errors import InputError
from cryoparts.gaussians.from_map import gaussians_from_map, volume_of_map
from cryoparts.gaussians.from_structure import gaussians_from_structure
from cryoparts.gaussians.map_placement import PlacedMap, padded_to_cube, place_map, plausible_voxel
from cryoparts.gaussians.model import GaussianModel
from cryoparts.gaussians.placement import place_in_box, require_inside_box
from cryoparts.gaussians.resolution import VOLUME_PER_ATOM
from cryoparts.io.atomic_models import STRUCTURES, is_structure, read_structure
from cryoparts.io.map_frame import MapFrame
from cryoparts.io.mrc import MAPS, DensityMap, is_map, places_by_start, read_map

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cryoparts.config import ModelConfig


def make_model(
    path: Path,
    options: ModelConfig,
    resolution: float,
    box_size: int,
    pixel_size: float,
    seed: int,
    tell: Callable[[str], None] = lambda _: None,
) -> GaussianModel:
    """The Gaussian model of a file, whatever it is, about the centre of the box.

    Parameters
    ----------
    path : Path
        Structure, map or Gaussian model.
    options : ModelConfig
        Number of Gaussians and so on.
    resolution : float
        Resolution aimed at where the options name none, Å.
    box_size, pixel_size
        Box of the particles, pixels, and its pixel size, Å.
    seed : int
        Seed of the grouping.
    tell : callable
        Told how well a map is described.
    """
    if not path.is_file():
        raise InputError(f"--model {path}", "there is no such file", "Check the path.")
    aim = options.model_resolution_angstrom or resolution
    kind = path.suffix.lower()
    if kind == ".npz":
        model = GaussianModel.load(path)
    elif is_map(path):
        density, placed = read_model_map(path, options, box_size, pixel_size)
        for note in placed.notes:
            tell(f"{path.name}: {note}")
        model, fsc = gaussians_from_map(
            density.density,
            placed.voxel_size,
            options.n_gaussians,
            aim,
            threshold=options.map_threshold,
            seed=seed,
            where=str(path),
        )
        if placed.shift.any():
            moved = model.positions + placed.shift.astype(np.float32)
            model = GaussianModel.of(moved, model.amplitudes, model.widths)
        tell(f"map-model FSC falls below 0.5 at {fsc.resolution_at(0.5):.1f} Å")
    elif is_structure(path):
        structure = read_structure(path)
        for note in structure.notes:
            tell(f"{path.name}: {note}")
        model = gaussians_from_structure(
            structure,
            options.n_gaussians,
            aim,
            box_size,
            pixel_size,
            options.model_origin,
            seed=seed,
            where=str(path),
        )
    else:
        raise InputError(
            f"--model {path}",
            f"a model is a structure ({', '.join(sorted(STRUCTURES))}), a map "
            f"({', '.join(MAPS)}) or a Gaussian model (.npz), not {kind or 'a bare name'}",
            "Convert it, or mend its suffix.",
        )
    require_inside_box(model.positions, model.amplitudes, box_size, pixel_size, str(path))
    return model


def model_volume(
    path: Path, options: ModelConfig, resolution: float, box_size: int, pixel_size: float
) -> float | None:
    """Volume (Å³) of the molecule in a file, from which `make_model` chooses how many Gaussians.

    None where it chooses nothing: the file is a Gaussian model, or none at all, or the
    options name the number of Gaussians or the resolution to model.

    Parameters
    ----------
    path : Path
        Structure, map or Gaussian model.
    options : ModelConfig
    resolution : float
        At which a map is looked at, Å.
    box_size, pixel_size
        Box of the particles, pixels, and its pixel size, Å.
    """
    named = (options.n_gaussians, options.model_resolution_angstrom)
    if any(value is not None for value in named) or not path.is_file():
        return None
    if is_map(path):
        density, placed = read_model_map(path, options, box_size, pixel_size)
        threshold, voxel = options.map_threshold, placed.voxel_size
        return volume_of_map(
            density.density, voxel, resolution, threshold=threshold, where=str(path)
        )
    if is_structure(path):
        return VOLUME_PER_ATOM * len(read_structure(path).positions)
    return None


def read_model_map(
    path: Path, options: ModelConfig, box_size: int, pixel_size: float
) -> tuple[DensityMap, PlacedMap]:
    """A model map, and where it lies in the particles' box (pixels, Å).

    One that is no cube is padded with zeros to one, about its own centre voxel.
    """
    given = options.model_pixel_size_angstrom
    density = read_map(path, voxel_size=given, may_be_unset=True)
    voxel, note = density.voxel_size, None
    shape = density.density.shape
    if given is None:
        voxel, note = plausible_voxel(max(shape), voxel, box_size, pixel_size)
    if note is not None:
        density = read_map(path, voxel_size=voxel)  # where NSTART counts in voxels
    placed = place_map(shape, voxel, density.origin, box_size, pixel_size, options.model_origin)
    notes = [] if note is None else [note]
    if len(set(shape)) > 1:
        density = padded_to_cube(density, voxel)
        told = " x ".join(str(n) for n in shape[::-1])
        notes.append(f"{told} voxels are no cube: padded with zeros to {max(shape)}")
    return density, replace(placed, notes=(*notes, *placed.notes))


def frame_of(path: Path, options: ModelConfig, box_size: int, pixel_size: float) -> MapFrame:
    """The coordinates of the user's model about the particles' box (pixels, Å)."""
    if is_map(path):
        placed = read_model_map(path, options, box_size, pixel_size)[1]
        x, y, z = placed.box_centre.tolist()
        return MapFrame((x, y, z), places_by_start(path))
    if path.suffix.lower() == ".npz":
        return MapFrame()
    atoms = read_structure(path)
    placement = place_in_box(
        atoms.positions, atoms.masses, box_size, pixel_size, origin=options.model_origin
    )
    centre = box_centre(box_size) * pixel_size if placement.origin == "corner" else 0.0
    return MapFrame((centre, centre, centre))
