"""Mean and spread over the seeds of a benchmark's runs, as tables."""

from __future__ import annotations

import csv
import io
from dataclasses import asdict, dataclass
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Any, Self

from cryoparts.benchmark.metrics import METRICS, ORACLE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from cryoparts.benchmark.metrics import Metric, Unit, Values

DECODER_TITLES = {
    "point-transformer": "Point Transformer",
    "mlp": "MLP",
    "hierarchical-mlp": "hierarchical MLP",
}
METHOD_TITLES = {**DECODER_TITLES, ORACLE: "oracle"}
METHOD_ORDER = tuple(METHOD_TITLES)
"""The programs first, then what is possible at best, then what costs nothing."""


@dataclass(frozen=True)
class DataSetKind:
    """What the particles of one table have in common.

    Parameters
    ----------
    orientations : str
        "uniform", or "real" where poses and CTFs are those of an experiment.
    snr : float
    rung : str
        Of a ladder; "" without one.
    """

    orientations: str
    snr: float
    rung: str = ""

    @property
    def title(self) -> str:
        """In words."""
        poses = "uniform orientations" if self.orientations == "uniform" else "real poses and CTFs"
        return f"{self.rung or poses}, SNR {self.snr:g}"


@dataclass(frozen=True)
class Result:
    """What is known of one run.

    Parameters
    ----------
    kind : DataSetKind
    method : str
        The decoder.
    data_seed, training_seed : int
    values : dict
        Metric's key to number.
    references : dict
        Of other methods on the same particles: the oracle, the empty prediction.
    """

    kind: DataSetKind
    method: str
    data_seed: int
    training_seed: int
    values: Values
    references: dict[str, Values]

    @classmethod
    def of_record(cls, record: Mapping[str, Any]) -> Self:
        """From the record that a benchmark leaves in a run's folder."""
        data = record["data"]
        return cls(
            DataSetKind(str(data["orientations"]), float(data["snr"]), str(data.get("rung", ""))),
            str(record["decoder"]),
            int(data["seed"]),
            int(record["training_seed"]),
            dict(record["values"]),
            {name: dict(values) for name, values in record["references"].items()},
        )


@dataclass(frozen=True)
class Spread:
    """One number over several runs.

    Parameters
    ----------
    mean : float
    deviation : float
        Standard deviation of the runs (n - 1); 0 for one.
    low, high : float
    runs : int
    """

    mean: float
    deviation: float
    low: float
    high: float
    runs: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Self:
        """Of one or more values."""
        deviation = stdev(values) if len(values) > 1 else 0.0
        return cls(fmean(values), deviation, min(values), max(values), len(values))


@dataclass(frozen=True)
class Table:
    """Metrics (rows) of methods (columns) on one kind of data set."""

    kind: DataSetKind
    methods: tuple[str, ...]
    rows: tuple[tuple[Metric, dict[str, Spread]], ...]

    def spread(self, method: str, key: str) -> Spread | None:
        """The cell of one method and metric; None where it is empty."""
        return next((cells.get(method) for metric, cells in self.rows if metric.key == key), None)

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers, for a JSON file."""
        return {
            "orientations": self.kind.orientations,
            "snr": self.kind.snr,
            "rung": self.kind.rung,
            "metrics": {
                metric.key: {method: asdict(spread) for method, spread in cells.items()}
                for metric, cells in self.rows
            },
        }


def tabulate(benchmark: str, results: Iterable[Result]) -> list[Table]:
    """One table a kind of data set, in the order in which the kinds first occur.

    Parameters
    ----------
    benchmark : {"composition", "motion", "both", "assembly"}
    results : iterable of Result
    """
    by_kind: dict[DataSetKind, list[Result]] = {}
    for result in results:
        by_kind.setdefault(result.kind, []).append(result)
    return [_table(benchmark, kind, of_kind) for kind, of_kind in by_kind.items()]


def _table(benchmark: str, kind: DataSetKind, results: list[Result]) -> Table:
    collected: dict[str, dict[str, list[float]]] = {}
    # Decoders and training seeds share a data set: its references count once.
    references: dict[tuple[str, str, int], float] = {}
    for result in results:
        for key, value in result.values.items():
            collected.setdefault(result.method, {}).setdefault(key, []).append(value)
        for name, values in result.references.items():
            for key, value in values.items():
                references[name, key, result.data_seed] = value
    for (name, key, _), value in references.items():
        collected.setdefault(name, {}).setdefault(key, []).append(value)
    methods = tuple(sorted(collected, key=_rank))
    rows = []
    for metric in METRICS[benchmark]:
        cells = {
            method: Spread.of(collected[method][metric.key])
            for method in methods
            if metric.key in collected[method]
        }
        if cells:
            rows.append((metric, cells))
    return Table(kind, methods, tuple(rows))


def _rank(method: str) -> tuple[int, str]:
    order = METHOD_ORDER.index(method) if method in METHOD_ORDER else len(METHOD_ORDER)
    return order, method


def method_title(method: str) -> str:
    """What a method is called in tables and figures."""
    return METHOD_TITLES.get(method, method)


def written(value: float, unit: Unit) -> str:
    """A number with its unit."""
    if unit == "seconds":
        return f"{value:.0f} s" if value < 120 else f"{value / 60:.1f} min"
    forms = {
        "share": f"{100 * value:.2f}%",
        "angstrom": f"{value:.2f} Å",
        "degrees": f"{value:.1f}°",
        "number": f"{value:.4f}",
        "count": f"{value:.1f}".removesuffix(".0"),
        "milliseconds": f"{value:.2f} ms",
        "mib": f"{value:.0f} MiB",
    }
    return forms[unit]


def cell(spread: Spread | None, unit: Unit) -> str:
    """Mean ± standard deviation (lowest to highest), or the value of a single run."""
    if spread is None:
        return "–"
    mean = written(spread.mean, unit)
    if spread.runs == 1:
        return mean
    deviation = written(spread.deviation, unit)
    return f"{mean} ± {deviation} ({written(spread.low, unit)} to {written(spread.high, unit)})"


def table_markdown(table: Table) -> str:
    """A table as Markdown, with a line that says what it is of."""
    runs = max((s.runs for _, cells in table.rows for s in cells.values()), default=0)
    spread = (
        f"mean ± standard deviation (lowest to highest) of {runs} runs" if runs > 1 else "one run"
    )
    lines = [
        f"**{table.kind.title}**: {spread}.",
        "",
        "| | " + " | ".join(method_title(m) for m in table.methods) + " |",
        "|---|" + "---|" * len(table.methods),
    ]
    for metric, cells in table.rows:
        shown = (cell(cells.get(method), metric.unit) for method in table.methods)
        lines.append(f"| {metric.title} | " + " | ".join(shown) + " |")
    return "\n".join(lines) + "\n"


def table_csv(tables: Iterable[Table]) -> str:
    """All tables as one .csv: a line for each data set, metric and method."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    of = ["orientations", "snr", "rung"]
    writer.writerow([*of, "metric", "method", "mean", "sd", "minimum", "maximum", "runs"])
    for table in tables:
        for metric, cells in table.rows:
            for method, s in cells.items():
                numbers = [f"{v:.6g}" for v in (s.mean, s.deviation, s.low, s.high)]
                kind = [table.kind.orientations, f"{table.kind.snr:g}", table.kind.rung]
                writer.writerow([*kind, metric.key, method, *numbers, s.runs])
    return stream.getvalue()
