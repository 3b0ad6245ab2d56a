from __future__ import annotations

import numpy as np
import pytest

from cryoparts.errors import InputError
from cryoparts.simulation.structures.region_table import read_region_table


def write(tmp_path, text):
    path = tmp_path / "table.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_whole_chains(tmp_path, blob):
    table = read_region_table(
        write(tmp_path, "chain,segment\nC,two\nA,one\nB,two\n"), blob, "segment"
    )
    assert table.names == ("two", "one")
    assert table.label.tolist() == [1] * 120 + [0] * 240


def test_ranges_include_both_ends_and_the_rest_is_unlabelled(tmp_path, blob):
    text = "chain, first_residue, last_residue, region, axis_x\nA, 3, 5, arm, 0.5\nB,,,leg,\n"
    table = read_region_table(write(tmp_path, text), blob, "region")
    arm = (blob.chain_ids == "A") & (blob.residue_numbers >= 3) & (blob.residue_numbers <= 5)
    np.testing.assert_array_equal(table.label == 0, arm)
    np.testing.assert_array_equal(table.label == 1, blob.chain_ids == "B")
    assert table.extra == {"arm": {"axis_x": "0.5"}, "leg": {}}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("chain,part\nA,x\n", "needs the columns chain, segment"),
        ("chain,segment\n", "0 rows"),
        ("chain,first_residue,segment\nA,1,x\n", "last_residue"),
        ("chain,segment\nQ,x\n", "no chain 'Q'"),
        ("chain,segment\nA,\n", "row 2.*empty"),
        ("chain,segment\nA,x\nA,y\n", "row 3.*120 atoms of chain A belong to 'x'"),
        ("chain,first_residue,last_residue,segment\nA,1,ten,x\n", "whole numbers"),
        ("chain,first_residue,last_residue,segment\nA,40,50,x\n", "no residues 40 to 50"),
    ],
)
def test_bad_tables_are_refused_with_row_and_reason(tmp_path, blob, text, words):
    with pytest.raises(InputError, match=f"(?s)table.csv.*{words}|{words}"):
        read_region_table(write(tmp_path, text), blob, "segment")


def test_an_absent_table_is_refused(tmp_path, blob):
    with pytest.raises(InputError, match="cannot be read"):
        read_region_table(tmp_path / "none.csv", blob, "segment")
