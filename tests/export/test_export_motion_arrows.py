"""The arrows lie on the model, point along the motion, and ChimeraX's script opens them."""

from __future__ import annotations

import gemmi
import numpy as np
import pytest

from cryoparts.export.chimerax import write_session_script
from cryoparts.export.motion_arrows import write_motion_arrows
from cryoparts.export.motion_models import write_motion_models
from cryoparts.gaussians.model import GaussianModel
from cryoparts.motion.motion_files import write_motion_summary
from cryoparts.palette import PART_COLOURS
from cryoparts.parts.part_labels import PartLabels

AXIS, PIVOT = np.array([0.0, 0.6, 0.8]), np.array([30.0, 0.0, 0.0])


@pytest.fixture
def moving(run):
    quantiles = {"quantile_05": -10.0, "quantile_95": 10.0}
    screw = {
        "axis": AXIS.tolist(),
        "pivot_angstrom": PIVOT.tolist(),
        "slide_angstrom_per_degree": 0.0,
        "turns": True,
    }
    content = {"name": "part_1", "screw": screw, "signed_angle_degrees": quantiles}
    (run / "motion").mkdir()
    write_motion_summary(run / "motion", {"frame": "core", "parts": {"part_1": content}})
    return run


def test_arrows_follow_the_turn(moving):
    path = write_motion_arrows(moving)
    lines = path.read_text().splitlines()
    arrows = np.array([line.split()[1:] for line in lines if line.startswith(".arrow")], float)
    colour = [int(PART_COLOURS[0][i : i + 2], 16) / 255 for i in (1, 3, 5)]
    shown = next(line.split()[1:] for line in lines if line.startswith(".color"))
    np.testing.assert_allclose([float(v) for v in shown], colour, atol=1e-3)
    along, rest = arrows[0], arrows[1:]
    np.testing.assert_allclose(
        (along[3:6] - along[:3]) / np.linalg.norm(along[3:6] - along[:3]), AXIS, atol=1e-3
    )
    np.testing.assert_allclose(np.cross(along[:3] - PIVOT, AXIS), 0, atol=1e-2)
    model = GaussianModel.load(moving / "gaussians.npz")
    own = model.positions[PartLabels.load(moving / "parts").members(1)]
    assert len(rest) == len(own)
    # from -10 to +10 degrees, right-handed about the axis, a ball goes 2 r sin 10 degrees
    for arrow, ball in zip(rest, own, strict=True):
        way = arrow[3:6] - arrow[:3]
        lever = np.cross(AXIS, ball - PIVOT)
        assert np.linalg.norm(way) == pytest.approx(
            2 * np.linalg.norm(lever) * np.sin(np.deg2rad(10)), abs=0.01
        )
        assert way @ lever == pytest.approx(np.linalg.norm(way) * np.linalg.norm(lever), rel=1e-3)
    assert (arrows[:, 8] > 0).all()
    assert (arrows[:, 8] < 1).all()


def test_a_part_goes_along_its_motion_and_the_others_stay(moving):
    (path,) = write_motion_models(moving)
    models = gemmi.read_structure(str(path))
    assert len(models) == 11
    places = np.array([[s.atom.pos.tolist() for s in model.all()] for model in models])
    chains = np.array([site.chain.name for site in models[0].all()])
    still = places[:, chains != "part_1"]
    assert np.ptp(still, axis=0).max() < 2e-3
    one = places[:, chains == "part_1"][:, 0] - PIVOT
    around = one - np.outer(one @ AXIS, AXIS)
    cosine = around[0] @ around[-1] / (np.linalg.norm(around[0]) * np.linalg.norm(around[-1]))
    assert np.degrees(np.arccos(cosine)) == pytest.approx(20.0, abs=0.05)
    script = write_session_script(moving).read_text()
    assert "open motion/part_1.cif id" in script
    assert "coordsets true" in script


def test_the_session_opens_the_arrows_that_are_there(moving):
    assert "motion/arrows.bild" not in write_session_script(moving).read_text()
    write_motion_arrows(moving)
    assert "open motion/arrows.bild" in write_session_script(moving).read_text()


def test_without_motions_there_are_no_arrows(run):
    assert write_motion_arrows(run) is None
    assert not (run / "motion").exists()
