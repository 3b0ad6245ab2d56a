"""`cryoparts benchmark`: how accurate the program is where the truth is known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import cyclopts
from cyclopts import Parameter

from cryoparts.benchmark.config import (
    BenchmarkConfig,
    BenchmarkOptions,
    Kind,
    overruled,
    read_benchmark,
)
from cryoparts.cli.console import say, show_information, warn
from cryoparts.cli.console import table as show_table
from cryoparts.cli.help import epilogue
from cryoparts.cli.options import Flat
from cryoparts.errors import InputError

if TYPE_CHECKING:
    from cryoparts.benchmark.data import BenchmarkFiles, DataSet
    from cryoparts.benchmark.runs import BenchmarkRun
    from cryoparts.benchmark.table import Table

    Plan = list[tuple[DataSet, list[BenchmarkRun]]]
    from collections.abc import Sequence

OPTIONS_FILE = "benchmark.yaml"

benchmark = cyclopts.App(
    name="benchmark",
    help="Simulate, run, and compare with the truth: tables over seeds and decoders, figures.",
    help_epilogue=epilogue("benchmark"),
)

ConfigFile = Annotated[
    Path, Parameter(name="--config", help="The benchmark's .yaml (benchmarks/ of the repository).")
]
OutputFolder = Annotated[
    Path, Parameter(name=["--output", "-o"], help="Folder of the benchmark; goes on with what is.")
]
DataFolder = Annotated[
    Path | None, Parameter(name="--data", help="Folder that holds the files named in the .yaml.")
]
StructureName = Annotated[
    str | None, Parameter(name="--structure", help="Structure, or 'toy' for one that is made up.")
]
PosesFile = Annotated[
    str | None, Parameter(name="--poses", help="Real poses and CTFs (.npz), for 'real'.")
]
Overrule = Annotated[BenchmarkOptions, Flat]


SUMMARIES: dict[Kind, str] = {
    "composition": "Segments that come and go: accuracy of the amplitudes, parts and states.",
    "motion": "Regions that turn: displacement error, parts and angles.",
    "both": "Segments that turn, and come and go: presence, displacement error, parts.",
    "assembly": "Particles of several maps: parts against known chains, states against the maps.",
}


def _verb(kind: Kind) -> Callable[..., None]:
    def verb(
        *,
        config: ConfigFile,
        output: OutputFolder,
        data: DataFolder = None,
        structure: StructureName = None,
        poses: PosesFile = None,
        options: Overrule = BenchmarkOptions(),
    ) -> None:
        _benchmark(kind, config, output, data, structure, poses, options)

    verb.__doc__ = SUMMARIES[kind]
    return verb


for _kind in SUMMARIES:
    benchmark.command(_verb(_kind), name=_kind)


@benchmark.command
def realistic(
    *,
    config: ConfigFile,
    output: OutputFolder,
    of: Annotated[Kind, Parameter(help="What is heterogeneous.")] = "composition",
    data: DataFolder = None,
    structure: StructureName = None,
    options: Overrule = BenchmarkOptions(),
) -> None:
    """A ladder of junk, wrong poses, maps as models and low signal, one difference a rung."""
    _benchmark(of, config, output, data, structure, None, options)


@benchmark.command
@show_information("cryoparts.benchmark")
def maps(
    *,
    config: ConfigFile,
    output: OutputFolder,
    data: DataFolder = None,
    cases: Annotated[tuple[str, ...], Parameter(help="Only these cases. Default: all.")] = (),
    seeds: Annotated[tuple[int, ...], Parameter(help="In place of the file's.")] = (),
    particles: Annotated[int | None, Parameter(help="In place of the file's.")] = None,
) -> None:
    """Maps at rest against the true structure: regions that turn, a bend, nothing, noise."""
    from cryoparts.benchmark.maps.cases import read_maps_benchmark
    from cryoparts.benchmark.maps.measure import measure_case
    from cryoparts.benchmark.maps.table import HEADER, rows_of, write_tables
    from cryoparts.benchmark.results import machine
    from cryoparts.io.run_directory import library_versions

    chosen = read_maps_benchmark(config).chosen(cases, seeds, particles)
    places = [Path(), *([data] if data is not None else []), config.resolve().parent]
    structure = next(
        (p / chosen.structure for p in places if (p / chosen.structure).is_file()), None
    )
    if structure is None:
        raise InputError(
            "--data", f"there is no file {chosen.structure} in it", "Name the folder that holds it."
        )
    records = []
    for case in chosen.cases:
        for seed in chosen.seeds:
            say(f"{case.name}, seed {seed}")
            tables = config.resolve().parent
            records.append(measure_case(chosen, case, seed, structure, tables, output))
            written = write_tables(output, records, machine() | {"versions": library_versions()})
            rows = [row for row in rows_of(records) if row[0] == case.name]
            show_table(
                f"{case.name}: FSC 0.5 with the truth, 1/Å", HEADER[1:], [r[1:] for r in rows]
            )
    say(f"table: {written}")


@show_information("cryoparts.benchmark")
def _benchmark(
    kind: Kind,
    file: Path,
    output: Path,
    data: Path | None,
    structure: str | None,
    poses: str | None,
    options: BenchmarkOptions,
) -> None:
    """Make every run that is not there, and write tables, figures and the page."""
    from cryoparts.benchmark.data import (
        data_sets,
        find_files,
        find_oracle,
        make_data,
        map_knowledge,
        model_of,
    )
    from cryoparts.benchmark.results import write_results
    from cryoparts.benchmark.runs import make_record, read_record
    from cryoparts.training.setup import set_threads

    config = overruled(read_benchmark(file, kind), options)
    if structure is not None:
        config = replace(config, structure=structure)
    if poses is not None:
        config = replace(config, poses=poses)
    files = find_files(config, file.resolve(), data)
    _claim(output, config)
    set_threads(config.sections.get("training", {}).get("threads"))
    maps = map_knowledge(files)
    plan = [(data_set, runs_of(config, data_set)) for data_set in data_sets(config)]
    total = sum(len(runs) for _, runs in plan)
    failed: list[str] = []
    done = 0
    for data_set, runs in plan:
        folder = output / "data" / data_set.name
        oracle: dict[str, Any] | None = None
        for run in runs:
            done += 1
            place = output / "runs" / run.name
            if read_record(place) is not None:
                say(f"[{done}/{total}] {run.title}: is there")
                continue
            say(f"[{done}/{total}] {run.title}")
            make_data(config, files, data_set, folder)
            oracle = oracle or find_oracle(config, files, folder)
            options_of_run = config.run_config(
                (folder / "particles.star").resolve(),
                model_of(config, data_set, folder).resolve(),
                run.decoder,
                run.training_seed,
            )
            try:
                quick = config.steps == "quick"
                make_record(run, options_of_run, folder, place, oracle, maps, quick=quick)
            except InputError as error:
                failed.append(run.title)
                warn(f"{run.title} failed: {error}")
                continue
            tables = write_results(output, config, files, _records(output, plan))
            if done < total:
                show([table for table in tables if table.kind == data_set.kind])
    _finish(output, config, files, plan)
    if failed:
        raise InputError(
            str(output),
            f"{len(failed)} runs failed: {'; '.join(failed)}",
            "See the warnings above.",
        )


def runs_of(config: BenchmarkConfig, data_set: DataSet) -> list[BenchmarkRun]:
    """The runs on one data set."""
    from cryoparts.benchmark.runs import BenchmarkRun

    seeds = (data_set.seed,) if config.seed_of == "all" else config.seeds
    return [BenchmarkRun(data_set, decoder, s) for s in seeds for decoder in config.decoders]


def _claim(output: Path, config: BenchmarkConfig) -> None:
    """Make the folder, or refuse one of a benchmark with other options."""
    import yaml

    from cryoparts.io.atomic import write_text

    path = output / OPTIONS_FILE
    asked = yaml.safe_load(yaml.safe_dump(_plain(config.unchanging())))
    if not path.exists():
        if output.is_dir() and any(output.iterdir()):
            raise InputError(
                f"-o {output}", "is a folder of something else", "Choose another folder."
            )
        output.mkdir(parents=True, exist_ok=True)
        write_text(path, yaml.safe_dump(asked, sort_keys=False))
        return
    stored = yaml.safe_load(path.read_text(encoding="utf-8"))
    for name in sorted({*stored, *asked}):
        if stored.get(name) != asked.get(name):
            raise InputError(
                f"-o {output}",
                f"holds a benchmark with other options: {name} was {stored.get(name)!r}, "
                f"now {asked.get(name)!r}",
                "Give the same options, or another folder.",
            )


def _plain(value: Any) -> Any:
    """Tuples as lists, for YAML."""
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, (list, tuple)) else value


def _records(output: Path, plan: Plan) -> list[dict[str, Any]]:
    """The records of all runs that are complete: those of the plan in its order, then others.

    Runs of other seeds or decoders that an earlier call has left count as well; their
    options are the same.
    """
    from cryoparts.benchmark.runs import RECORD_FILE, read_record

    planned = [run.name for _, runs in plan for run in runs]
    made = [path.parent.name for path in sorted((output / "runs").glob(f"*/{RECORD_FILE}"))]
    names = [*planned, *(name for name in made if name not in planned)]
    found = (read_record(output / "runs" / name) for name in names)
    return [record for record in found if record is not None]


def _finish(output: Path, config: BenchmarkConfig, files: BenchmarkFiles, plan: Plan) -> None:
    """Write the tables once more, and the page with the figures of the first data set."""
    from cryoparts.benchmark.page import write_benchmark_page
    from cryoparts.benchmark.results import warn_of_mixed_programs, write_results
    from cryoparts.benchmark.table import METHOD_ORDER

    records = _records(output, plan)
    if not records:
        return
    warn_of_mixed_programs(records)
    tables = write_results(output, config, files, records)
    show(tables)
    main = plan[0][0].name
    shown = {
        str(record["decoder"]): output / "runs" / record["name"]
        for decoder in METHOD_ORDER
        for record in reversed(records)
        if record["decoder"] == decoder and record["name"].startswith(f"{main}_{decoder}")
    }
    page = write_benchmark_page(output, config.kind, tables, records, shown, output / "data" / main)
    say(f"tables: {output / 'table.md'}, {output / 'table.csv'}; page: {page}")


def show(tables: Sequence[Table]) -> None:
    """Print the tables."""
    from cryoparts.benchmark.table import cell, method_title

    for table in tables:
        rows = [
            [metric.title, *(cell(cells.get(m), metric.unit) for m in table.methods)]
            for metric, cells in table.rows
        ]
        show_table(table.kind.title, ["", *map(method_title, table.methods)], rows)
