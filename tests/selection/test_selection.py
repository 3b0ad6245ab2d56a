"""Columns joined by name, conditions on them, and sets of particles."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryoparts.errors import InputError
from cryoparts.selection.particle_columns import ParticleColumns, read_columns
from cryoparts.selection.selection import (
    Selection,
    columns_with_selections,
    read_names,
    saved_selections,
    select_inside,
    select_where,
)
from cryoparts.selection.selection_expression import Truth, evaluate
from run_of_particles import PARTICLES, make_run, names_of

ROW = np.arange(PARTICLES)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("columns") / "run")


@pytest.fixture(scope="module")
def columns(run) -> ParticleColumns:
    return read_columns(run)


def test_columns_are_joined_by_name_whatever_the_order_of_the_files(columns):
    np.testing.assert_array_equal(columns.names, names_of())
    np.testing.assert_allclose(columns.column("amplitude:part_1"), ROW / PARTICLES, rtol=1e-5)
    np.testing.assert_array_equal(columns.column("state:part_2"), 1 + ROW % 2)
    angle = columns.column("angle:part_2")
    assert np.flatnonzero(np.isnan(angle)).tolist() == [3]
    np.testing.assert_array_equal(np.delete(angle, 3), np.delete(ROW - 20, 3))
    np.testing.assert_array_equal(columns.column("half"), 1 + ROW % 2)
    np.testing.assert_array_equal(columns.column("defocus"), 10100 + 100 * ROW)
    np.testing.assert_allclose(np.abs(columns.column("component:1")), np.abs(ROW - 19.5))


def test_components_of_particles_whose_latent_vectors_are_known(tmp_path):
    run = make_run(tmp_path / "run")
    table = pd.read_csv(run.latent_csv_path)
    table.iloc[2, 1:] = 1e200
    table.drop(index=4).to_csv(run.latent_csv_path, index=False)
    found = read_columns(run).column("component:1")
    assert np.flatnonzero(np.isnan(found)).tolist() == [2, 4]
    others = np.delete(found, [2, 4])
    np.testing.assert_allclose(np.abs(others - others.mean()), np.abs(others), atol=1e-9)
    table[:0].to_csv(run.latent_csv_path, index=False)
    assert "component:1" not in read_columns(run).values


@pytest.mark.parametrize("spelling", ["state:part_2", "state:part2", "state:2", "state:arm"])
def test_a_part_has_several_names(columns, spelling):
    assert columns.canonical(spelling) == "state:part_2"


@pytest.mark.parametrize("spelling", ["state:part_1+part_2", "state:arm+part1", "state:2+1"])
def test_several_parts_have_one_column_in_any_order(columns, spelling):
    assert columns.canonical(spelling) == "state:part_1+part_2"


def test_a_table_with_strangers_is_refused(tmp_path):
    run = make_run(tmp_path / "run")
    with run.latent_csv_path.open("a") as stream:
        stream.write("nobody,1,2\n")
    with pytest.raises(InputError, match="1 particles that are not in the run, nobody"):
        read_columns(run)


@pytest.mark.parametrize("file", ["latent.csv", "focus/part_1/particles.csv"])
def test_a_cell_that_is_no_number_is_refused_not_left_out(tmp_path, file):
    run = make_run(tmp_path / "run")
    path = run.root / file
    rows = path.read_text().split("\n")
    rows[3] = rows[3][:-1] + "x"
    path.write_text("\n".join(rows))
    with pytest.raises(InputError, match="not of numbers"):
        read_columns(run)


CONDITIONS = {
    "amplitude:part_1 < 0.3 and half == 1": (ROW < 12) & (ROW % 2 == 0),
    "amplitude:part1<0.3 or not state:arm == 1": (ROW < 12) | (ROW % 2 == 1),
    "0.25 <= amplitude:part_1 < 0.5": (ROW >= 10) & (ROW < 20),
    "state:part_1 in (2, 7)": ROW % 2 == 1,
    "state:part_1 not in [2]": ROW % 2 == 0,
    "`state:part_1+part_2` == 2": ROW % 2 == 1,
    "amplitude:part_1-amplitude:part_2 == 0 and abs(-latent:1) < 1": np.isin(ROW, (19, 20)),
    "density:part_1 < quantile(density:part_1, 0.25)": ROW < 10,
    "defocus / 1e4 > 1.2 and defocus ** 2 < 2 * 10 ** 8": (ROW > 19) & (ROW < 41),
}


@pytest.mark.parametrize("condition", CONDITIONS)
def test_conditions_mean_what_they_say(columns, condition):
    truth = evaluate(condition, columns)
    np.testing.assert_array_equal(truth.true, CONDITIONS[condition])
    assert not truth.unknown.any()


def test_what_cannot_be_told_is_neither_true_nor_false(columns):
    for condition in ("angle:arm > 0", "not angle:arm > 0", "not (angle:arm > 0 and half == 2)"):
        selection, unknown = select_where(condition, columns)
        assert (unknown, bool(selection.chosen[3])) == (1, False), condition
    # decided without the missing value: row 3 is in half 2
    selection, unknown = select_where("angle:arm > 0 or half == 2", columns)
    assert (unknown, bool(selection.chosen[3])) == (0, True)


@settings(deadline=None, max_examples=25)
@given(st.lists(st.tuples(*[st.sampled_from([(1, 0), (0, 1), (0, 0)])] * 2), min_size=1))
def test_logic_obeys_de_morgan(pairs):
    one, other = (Truth(*np.array([pair[side] for pair in pairs], dtype=bool).T) for side in (0, 1))
    left, right = ~(one & other), ~one | ~other
    np.testing.assert_array_equal(left.true, right.true)
    np.testing.assert_array_equal(left.false, right.false)


@pytest.mark.parametrize(
    "condition",
    [
        "__import__('os').system('true') == 0",
        "half.__class__ == 1",
        "(lambda: 1)() == 1",
        "[x for x in (1, 2)] == 1",
        "half == 'one'",
        "half := 1",
        "half",
        "half and 1",
        "1 + (half == 1) > 0",
        "half ==",
        "",
        "sqrt(half, half) > 1",
        "quantile(half, 2) > 1",
        "half in half",
        "half == True",
        "half is 1",
        "half == " + "9" * 400,
        "(" * 3000,
        "half > 0 or " * 1000 + "half > 0",
    ],
)
def test_nothing_but_conditions_is_accepted(columns, condition):
    with pytest.raises(InputError, match=r"Write conditions|comparison"):
        evaluate(condition, columns)


def test_an_unknown_column_is_named_and_the_known_ones_are_listed(columns):
    with pytest.raises(InputError) as caught:
        evaluate("amplitud:part_1 < 3", columns)
    message = str(caught.value)
    assert "'amplitud:part_1'" in message
    assert "Is amplitude:part_1 meant?" in message
    for known in ("certainty", "part_1+part_2", "latent: of 1, 2", "defocus", "angle: of part_2"):
        assert known in message
    with pytest.raises(InputError, match="'size'"):
        evaluate("size > 3", columns)


def chosen(*rows: int) -> Selection:
    return Selection(names_of(), np.isin(ROW, rows), {"rows": list(rows)})


@settings(deadline=None, max_examples=25)
@given(st.sets(st.integers(0, PARTICLES - 1)), st.sets(st.integers(0, PARTICLES - 1)))
def test_selections_are_sets(first, second):
    a, b = chosen(*first), chosen(*second)
    names = names_of()

    def rows(selection):
        return {int(np.flatnonzero(names == name)[0]) for name in selection.names}

    assert rows(a & b) == first & second
    assert rows(a | b) == first | second
    assert rows(a - b) == first - second
    assert rows(~a) == set(range(PARTICLES)) - first


def test_a_selection_is_saved_read_back_and_used_in_conditions(tmp_path):
    run = make_run(tmp_path / "run")
    made = chosen(1, 2, 3) | chosen(7)
    made.save(run.selections_path, "left-over")
    assert read_names(saved_selections(run)["left-over"]) == names_of()[[1, 2, 3, 7]].tolist()
    record = json.loads((run.selections_path / "left-over.json").read_text())
    assert (record["particles"], record["of"]) == (4, PARTICLES)
    assert record["made_by"] == {"or": [{"rows": [1, 2, 3]}, {"rows": [7]}]}
    columns = columns_with_selections(run)
    again, unknown = select_where("not `selection:left-over` and half == 2", columns)
    assert unknown == 0
    np.testing.assert_array_equal(again.chosen, (ROW % 2 == 1) & ~np.isin(ROW, (1, 2, 3, 7)))


@pytest.mark.parametrize("name", ["", "../up", "a/b", "a b", ".hidden", "x" * 99])
def test_names_that_are_no_files_are_refused(tmp_path, name):
    with pytest.raises(InputError, match="cannot be called"):
        chosen(1).save(tmp_path, name)
    assert not list(tmp_path.iterdir())


def test_an_empty_selection_is_not_saved(tmp_path):
    with pytest.raises(InputError, match="no particle is selected"):
        chosen().save(tmp_path, "none")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("name\n", "names no particle"),
        ("who\nx\n", "lacks the column .name."),
        ("name\nx\ny\nx\n", "x more than once"),
    ],
)
def test_files_that_are_no_selections(tmp_path, text, problem):
    path = tmp_path / "s.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=problem):
        read_names(path)


def test_particles_of_another_file_are_counted_and_named():
    with pytest.raises(InputError, match=r"2 of its 3 particles are not in the run: a@b, c@d"):
        Selection.of(["a@b", str(names_of()[0]), "c@d"], names_of(), "s.csv")


def test_an_image_s_name_means_all_its_rows_and_a_row_s_name_that_row():
    # the first image is spelled in two ways, so its rows keep names of their own
    rows = np.array(["1@s", "01@s", "2@s#1", "2@s#2"])
    images = np.array(["1@s", "1@s", "2@s", "2@s"])

    def chosen(*names):
        return Selection.of(names, rows, "s.csv", images).names.tolist()

    assert chosen("1@s") == ["1@s"]
    assert chosen("2@s", "01@s") == ["01@s", "2@s#1", "2@s#2"]
    assert chosen("2@s#2") == ["2@s#2"]
    with pytest.raises(InputError, match=r"1 of its 1 particles are not in the run: 3@s"):
        chosen("2@s", "3@s")


def test_where_a_lasso_crosses_itself_every_second_crossing_is_outside(columns):
    x, y = "amplitude:part_1", "half"
    points = np.column_stack([columns.column(x), columns.column(y)])
    # twice around the same square: nothing is inside
    square = [[-9, -9], [9, -9], [9, 9], [-9, 9]]
    assert select_inside(columns, x, y, square).chosen[np.isfinite(points).all(axis=1)].all()
    assert not select_inside(columns, x, y, square + square).chosen.any()


def test_a_lasso_in_the_plane_of_two_columns(columns):
    square = [[0.2, 1.5], [0.5, 1.5], [0.5, 2.5], [0.2, 2.5]]
    made = select_inside(columns, "amplitude:part_1", "half", square)
    np.testing.assert_array_equal(made.chosen, (ROW > 8) & (ROW < 20) & (ROW % 2 == 1))
    assert made.made_by["lasso"]["corners"] == square
    # without an angle a particle is in no place, so in no lasso
    wide = [[-99, -99], [99, -99], [99, 99], [-99, 99]]
    assert not select_inside(columns, "angle:arm", "half", wide).chosen[3]
    with pytest.raises(InputError, match="three corners"):
        select_inside(columns, "half", "half", [[0, 1]])
