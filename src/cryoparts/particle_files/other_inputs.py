"""Files that are no 2D particles of single molecules: told by name, with what to do instead."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cryoparts.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from pathlib import Path

    import pandas as pd

    from cryoparts.particle_files.star import StarBlock

TOMO_CURE = (
    "cryoparts takes 2D single-particle images (rlnImageName as number@stack.mrcs, one defocus "
    "an image); tilt series and subtomograms are not supported."
)
CISTEM = "a cisTEM file"
CISTEM_CURE = (
    "In cisTEM export the refinement package for RELION, and give the .star file that it writes."
)
MOVIES_CURE = "Give the particles extracted from them (particles.star, run_data.star of Refine3D)."
LISTS = ("", "movies", "micrographs", "particles", "coordinate_files")
"""Blocks of movies and micrographs; those of models and jobs also name micrographs."""
BY_SUFFIX = {
    ".par": (CISTEM + " (or FREALIGN's)", CISTEM_CURE),
    ".json": (CISTEM + " (or another program's settings)", CISTEM_CURE),
    ".db": ("a cisTEM project", CISTEM_CURE),
    ".tomostar": ("a Warp tilt series", TOMO_CURE),
    ".mdoc": ("a tilt series or movie description", TOMO_CURE),
    ".csg": ("a cryoSPARC group file", "Give the .cs file that it names."),
    ".tif": ("a movie or micrograph", MOVIES_CURE),
    ".tiff": ("a movie or micrograph", MOVIES_CURE),
    ".eer": ("a movie", MOVIES_CURE),
    ".gz": ("a compressed file", "Decompress it (gunzip) and give what comes out."),
}


def require_known_suffix(path: Path) -> None:
    """Refuse by name what is known by its suffix to be no file of particles.

    Raises
    ------
    InputError
    """
    if path.suffix.lower() in BY_SUFFIX:
        what, cure = BY_SUFFIX[path.suffix.lower()]
        raise InputError(str(path), f"{what}, which is no particle file for cryoparts", cure)


def require_single_particles(path: Path, blocks: Mapping[str, StarBlock]) -> None:
    """Refuse a .star file of tilt series, subtomograms, movies, micrographs or cisTEM.

    Raises
    ------
    InputError
        If a column of any block says so.
    """
    columns = [c for block in blocks.values() for c in block.columns]
    cistem = next((c for c in columns if c.startswith("cisTEM")), None)
    if cistem is not None:
        raise InputError(f"{path}, column {cistem}", CISTEM, CISTEM_CURE)
    tomo = next((c for c in columns if c.startswith("rlnTomo")), None)
    if tomo is not None:
        what = _of_tomography(blocks, columns)
        raise InputError(f"{path}, column {tomo}", what, TOMO_CURE)
    if "rlnImageName" in columns:
        if "rlnCtfImage" in columns:
            raise InputError(
                f"{path}, column rlnCtfImage",
                "each particle has a CTF volume: these are 3D subtomograms",
                TOMO_CURE,
            )
        return
    for column, what in (
        ("rlnMicrographMovieName", "it lists movies, not particles"),
        ("rlnMicrographName", "it lists micrographs or coordinates, not particle images"),
    ):
        if any(column in b.columns for b in blocks.values() if b.name in LISTS):
            raise InputError(f"{path}, column {column}", what, MOVIES_CURE)


def require_two_dimensions(path: Path, table: Mapping[Any, pd.Series[Any]]) -> None:
    """Refuse particles whose optics group says that they have three dimensions.

    Raises
    ------
    InputError
    """
    given = table.get("rlnImageDimensionality")
    if given is not None and (given.astype(str).str.strip() == "3").any():
        raise InputError(
            f"{path}, column rlnImageDimensionality", "3: these are 3D subtomograms", TOMO_CURE
        )


def require_cryosparc_particles(path: Path, columns: Collection[str]) -> None:
    """Refuse a .cs file that lists movies, micrographs, maps or templates.

    Raises
    ------
    InputError
    """
    if "blob/path" in columns:
        return
    for column, what in (
        ("movie_blob/path", "movies"),
        ("micrograph_blob/path", "micrographs"),
        ("map/path", "maps"),
    ):
        if column in columns and "alignments3D/pose" not in columns:
            raise InputError(
                f"{path}, column {column}",
                f"it lists {what}, not particles",
                "Give the particles of a refinement (J*_particles.cs), with their passthrough "
                "file by --passthrough.",
            )


def _of_tomography(blocks: Mapping[str, StarBlock], columns: Iterable[str]) -> str:
    stacks = next((b for b in blocks.values() if "rlnTomoSubTomosAre2DStacks" in b.columns), None)
    if stacks is not None and stacks.values.get("rlnTomoSubTomosAre2DStacks", "1") == "1":
        return "particles of tilt series, as 2D stacks (RELION 5, WarpTools), not single particles"
    if "rlnImageName" in columns:
        return "subtomograms or particles of tilt series (RELION, Warp), not single particles"
    return "a table of tilt series or their particles (RELION, Warp), without images"
