"""Run folders that earlier versions wrote: people keep theirs for years."""

from __future__ import annotations

import tarfile
from pathlib import Path

ARCHIVES = Path(__file__).parents[1] / "run" / "archives"
VERSIONS = sorted(path.name.removesuffix(".tar.xz") for path in ARCHIVES.glob("*.tar.xz"))


def unpacked(version: str, folder: Path) -> Path:
    """The run folder of a version, unpacked.

    120 simulated particles of 32 px, 48 Gaussians, an MLP trained for 3 epochs (most of its
    weights set to zero since, and the images rounded, to be small), one part.
    """
    with tarfile.open(ARCHIVES / f"{version}.tar.xz") as archive:
        archive.extractall(folder, filter="data")
    return folder / version
