"""What the benchmark of maps at rest does: its file, a case a data set."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

import yaml

from cryoparts.config import RunConfig, run_config_from_dict
from cryoparts.config.steps import AtRestOptions
from cryoparts.errors import InputError
from cryoparts.io.files import reading
from cryoparts.simulation.nuisances.options import Nuisances
from cryoparts.simulation.options import ImagingOptions
from cryoparts.simulation.scene_options import BendOptions, MotionOptions

KINDS: dict[str, type] = {"motion": MotionOptions, "bend": BendOptions}
CURE = "Look at benchmarks/maps.yaml."


@dataclass(frozen=True)
class MapsCase:
    """One data set, and how its maps are made.

    Parameters
    ----------
    name : str
    kind : {"motion", "bend"}
    simulation : dict
        Options of that kind.
    imaging : dict
        What differs from the benchmark's imaging.
    at_rest : dict
        Options of `reconstruct --at-rest`.
    sections : dict
        What differs from the benchmark's options of the runs.
    parts : {"found", "given"}
        Those that the program finds, or the true regions: where nothing moves there is nothing
        to be found, and the question is what the maps would claim of given parts.
    """

    name: str
    kind: Literal["motion", "bend"] = "motion"
    simulation: dict[str, Any] = field(default_factory=dict)
    imaging: dict[str, Any] = field(default_factory=dict)
    at_rest: dict[str, Any] = field(default_factory=dict)
    sections: dict[str, dict[str, Any]] = field(default_factory=dict)
    parts: Literal["found", "given"] = "found"


@dataclass(frozen=True)
class MapsBenchmark:
    """Everything that determines the benchmark.

    Parameters
    ----------
    structure : str
        File, in the data folder or beside the .yaml.
    cases : tuple of MapsCase
    seeds : tuple of int
    imaging, nuisances : dict
        Options of the simulation that all cases share.
    sections : dict
        Options of the runs: preprocessing, gaussians, training, parts.
    """

    structure: str
    cases: tuple[MapsCase, ...]
    seeds: tuple[int, ...] = (1,)
    imaging: dict[str, Any] = field(default_factory=dict)
    nuisances: dict[str, Any] = field(default_factory=dict)
    sections: dict[str, dict[str, Any]] = field(default_factory=dict)

    def simulation(self, case: MapsCase, tables: Path) -> MotionOptions | BendOptions:
        """What moves in a case; a table of regions lies beside the benchmark's file."""
        values = dict(case.simulation)
        if "regions_file" in values:
            values["regions_file"] = tables / values["regions_file"]
        options: MotionOptions | BendOptions = KINDS[case.kind](**values)
        return options

    def imaging_options(self, case: MapsCase, seed: int) -> ImagingOptions:
        """The microscope of a case."""
        return ImagingOptions(**(self.imaging | case.imaging | {"seed": seed}))

    def nuisance_options(self) -> Nuisances:
        """What is wrong with the particles."""
        return Nuisances(**self.nuisances)

    def run_config(self, case: MapsCase, particles: Path, model: Path, seed: int) -> RunConfig:
        """The options of a case's run."""
        plain: dict[str, Any] = {"particles": str(particles), "model": str(model)}
        for name in {**self.sections, **case.sections}:
            plain[name] = self.sections.get(name, {}) | case.sections.get(name, {})
        plain["training"] = plain.get("training", {}) | {"seed": seed}
        # whether particles fit the model is not what is measured here, and noise does not
        plain["as_given"] = True
        return run_config_from_dict(plain, "the benchmark")

    def chosen(
        self, names: tuple[str, ...], seeds: tuple[int, ...], particles: int | None
    ) -> MapsBenchmark:
        """The same with fewer cases, other seeds or another number of particles.

        Raises
        ------
        InputError
            If there is no case of a name.
        """
        known = [case.name for case in self.cases]
        unknown = [name for name in names if name not in known]
        if unknown:
            raise InputError(
                "--cases", f"there is no case {unknown[0]}", f"Choose from {', '.join(known)}."
            )
        imaging = self.imaging if particles is None else self.imaging | {"n_particles": particles}
        return MapsBenchmark(
            self.structure,
            tuple(case for case in self.cases if not names or case.name in names),
            seeds or self.seeds,
            imaging,
            self.nuisances,
            self.sections,
        )


def read_maps_benchmark(path: Path) -> MapsBenchmark:
    """Read benchmarks/maps.yaml.

    Raises
    ------
    InputError
        If it is no such file, or an option is unknown or out of its limits.
    """
    with reading(path, "a benchmark of maps", CURE):
        plain = yaml.safe_load(path.read_text(encoding="utf-8"))
        if not isinstance(plain, dict) or plain.pop("kind", None) != "maps":
            raise ValueError("its kind must be maps")
        known = {f.name for f in fields(MapsBenchmark)}
        sections = {name: plain.pop(name) for name in list(plain) if name not in known}
        cases = tuple(MapsCase(**case) for case in plain.pop("cases"))
        seeds = tuple(int(seed) for seed in plain.pop("seeds", [1]))
        made = MapsBenchmark(cases=cases, seeds=seeds, sections=sections, **plain)
        for case in made.cases:
            made.simulation(case, path.parent)
            made.imaging_options(case, 1)
            AtRestOptions(**case.at_rest)
            made.run_config(case, Path("particles.star"), Path("model.cif"), 1)
        made.nuisance_options()
    return made
