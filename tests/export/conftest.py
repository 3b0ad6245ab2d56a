"""A run folder with parts, states and maps, as far as the exports read it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from cryoparts.config import RunConfig
from cryoparts.gaussians.model import GaussianModel
from cryoparts.io.mrc import write_map
from cryoparts.io.run_directory import RunDirectory
from cryoparts.io.structure import write_gaussians_cif
from cryoparts.parts.part_labels import PartLabels
from cryoparts.states.focus import FocusedParticles

if TYPE_CHECKING:
    from pathlib import Path

STAR = """# version 30001

data_optics

loop_
_rlnOpticsGroup #1
_rlnOpticsGroupName #2
_rlnImagePixelSize #3
1 "group one"   1.310000
2 group2 1.06


# version 30001

data_particles

loop_
_rlnCoordinateX #1
_rlnImageName #2
_rlnOpticsGroup #3
_rlnAngleRot #4
"""
AFTER = """

# written after the particles

data_remarks

loop_
_rlnComment #1
_rlnCommentNumber #2
first 1
second 2

"""
ROW = "{x:13.6f} {name} {group:5d} {angle:12.6f} \n"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Run folder `run` made from `job/particles.star`, 12 particles, two parts."""
    rng = np.random.default_rng(0)
    names = np.array(
        [f"{i:06d}@my stacks/a.mrcs" if i == 5 else f"{i:06d}@a.mrcs" for i in range(1, 13)]
    )
    rows = [
        ROW.format(x=100 * i, name=f'"{n}"' if " " in n else n, group=1 + i % 2, angle=7.25 * i)
        for i, n in enumerate(names)
    ]
    star = tmp_path / "job" / "particles.star"
    star.parent.mkdir()
    star.write_text(STAR + "".join(rows) + AFTER)
    folder = RunDirectory.create(
        tmp_path / "run", RunConfig(particles=str(star), model="m.mrc"), []
    )
    model = GaussianModel.of(rng.normal(size=(30, 3)) * 20, np.ones(30), np.full(30, 4.0))
    labels = np.repeat([0, 1, 2], [16, 9, 5])
    model.save(folder.gaussians_path)
    write_gaussians_cif(
        folder.gaussians_cif_path, model.positions, model.amplitudes, model.widths, labels
    )
    PartLabels(
        labels,
        rng.normal(size=(30, 2)),
        model.positions.astype(float),
        np.ones(30),
        np.ones(30),
        "pca",
    ).save(folder.parts_path)
    shuffled = rng.permutation(12)
    FocusedParticles(
        names=names[shuffled],
        embedding=rng.normal(size=(12, 2)),
        states=np.where(shuffled % 3 == 0, 1, 2),
        coordinate=np.zeros(12),
        mean_amplitude=np.ones(12),
        displacement_rms_angstrom=np.zeros(12),
        order="clusters",
        chosen_by="found",
    ).save(folder.focus_path(1))
    for state in (1, 2):
        path = folder.reconstruction_path(1) / f"state_{state}.mrc"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_map(path, rng.normal(size=(9, 9, 9)), 4.0)
        write_map(path.with_name(f"state_{state}_half1.mrc"), rng.normal(size=(9, 9, 9)), 4.0)
    return folder.root
