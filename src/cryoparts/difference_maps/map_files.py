"""The files of reconstructed groups: maps, FSC table, differences, peaks, summary."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import numpy as np

from cryoparts.difference_maps.changed_regions import changes, power_by_part
from cryoparts.difference_maps.peak_files import write_changes, write_peaks
from cryoparts.difference_maps.peaks import find_peaks
from cryoparts.io.atomic import write_text, write_together
from cryoparts.io.map_frame import ABOUT_BOX_CENTRE, MapFrame
from cryoparts.io.run_directory import write_csv
from cryoparts.reconstruction.fsc import shell_frequencies
from cryoparts.run.result_options import keep_options

if TYPE_CHECKING:
    from pathlib import Path

    from cryoparts.config import ReconstructionConfig
    from cryoparts.difference_maps.difference_map import DifferenceMap
    from cryoparts.difference_maps.part_maps import GroupMap, PartMaps
    from cryoparts.difference_maps.surroundings import Surroundings

SUMMARY = "summary.json"

OWN_MAPS = re.compile(
    r"((state|frame)_\d+|selected|rest)(_half[12]|_sharpened)?\.mrc"
    r"|difference_\w+_minus_\w+\.mrc|mask(_part)?\.mrc"
)


def write_part_maps(
    folder: Path,
    maps: PartMaps,
    surroundings: Surroundings,
    notes: dict[str, Any],
    frame: MapFrame = ABOUT_BOX_CENTRE,
    options: ReconstructionConfig | None = None,
) -> None:
    """Write what was reconstructed, and take away what an earlier time left.

    For each group (``state_1`` for example): ``state_1.mrc``, its half maps and,
    where asked for, ``state_1_sharpened.mrc``; ``mask.mrc`` and
    ``mask_part.mrc``; for each difference ``difference_1_minus_2.mrc``, its
    z-scores (``_z``) and its significant part (``_significant``); ``fsc.csv``,
    ``peaks.csv``, ``changes.csv``; and ``summary.json`` last, so its presence
    means that the folder is whole. Maps are placed in the coordinates
    of `frame`; the peaks' are about the box centre.

    Parameters
    ----------
    folder : Path
        Made if absent.
    maps : PartMaps
    surroundings : Surroundings
        To name the peaks by.
    notes : dict
        What else the summary says: how the particles were chosen, what is
        independent of what.
    frame : MapFrame
        By default the box centre is at (0, 0, 0) Å.
    options : ReconstructionConfig, optional
        Kept beside them.
    """
    own = [path.name for path in folder.glob("*.mrc") if OWN_MAPS.fullmatch(path.name)]
    with write_together(folder, last=SUMMARY, replaces=own) as new:
        _write(new, maps, surroundings, notes, frame)
        if options is not None:
            keep_options(new, options)


def _write(
    folder: Path,
    maps: PartMaps,
    surroundings: Surroundings,
    notes: dict[str, Any],
    frame: MapFrame,
) -> None:
    pixel = next(iter(maps.groups.values())).reconstruction.pixel_size_angstrom
    for name, density in _densities(maps).items():
        frame.write(folder / f"{name}.mrc", density, pixel)
    _write_fsc(folder / "fsc.csv", maps)
    peaks = {difference_name(*pair): find_peaks(d, surroundings)
             for pair, d in maps.differences.items()}  # fmt: skip
    write_peaks(folder / "peaks.csv", peaks)
    write_changes(
        folder / "changes.csv",
        {difference_name(*pair): changes(d, surroundings) for pair, d in maps.differences.items()},
    )
    summary = notes | {
        "mask": {"source": maps.mask_source, "volume_cubic_angstrom": _volume(maps.mask, pixel)},
        "states": {name: _group_summary(of) for name, of in maps.groups.items()}
        | {name: {"particles": 0, "note": "no particles"} for name in maps.empty},
        "differences": {
            difference_name(*pair): _difference_summary(of, surroundings)
            | {"peaks": len(peaks[difference_name(*pair)])}
            for pair, of in maps.differences.items()
        },
    }
    write_text(folder / SUMMARY, json.dumps(summary, indent=2, allow_nan=False) + "\n")


def difference_name(one: str, other: str) -> str:
    """("state_1", "state_2") to "difference_1_minus_2"; other names as they are."""
    first, second = (re.sub(r"^(state|frame)_(?=\d+$)", "", name) for name in (one, other))
    return f"difference_{first}_minus_{second}"


def _densities(maps: PartMaps) -> dict[str, Any]:
    """Every map by its file's name without the ending."""
    found: dict[str, Any] = {"mask": maps.mask}
    if maps.part_mask is not None:
        found["mask_part"] = maps.part_mask
    for name, of in maps.groups.items():
        found[name] = of.reconstruction.map
        found[f"{name}_half1"] = of.reconstruction.half1
        found[f"{name}_half2"] = of.reconstruction.half2
        if of.sharpened is not None:
            found[f"{name}_sharpened"] = of.sharpened
    for pair, difference in maps.differences.items():
        name = difference_name(*pair)
        found[name] = difference.density
        if difference.z_score is not None:
            found[f"{name}_z"] = difference.z_score
            found[f"{name}_significant"] = np.where(difference.significant, difference.density, 0)
    return found


def _write_fsc(path: Path, maps: PartMaps) -> None:
    """One row a shell. For each group: the corrected FSC under its own name, and its makings."""
    one = next(iter(maps.groups.values())).reconstruction
    frequency = shell_frequencies(len(one.map), one.pixel_size_angstrom)
    columns: dict[str, Any] = {}
    for name, of in maps.groups.items():
        curves = of.reconstruction.curves
        columns[name] = curves.corrected
        columns[f"{name}_unmasked"] = curves.unmasked
        columns[f"{name}_masked"] = curves.masked
        columns[f"{name}_randomised"] = curves.randomised
        if of.part_curves is not None:
            columns[f"{name}_within_part"] = of.part_curves.corrected
        if of.guinier is not None:
            columns[f"{name}_ln_amplitude"] = of.guinier.log_amplitude
    rows = (
        [shell, f"{s:.7g}", f"{1 / s:.5g}" if shell else ""]
        + [f"{v[shell]:.5f}" if np.isfinite(v[shell]) else "" for v in columns.values()]
        for shell, s in enumerate(frequency)
    )
    write_csv(path, ["shell", "frequency_per_angstrom", "resolution_angstrom", *columns], rows)


def _group_summary(of: GroupMap) -> dict[str, Any]:
    result = of.reconstruction
    start = result.curves.randomised_from
    extent = len(result.map) * result.pixel_size_angstrom
    return {
        "particles": result.n_particles,
        "effective_particles": result.effective_particles,
        "particles_in_halves": list(result.n_in_halves),
        "resolution_angstrom": result.resolution_angstrom,
        "resolution_within_part_angstrom": of.part_resolution,
        "phases_randomised_beyond_angstrom": None if start is None else extent / start,
        "b_factor_of_guinier_plot": None if of.guinier is None else of.guinier.b_factor,
        "b_factor_applied": of.b_factor,
        "pixel_size_angstrom": result.pixel_size_angstrom,
        "note": result.note,
    }


def _difference_summary(difference: DifferenceMap, surroundings: Surroundings) -> dict[str, Any]:
    z, critical = difference.z_score, difference.critical_z
    pixel = difference.pixel_size_angstrom
    finite = critical is not None and np.isfinite(critical)
    return {
        "resolution_angstrom": difference.resolution_angstrom,
        "largest_gain": difference.largest_gain,
        "largest_loss": difference.largest_loss,
        "noise": difference.noise,
        "largest_gain_z": None if z is None else float(z.max()),
        "largest_loss_z": None if z is None else float(z.min()),
        "significant_from_z": critical if finite else None,
        "voxels_tested": int(difference.tested.sum()),
        "significant_volume_cubic_angstrom": float(difference.significant.sum() * pixel**3),
        "share_of_significant_power": power_by_part(difference, surroundings),
    }


def _volume(mask: Any, pixel: float) -> float:
    return float(mask.sum() * pixel**3)
