"""Tables for spreadsheets say what the program's own files say."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from cryoparts.export.summary_tables import write_epochs, write_motions, write_states
from cryoparts.states.focus import FocusedParticles


def test_every_epoch_is_a_row_and_what_one_lacks_is_empty(tmp_path):
    rows = [{"epoch": 0, "held_out_frc": 0.25}, {"epoch": 1, "held_out_frc": 0.375, "loss": -0.5}]
    table = pd.read_csv(write_epochs(tmp_path, rows))
    assert list(table.columns) == ["epoch", "held_out_frc", "loss"]
    assert table["held_out_frc"].tolist() == [0.25, 0.375]
    assert np.isnan(table["loss"][0])


def test_every_part_is_a_row_with_its_axis_in_three_columns(tmp_path):
    summary = {
        "parts": {
            "part_1": {
                "name": "arm",
                "screw": {"axis": [0.0, 0.6, 0.8], "turns": True, "axis_error_degrees": None},
                "signed_angle_degrees": {"mean": 1.5, "quantile_05": -4.0},
            },
            "part_2": {"name": "part_2", "screw": {"axis": [1.0, 0.0, 0.0], "turns": False}},
        }
    }
    table = pd.read_csv(write_motions(tmp_path, summary))
    assert table["part"].tolist() == ["part_1", "part_2"]
    assert table["screw_axis_z"].tolist() == [0.8, 0.0]
    assert table["signed_angle_degrees_mean"][0] == 1.5
    assert table["screw_turns"].tolist() == ["yes", "no"]
    assert write_motions(tmp_path / "none", {"parts": {}}) is None


def test_the_states_of_a_part_add_up(tmp_path):
    focused = FocusedParticles(
        np.array(list("abcde")), np.zeros((5, 2)), np.array([1, 2, 2, 1, 2]), np.zeros(5),
        np.array([1.0, 0.2, 0.1, 0.8, 0.0]), np.zeros(5), "clusters", "found",
    )  # fmt: skip
    table = pd.read_csv(write_states(tmp_path, focused))
    assert table["particles"].tolist() == [2, 3]
    assert table["share"].sum() == pytest.approx(1.0)
    assert table["mean_amplitude"].tolist() == pytest.approx([0.9, 0.1])
