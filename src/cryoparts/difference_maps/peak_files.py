"""Tables of peaks and of changed parts and chains."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryoparts.io.run_directory import write_csv

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from cryoparts.difference_maps.changed_regions import Change
    from cryoparts.difference_maps.peaks import Peak

PEAK_COLUMNS = (
    "difference",
    "region",
    "change",
    "z_score",
    "density",
    "x",
    "y",
    "z",
    "part",
    "gaussian_distance_angstrom",
    "chain",
    "residue_name",
    "residue_number",
    "atom_distance_angstrom",
    "region_volume_cubic_angstrom",
    "region_parts_percent",
    "region_chains_percent",
)


def write_peaks(path: Path, peaks: Mapping[str, Sequence[Peak]]) -> None:
    """One row a peak; z-scores and densities are the first state's minus the second's.

    Parameters
    ----------
    path : Path
    peaks : mapping of a difference's name to its peaks
    """
    rows = (
        [
            name,
            peak.region,
            "gained" if peak.gained else "lost",
            f"{peak.z_score:.2f}",
            f"{peak.density:.5g}",
            *(f"{c:.2f}" for c in peak.position),
            peak.part,
            f"{peak.gaussian_distance:.1f}",
            peak.chain,
            peak.residue_name,
            "" if peak.residue_number is None else peak.residue_number,
            "" if peak.atom_distance is None else f"{peak.atom_distance:.1f}",
            f"{peak.region_volume:.0f}",
            peak.region_parts,
            peak.region_chains,
        ]
        for name, found in peaks.items()
        for peak in found
    )
    write_csv(path, PEAK_COLUMNS, rows)


def write_changes(path: Path, changed: Mapping[str, Sequence[Change]]) -> None:
    """One row a part and a chain: the share of its Gaussians or atoms in significant voxels.

    Parameters
    ----------
    path : Path
    changed : mapping of a difference's name to its changes
    """
    header = ("difference", "kind", "name", "sites", "share_gained", "share_lost", "mean_z")
    rows = (
        [name, c.kind, c.name, c.sites, f"{c.gained:.4f}", f"{c.lost:.4f}", f"{c.mean_z:.2f}"]
        for name, changes in changed.items()
        for c in changes
    )
    write_csv(path, header, rows)
