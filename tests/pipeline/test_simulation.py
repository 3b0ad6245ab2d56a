"""Each kind of data set from its options, by one function."""

from __future__ import annotations

import pytest

from cryoparts import InputError, read_particles, simulate
from cryoparts.evaluation.truth import load_truth
from cryoparts.io.structure import write_structure
from cryoparts.simulation.options import ImagingOptions
from cryoparts.simulation.scene_options import BothOptions, CompositionOptions, MotionOptions
from cryoparts.simulation.structures.toy_complex import toy_complex

IMAGING = ImagingOptions(n_particles=6, box_size=32, pixel_size_angstrom=8.0)


@pytest.mark.parametrize(
    ("options", "kind"),
    [(CompositionOptions(n_segments=3), "composition"), (BothOptions(n_segments=3), "both")],
)
def test_the_options_choose_what_is_simulated(tmp_path, options, kind):
    structure = tmp_path / "toy.cif"
    write_structure(structure, toy_complex())
    seen: list[tuple[int, int]] = []
    folder = simulate(
        structure, tmp_path / "data", options, imaging=IMAGING,
        progress=lambda done, total: seen.append((done, total)),
    )  # fmt: skip
    assert len(read_particles(folder / "particles.star")) == 6
    assert seen[-1][0] == seen[-1][1] >= 6
    assert load_truth(folder).kind == kind


def test_one_structure_is_asked_for(tmp_path):
    with pytest.raises(InputError, match="one structure"):
        simulate([tmp_path / "a.cif", tmp_path / "b.cif"], tmp_path / "data", MotionOptions())
