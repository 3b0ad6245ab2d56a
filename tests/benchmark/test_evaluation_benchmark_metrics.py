"""The numbers of a benchmark, their spread over seeds, and the tables made of them."""

from __future__ import annotations

import csv
import io
from statistics import mean, stdev

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryoparts.benchmark.metrics import METRICS, motion_values
from cryoparts.benchmark.table import (
    DataSetKind,
    Result,
    Spread,
    cell,
    table_csv,
    table_markdown,
    tabulate,
    written,
)

MAIN = DataSetKind("uniform", 0.1)


def result(method: str, accuracy: float, seed: int, oracle: float = 0.999, training=None) -> Result:
    return Result(
        MAIN, method, seed, seed if training is None else training,
        {"accuracy": accuracy}, {"oracle": {"accuracy": oracle}},
    )  # fmt: skip


@settings(deadline=None, max_examples=25)
@given(st.lists(st.floats(0, 1), min_size=2, max_size=6))
def test_a_spread_is_that_of_its_runs(values):
    (table,) = tabulate("composition", [result("mlp", v, s) for s, v in enumerate(values)])
    spread = table.spread("mlp", "accuracy")
    assert spread is not None
    assert (spread.low, spread.high, spread.runs) == (min(values), max(values), len(values))
    np.testing.assert_allclose([spread.mean, spread.deviation], [mean(values), stdev(values)])


def test_the_oracle_counts_once_a_data_set_whatever_ran_on_it():
    runs = [
        result("mlp", 0.9, 1, oracle=0.98), result("point-transformer", 0.95, 1, oracle=0.98),
        result("mlp", 0.9, 1, oracle=0.98, training=2), result("mlp", 0.9, 2, oracle=1.0),
    ]  # fmt: skip
    (table,) = tabulate("composition", runs)
    assert table.methods == ("point-transformer", "mlp", "oracle")
    oracle = table.spread("oracle", "accuracy")
    assert oracle is not None
    assert (oracle.mean, oracle.runs) == (pytest.approx(0.99), 2)
    assert table.spread("mlp", "accuracy").runs == 3


def test_data_sets_of_other_noise_have_tables_of_their_own_in_their_order():
    other = Result(DataSetKind("real", 0.1), "mlp", 1, 1, {"accuracy": 0.5}, {})
    tables = tabulate("composition", [result("mlp", 0.9, 1), other])
    assert [table.kind.orientations for table in tables] == ["uniform", "real"]


def test_tables_say_the_same_as_text_and_as_csv():
    runs = [result("mlp", 0.90, 1), result("mlp", 0.94, 2)]
    tables = tabulate("composition", runs)
    text = table_markdown(tables[0])
    assert "92.00% ± 2.83% (90.00% to 94.00%)" in text
    rows = list(csv.DictReader(io.StringIO(table_csv(tables))))
    row = next(r for r in rows if (r["metric"], r["method"]) == ("accuracy", "mlp"))
    assert [float(row[k]) for k in ("mean", "minimum", "maximum")] == [0.92, 0.90, 0.94]
    assert row["runs"] == "2"


def test_one_run_has_no_spread_and_none_has_a_dash():
    assert cell(Spread.of([0.5]), "share") == "50.00%"
    assert cell(None, "share") == "–"


@pytest.mark.parametrize("benchmark", sorted(METRICS))
def test_every_metric_can_be_written(benchmark):
    keys = [metric.key for metric in METRICS[benchmark]]
    assert len(keys) == len(set(keys))
    assert all(written(0.5, metric.unit) for metric in METRICS[benchmark])


def test_a_region_that_no_part_recovers_counts_as_uncorrelated():
    regions = [{"name": n, "rmsd_angstrom": 1.0} for n in ("still", "arm", "leg")]
    details = {
        "motion": {"rmsd_angstrom": 1.0, "moving_rmsd_angstrom": 1.0, "regions": regions},
        "angles": {"arm": {"pearson": 0.9}},
    }
    values = motion_values(details)
    assert values["angle_correlation"] == pytest.approx(0.45)
    assert values["angle_correlation_minimum"] == 0.0
