"""What parts are said to do: motions that images tell and the decoder did not are said too."""

from __future__ import annotations

import numpy as np

from cryoparts.gaussians.model import GaussianModel
from cryoparts.parts.part_description import (
    describe_motions,
    describe_parts,
    read_description,
    write_description,
)
from cryoparts.parts.part_kinds import PartChange
from cryoparts.parts.part_labels import PartLabels


def motion(displacement: float, *, turns: bool = True) -> dict:
    return {
        "told_by_the_images": True,
        "displacement_rms_angstrom": displacement,
        "residual_rms_angstrom": 0.5 * displacement,
        "screw": {"turns": turns},
        "signed_angle_degrees": {"deviation": 6.0},
    }


def described(folder):
    random = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2, 3, 4], 10)
    model = GaussianModel(
        random.normal(size=(50, 3)).astype(np.float32),
        np.ones(50, dtype=np.float32),
        np.ones(50, dtype=np.float32),
    )
    parts = PartLabels(
        labels, np.zeros((50, 2)), model.positions, np.zeros(50), np.zeros(50), "pca"
    )
    kinds = {1: "present/absent", 2: "slight", 3: "slight", 4: "rotation"}
    changes = {k: PartChange(kind, 0.5, 0.5, 0.2, 0.3, 0.1, 1.0) for k, kind in kinds.items()}
    write_description(folder, describe_parts(model, parts, changes, None), {})
    return {row["part"]: row for row in read_description(folder)}


def test_what_images_tell_of_motions_is_said(tmp_path):
    before = described(tmp_path)
    told = {
        "part_1": motion(3.0),
        "part_2": motion(2.0),
        "part_3": motion(2.0, turns=False),
        "part_4": motion(5.0),
    }
    describe_motions(tmp_path, told)
    after = {row["part"]: row for row in read_description(tmp_path)}
    assert list(after) == list(before)
    assert [after[p]["kind"] for p in after] == [
        "", "mixed", "rotation", "translation", "rotation",
    ]  # fmt: skip
    assert float(after["part_1"]["displacement_angstrom"]) == 3.0
    assert float(after["part_1"]["rigid_share"]) == 0.75
    assert float(after["part_2"]["angle_deviation_degrees"]) == 6.0
    assert float(after["part_3"]["angle_deviation_degrees"]) == 0.0
    # the decoder knew of it
    assert after["part_4"] == before["part_4"]


def test_what_hardly_moves_is_described_as_before(tmp_path):
    before = described(tmp_path)
    describe_motions(tmp_path, {"part_1": motion(0.9), "part_7": motion(4.0)})
    assert {row["part"]: row for row in read_description(tmp_path)} == before
