"""The files of a benchmark and its simulated data sets, which the decoders share."""

from __future__ import annotations

import csv
import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cryoparts.benchmark.config import TOY, BenchmarkConfig, nuisances_of, simulation_options
from cryoparts.benchmark.oracle import ORACLE_FILE, oracle_of_data
from cryoparts.benchmark.record import MapKnowledge
from cryoparts.benchmark.table import DataSetKind
from cryoparts.errors import InputError
from cryoparts.evaluation.assembly_agreement import (
    ProteinOccupancies,
    read_protein_occupancies,
)
from cryoparts.evaluation.chain_agreement import ChainDensities
from cryoparts.io.atomic_models import read_structure
from cryoparts.io.files import checksum
from cryoparts.io.mrc import read_map
from cryoparts.io.run_directory import write_json
from cryoparts.pipeline.simulation import CONSENSUS_FILE, simulate
from cryoparts.simulation.scene_options import CompositionOptions, MapsOptions
from cryoparts.simulation.structures.toy_complex import toy_complex, write_toy_segments

if TYPE_CHECKING:
    from cryoparts.io.structure import Structure

LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class BenchmarkFiles:
    """Where everything that a benchmark reads is.

    Parameters
    ----------
    structure : Path or None
        None for the toy complex, or for an assembly without a structure.
    maps : tuple of Path
    densities, occupancies, poses : Path or None
    tables : Path
        Folder of the tables that the simulation's options name.
    chain_prefixes : dict of str to str
        How a chain's name in the two tables begins, and in the structure.
    """

    structure: Path | None
    maps: tuple[Path, ...]
    densities: Path | None
    occupancies: Path | None
    poses: Path | None
    tables: Path
    chain_prefixes: dict[str, str]

    def checksums(self) -> dict[str, str]:
        """SHA-256 of each file, by its name."""
        given = (self.structure, self.densities, self.occupancies, self.poses, *self.maps)
        return {path.name: checksum(path) for path in given if path is not None}


@dataclass(frozen=True)
class DataSet:
    """One simulated data set."""

    kind: DataSetKind
    seed: int

    @property
    def name(self) -> str:
        """Of its folder."""
        first = self.kind.rung or self.kind.orientations
        return f"{first}_snr{self.kind.snr:g}_seed{self.seed}"

    def as_dict(self) -> dict[str, Any]:
        """For the records of its runs."""
        kind = self.kind
        rung = {"rung": kind.rung} if kind.rung else {}
        return {"orientations": kind.orientations, "snr": kind.snr, "seed": self.seed} | rung


def find_files(config: BenchmarkConfig, file: Path, data: Path | None) -> BenchmarkFiles:
    """Find the files that the options name: as given, in the data folder, or beside the .yaml.

    Raises
    ------
    InputError
        If one is missing.
    """
    places = [Path(), *([data] if data is not None else []), file.parent]

    def found(what: str, name: str | None) -> Path | None:
        if name is None:
            return None
        for place in places:
            if (place / name).is_file():
                return place / name
        raise InputError(
            f"--{what}",
            f"there is no file {name}" + ("" if data is None else f" in {data}"),
            f"Name the file with --{what}, or the folder that holds it with --data.",
        )

    maps: tuple[Path, ...] = ()
    if config.maps is not None:
        # Path.glob takes no absolute pattern: its folder is joined first, as with any other file.
        folder, pattern = Path(config.maps).parent, Path(config.maps).name
        maps = next((m for p in places if (m := tuple(sorted((p / folder).glob(pattern))))), ())
        if not maps:
            raise InputError(
                "maps",
                f"no file matches {config.maps}",
                "Name the folder that holds it with --data.",
            )
    if config.kind == "assembly" and len(maps) < 2:
        raise InputError("maps", "two at least are needed", "Give maps: PATTERN in the .yaml.")
    if config.kind != "assembly" and config.structure is None:
        raise InputError("--structure", "none is given", f"Name a file, or {TOY!r}.")
    return BenchmarkFiles(
        structure=None if config.structure == TOY else found("structure", config.structure),
        maps=maps,
        densities=found("densities", config.densities),
        occupancies=found("occupancies", config.occupancies),
        poses=found("poses", config.poses) if "real" in config.orientations else None,
        tables=file.parent,
        chain_prefixes=config.chain_prefixes,
    )


def data_sets(config: BenchmarkConfig) -> list[DataSet]:
    """The data sets in the order of their tables: main, real poses, sweep; seed by seed.

    Those of a ladder, rung by rung.
    """
    first, *sweep = config.snr
    if config.rungs:
        return [
            DataSet(DataSetKind("uniform", rung.snr or first, name), seed)
            for name, rung in config.rungs.items()
            for seed in config.seeds
        ]
    seeds = config.seeds if config.seed_of == "all" else config.seeds[:1]
    kinds = [(DataSetKind(orientations, first), seeds) for orientations in config.orientations]
    sweep_seeds = config.sweep_seeds if config.seed_of == "all" else config.seeds[:1]
    kinds += [(DataSetKind(config.orientations[0], snr), sweep_seeds) for snr in sweep]
    return [DataSet(kind, seed) for kind, chosen in kinds for seed in chosen]


def make_data(
    config: BenchmarkConfig, files: BenchmarkFiles, data_set: DataSet, folder: Path
) -> Path:
    """Simulate a data set into `folder`, unless it is there already."""
    if folder.exists():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    poses = files.poses if data_set.kind.orientations == "real" else None
    if data_set.kind.orientations == "real" and poses is None:
        raise InputError("--poses", "none are given", "Name a file, or use --orientations uniform.")
    rung = config.rung(data_set.kind.rung)
    imaging = config.imaging_options(data_set.kind.snr, data_set.seed, poses, data_set.kind.rung)
    options = simulation_options(config, files.tables)
    structure = files.structure or _toy(config, data_set.seed)
    if config.structure == TOY and isinstance(options, CompositionOptions):
        table = folder.parent / "toy_segments.csv"
        write_toy_segments(table)
        options = replace(options, segments_file=table)
    return simulate(
        files.maps if isinstance(options, MapsOptions) else structure,
        folder,
        options,
        imaging=imaging,
        nuisances=nuisances_of(rung),
        consensus=rung.model == "consensus",
    )


def model_of(config: BenchmarkConfig, data_set: DataSet, folder: Path) -> Path:
    """The neutral model that the runs of a data set are given."""
    if config.rung(data_set.kind.rung).model == "consensus":
        return folder / CONSENSUS_FILE
    return next(iter(sorted(folder.glob("model.*"))))


def _toy(config: BenchmarkConfig, seed: int) -> Structure | Path:
    # An assembly needs no molecule; its structure only names chains.
    return toy_complex(seed) if config.kind != "assembly" else Path()


def find_oracle(
    config: BenchmarkConfig, files: BenchmarkFiles, folder: Path
) -> dict[str, Any] | None:
    """What the told solver reaches on a data set, solved once."""
    if not config.oracle_particles:
        return None
    found = oracle_of_data(folder, config.oracle_particles, files.maps)
    write_json(folder / ORACLE_FILE, found)
    return found


def map_knowledge(files: BenchmarkFiles) -> MapKnowledge | None:
    """The maps of an assembly, and the chains of a structure that lies in them.

    Raises
    ------
    InputError
        If the table of densities does not fit the maps or the structure.
    """
    if not files.maps:
        return None
    read = [read_map(path) for path in files.maps]
    voxel = read[0].voxel_size
    chains = None
    if files.structure is not None and files.densities is not None:
        half = (len(read[0].density) // 2) * voxel
        chains = _chains(files, files.structure, files.densities, half)
    return MapKnowledge([each.density for each in read], voxel, chains, _proteins(files))


def _proteins(files: BenchmarkFiles) -> ProteinOccupancies | None:
    """The authors' occupancies, with the structure's chain names."""
    if files.occupancies is None:
        return None
    table = read_protein_occupancies(files.occupancies)
    return replace(table, proteins=tuple(_renamed(name, files) for name in table.proteins))


def _chains(
    files: BenchmarkFiles, structure: Path, densities: Path, half_box: float
) -> ChainDensities:
    """Chains of the structure with a column of the table; the box's corner is their origin."""
    cure = "Give a table of one line a map (column vol) and one column CHAIN|MOLECULE a chain."
    with densities.open(newline="", encoding="utf-8-sig") as stream:
        rows = list(csv.DictReader(stream))
    by_map = {row.get("vol", ""): row for row in rows}
    missing = [path.stem for path in files.maps if path.stem not in by_map]
    if missing:
        raise InputError(str(densities), f"has no line of the map {missing[0]}", cure)
    molecule = read_structure(structure)
    positions = molecule.positions.astype(np.float64) - half_box
    column_of = {_renamed(c.split("|", 1)[0], files): c for c in rows[0] if "|" in c}
    present = dict.fromkeys(molecule.chain_ids.tolist())
    columns = {name: column_of[name] for name in present if name in column_of}
    names = list(columns)
    if not names:
        raise InputError(str(densities), f"names no chain of {structure.name}", cure)
    try:
        density = [[float(by_map[path.stem][columns[n]]) for n in names] for path in files.maps]
    except ValueError as fault:
        raise InputError(str(densities), f"holds no number: {fault}", cure) from fault
    LOG.info(
        "%d chains of %s with a known density in %d maps",
        len(names),
        structure.name,
        len(files.maps),
    )
    return ChainDensities(
        names=tuple(names),
        molecules=tuple(columns[name].split("|", 1)[1] for name in names),
        atoms=tuple(positions[molecule.chain_ids == name] for name in names),
        density=np.array(density),
    )


def _renamed(chain: str, files: BenchmarkFiles) -> str:
    """What the structure calls a chain of the tables."""
    for prefix, replacement in files.chain_prefixes.items():
        if chain.startswith(prefix):
            return replacement + chain.removeprefix(prefix)
    return chain
