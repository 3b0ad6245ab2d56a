"""The files of reconstructed states: maps, FSC table, difference maps, summary."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from cryoparts.io.atomic import write_text
from cryoparts.io.mrc import write_map
from cryoparts.reconstruction.fsc import shell_frequencies

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from cryoparts.reconstruction.difference_map import DifferenceMap
    from cryoparts.reconstruction.half_maps import Reconstruction


def write_reconstruction(
    folder: Path,
    states: Mapping[int, Reconstruction],
    differences: Mapping[tuple[int, int], DifferenceMap],
    empty_states: Sequence[int] = (),
) -> None:
    """Write what was reconstructed of one part's states.

    state_k.mrc, state_k_half1.mrc, state_k_half2.mrc, difference_i_minus_j.mrc
    (and its z-scores), fsc.csv (one row a shell), and summary.json last, so its
    presence means that the folder is whole. Maps are placed with their box
    centre at (0, 0, 0) Å, over models whose coordinates are about it.

    Parameters
    ----------
    folder : Path
        Made if absent.
    states : mapping of state (1 ...) to Reconstruction
    differences : mapping of (i, j) to DifferenceMap
        State i minus state j.
    empty_states : sequence of int
        States without particles, noted in the summary.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for state, result in states.items():
        _write(folder / f"state_{state}.mrc", result.map, result.pixel_size_angstrom)
        for half, density in ((1, result.half1), (2, result.half2)):
            path = folder / f"state_{state}_half{half}.mrc"
            _write(path, density, result.pixel_size_angstrom)
    for (i, j), difference in differences.items():
        pixel = difference.pixel_size_angstrom
        _write(folder / f"difference_{i}_minus_{j}.mrc", difference.density, pixel)
        if difference.z_score is not None:
            _write(folder / f"difference_{i}_minus_{j}_z.mrc", difference.z_score, pixel)
    write_text(folder / "fsc.csv", _fsc_table(states))
    summary = {
        "states": {f"state_{k}": _state_summary(r) for k, r in states.items()}
        | {f"state_{k}": {"particles": 0, "note": "no particles"} for k in empty_states},
        "differences": {
            f"difference_{i}_minus_{j}": _difference_summary(d) for (i, j), d in differences.items()
        },
    }
    write_text(folder / "summary.json", json.dumps(summary, indent=2, allow_nan=False) + "\n")


def _write(path: Path, density: Any, pixel: float) -> None:
    corner = -(len(density) // 2) * pixel
    write_map(path, density, pixel, origin_angstrom=(corner, corner, corner))


def _fsc_table(states: Mapping[int, Reconstruction]) -> str:
    """Columns shell, frequency (1/Å), resolution (Å), and one FSC a state; empty if undefined."""
    header = ["shell", "frequency_per_angstrom", "resolution_angstrom"]
    lines = [",".join(header + [f"state_{k}" for k in states])]
    if states:
        one = next(iter(states.values()))
        frequencies = shell_frequencies(len(one.map), one.pixel_size_angstrom)
        for shell, frequency in enumerate(frequencies):
            cells = [str(shell), f"{frequency:.7g}", f"{1 / frequency:.5g}" if shell else ""]
            values = [float(r.fsc[shell]) for r in states.values()]
            cells += [f"{v:.5f}" if np.isfinite(v) else "" for v in values]
            lines.append(",".join(cells))
    return "\n".join(lines) + "\n"


def _state_summary(result: Reconstruction) -> dict[str, Any]:
    return {
        "particles": result.n_particles,
        "particles_in_halves": list(result.n_in_halves),
        "resolution_angstrom": result.resolution_angstrom,
        "pixel_size_angstrom": result.pixel_size_angstrom,
        "note": result.note,
    }


def _difference_summary(difference: DifferenceMap) -> dict[str, Any]:
    z = difference.z_score
    return {
        "resolution_angstrom": difference.resolution_angstrom,
        "largest_gain": difference.largest_gain,
        "largest_loss": difference.largest_loss,
        "noise": difference.noise,
        "largest_gain_z": None if z is None else float(z.max()),
        "largest_loss_z": None if z is None else float(z.min()),
    }
