"""Laws of joining by name, and of the one reader of tables."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryoparts.errors import InputError
from cryoparts.io.names import rows_of_names, rows_or_absent
from cryoparts.io.tables import load_array, numbers, read_json, read_rows, read_table, write_table

NAMES = st.lists(st.text("abc@.0", min_size=1, max_size=6), min_size=1, max_size=30, unique=True)


@settings(max_examples=40, deadline=None)
@given(NAMES, st.integers(0, 2**31))
def test_rows_found_by_name_hold_the_names_whatever_their_order(names, seed):
    known = np.array(names)
    wanted = np.random.default_rng(seed).choice(known, size=2 * len(known))
    np.testing.assert_array_equal(known[rows_of_names(known, wanted, "table")], wanted)


@settings(max_examples=40, deadline=None)
@given(NAMES, st.integers(0, 2**31))
def test_names_that_are_not_there_have_no_row(names, seed):
    kept = np.random.default_rng(seed).random(len(names)) < 0.5
    rows = rows_or_absent(np.array(names)[kept], names)
    np.testing.assert_array_equal(rows >= 0, kept)
    np.testing.assert_array_equal(rows[kept], np.arange(kept.sum()))


def test_missing_and_repeated_names_are_named():
    with pytest.raises(InputError, match=r"f\.csv: 2 of its 3 particles are not in the run: c, d"):
        rows_of_names(["a", "b"], ["d", "a", "c"][::-1], "f.csv")
    with pytest.raises(InputError, match="two particles of the run are called 'a'"):
        rows_of_names(["a", "a"], ["a"], "f.csv")


def test_a_particle_called_na_is_not_a_missing_value(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("name,state,x,what\nNA,1,0.5,\n007,2,,nan\n")
    table = read_table(path, ["name", "state"], text=["what"])
    assert table["name"].tolist() == ["NA", "007"]
    assert table["what"].tolist() == ["", ""]
    assert np.isnan(table["x"][1])
    assert read_rows(path)[1] == {"name": "007", "state": "2", "x": "", "what": ""}
    with pytest.raises(InputError, match="the column name is not of numbers"):
        numbers(table, "name", path)


def test_numbers_come_back_as_the_nearest_to_what_is_written(tmp_path):
    values = np.random.default_rng(0).normal(size=200)
    write_table(tmp_path / "t.csv", {"x": values})
    written = [float(f"{value:.7g}") for value in values]
    table = read_table(tmp_path / "t.csv")
    np.testing.assert_array_equal(numbers(table, "x", tmp_path / "t.csv"), written)


@pytest.mark.parametrize("text", ["", "a,b\n1,2,3\n", "a,b\n1,2\n1,2,3\n", "a\n1\n"])
def test_a_table_that_is_none_is_refused_with_its_name(tmp_path, text):
    path = tmp_path / "wrong.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=r"wrong\.csv"):
        read_table(path, ["b"])


def test_arrays_and_json_are_checked(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros(3))
    with pytest.raises(InputError, match="should have 2 dimensions"):
        load_array(tmp_path / "a.npy", dimensions=2)
    assert read_json(tmp_path / "none.json") is None
    (tmp_path / "bad.json").write_text("{")
    with pytest.raises(InputError, match="not JSON"):
        read_json(tmp_path / "bad.json")
