"""The section on what the parts are and how they move."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from cryoparts.figures.run_results import read_run
from cryoparts.gaussians.model import GaussianModel
from cryoparts.motion.motion_files import write_motion_summary, write_part_motion
from cryoparts.motion.run_motion import measure_motion, summarise
from cryoparts.parts.part_description import describe_motions, describe_parts, write_description
from cryoparts.parts.part_kinds import measure_part_changes
from cryoparts.parts.part_labels import PartLabels
from cryoparts.report.section_motion import motion_section
from cryoparts.report.verdict import findings


class Decoded:
    relative_amplitudes = None

    def __init__(self, displacements: np.ndarray) -> None:
        self.displacements = displacements


@pytest.fixture
def moving(fake_run):
    """Part 1 turns, part 2 stays."""
    made = fake_run(steps=("parts",))
    model = GaussianModel.load(made.folder / "gaussians.npz")
    labels = PartLabels.load(made.folder / "parts")
    rng = np.random.default_rng(0)
    members = labels.members(1)
    angles = np.deg2rad(rng.uniform(-8, 8, len(made.names)))
    turns = Rotation.from_rotvec(angles[:, None] * [0, 0, 1]).as_matrix()
    moved = 0.1 * rng.normal(size=(len(angles), len(model), 3)).astype(np.float32)
    points = model.positions[members]
    moved[:, members] += points @ np.swapaxes(turns, 1, 2) - points
    changes = measure_part_changes(model, labels, None, moved)
    write_description(made.folder / "parts", describe_parts(model, labels, changes, None), {})
    motion = measure_motion(model, labels, lambda rows: Decoded(moved[rows]), len(angles))
    for part, one in motion.parts.items():
        write_part_motion(made.folder / "motion", part, made.names, one)
    write_motion_summary(made.folder / "motion", summarise(motion, labels, "core"))
    return made


def test_numbers_and_figures_of_each_part(moving):
    trust = moving.folder / "trust"
    trust.mkdir()
    (trust / "parts.csv").write_text("part,name,null_ratio,flagged\npart_1,part_1,7.25,no\n")
    section = motion_section(read_run(moving.folder))
    assert "rotation" in section.html
    assert "7.25" in section.html
    assert "as seen from the core" in section.html
    names = [picture.name for picture in section.pictures]
    assert names == ["motion_on_model", "part_1_motion", "part_2_motion"]
    assert section.html.count("<svg") == len(names)


def test_names_that_a_user_gave_are_shown_and_escaped(moving):
    for name in ("description.csv", "parts.csv"):
        path = moving.folder / "parts" / name
        path.write_text(path.read_text().replace("part_1,part_1", "part_1,<arm>"))
    html = motion_section(read_run(moving.folder)).html
    assert html.count("part 1, &lt;arm&gt;") == 3
    assert "<arm>" not in html


def test_without_parts_there_is_nothing_to_say(fake_run):
    section = motion_section(read_run(fake_run(steps=()).folder))
    assert section.html == ""
    assert section.pictures == ()


def test_parts_without_motions_are_a_table_alone(moving):
    (moving.folder / "motion" / "motions.json").unlink()
    section = motion_section(read_run(moving.folder))
    assert "rotation" in section.html
    assert "as seen from the core" not in section.html
    assert section.pictures == ()


def test_it_says_whether_the_images_have_corrected_the_motions(moving):
    assert "most probable" not in motion_section(read_run(moving.folder)).html
    path = moving.folder / "motion" / "motions.json"
    before = path.read_text()
    path.write_text(
        before.replace('"corrected_by_the_images": false', '"corrected_by_the_images": true')
    )
    assert path.read_text() != before
    assert "most probable" in motion_section(read_run(moving.folder)).html


def test_it_says_where_images_tell_no_motion(moving):
    assert "images tell no motion" not in motion_section(read_run(moving.folder)).html
    path = moving.folder / "motion" / "motions.json"
    before = path.read_text()
    path.write_text(before.replace('"told_by_the_images": true', '"told_by_the_images": false', 1))
    assert path.read_text() != before
    assert motion_section(read_run(moving.folder)).html.count("images tell no motion") == 1


def test_the_findings_are_what_the_description_says(moving):
    first, second = findings(read_run(moving.folder))
    kinds = {one.label: one.kind for one in (first, second)}
    assert kinds == {1: "moves", 2: "changes slightly"}
    path = moving.folder / "parts" / "description.csv"
    told = {"screw": {"turns": True}, "displacement_rms_angstrom": 7.5, "told_by_the_images": True}
    told |= {"residual_rms_angstrom": 1.0, "signed_angle_degrees": {"deviation": 3.0}}
    # what images tell of a motion is written there
    describe_motions(path.parent, {"part_2": told})
    after = {one.label: one for one in findings(read_run(moving.folder))}
    assert after[2].kind == "moves"
    assert "7.5 Å" in after[2].numbers
    # runs of earlier versions have no description
    path.unlink()
    assert len(findings(read_run(moving.folder))) == 2
