"""What a benchmark does: its file, and the options that overrule the file."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal

import yaml

from cryoparts.config import SECTIONS, DecoderName, RunConfig, run_config_from_dict
from cryoparts.errors import InputError
from cryoparts.simulation.nuisances.options import Nuisances
from cryoparts.simulation.options import ImagingOptions
from cryoparts.simulation.scene_options import (
    BothOptions,
    CompositionOptions,
    MapsOptions,
    MotionOptions,
)

Kind = Literal["composition", "motion", "both", "assembly"]
LADDER = "realistic"
"""Kind of a file that says, for several kinds of benchmarks, what is wrong on each rung."""

Orientations = Literal["uniform", "real"]

TOY = "toy"
"""In place of a structure: the complex that the program makes itself."""

SIMULATIONS: dict[str, type] = {
    "composition": CompositionOptions,
    "motion": MotionOptions,
    "both": BothOptions,
    "assembly": MapsOptions,
}
RESERVED = {"imaging": ("snr", "seed", "poses_file"), "training": ("decoder", "seed")}
"""Options that a benchmark sets by itself."""


@dataclass(frozen=True)
class Rung:
    """One rung of a ladder: how its data differ from the ideal.

    Parameters
    ----------
    model : {"atoms", "consensus"}
        What the runs are given: the molecule itself, or the map that is back-projected
        from the given poses.
    nuisances : dict
        Options of `Nuisances`.
    snr : float or None
        None for that of the benchmark.
    n_particles : int or None
        Likewise.
    """

    model: Literal["atoms", "consensus"] = "atoms"
    nuisances: dict[str, Any] = field(default_factory=dict)
    snr: float | None = None
    n_particles: int | None = None


@dataclass(frozen=True)
class BenchmarkConfig:
    """Everything that determines a benchmark.

    Parameters
    ----------
    kind : {"composition", "motion", "both", "assembly"}
    structure : str or None
        File, or "toy". For an assembly the structure whose chains are known.
    maps : str or None
        Pattern of the maps of an assembly.
    densities : str or None
        Table of the chains' densities in the maps of an assembly.
    occupancies : str or None
        Table of the proteins' occupancies in the maps of an assembly, by their authors.
    chain_prefixes : dict of str to str
        How a chain's name begins in these tables, and in the structure, where they differ.
    poses : str or None
        File of real poses and CTFs.
    snr : tuple of float
        The first is that of the main table, the others make the sweep.
    orientations : tuple
        "uniform", "real" or both.
    seeds, sweep_seeds : tuple of int
        Of the main tables, and of the other signal-to-noise ratios.
    decoders : tuple of str
    seed_of : {"all", "training"}
        What a seed changes: segmentation, poses, noise and training, or training
        alone, on the data set of the first seed.
    steps : {"all", "quick"}
        Quick runs make no maps and no report.
    oracle_particles : int
        How many particles the told solver solves; 0 for none.
    imaging, simulation : dict
        Options of the simulation.
    rungs : dict of str to Rung
        Of a ladder; without any, the particles are ideal.
    sections : dict
        Options of the runs: preprocessing, gaussians, training, parts, focus.
    """

    kind: Kind
    structure: str | None = None
    maps: str | None = None
    densities: str | None = None
    occupancies: str | None = None
    chain_prefixes: dict[str, str] = field(default_factory=dict)
    poses: str | None = None
    snr: tuple[float, ...] = (0.1,)
    orientations: tuple[Orientations, ...] = ("uniform",)
    seeds: tuple[int, ...] = (1,)
    sweep_seeds: tuple[int, ...] = (1,)
    decoders: tuple[str, ...] = ("point-transformer", "mlp")
    seed_of: Literal["all", "training"] = "all"
    steps: Literal["all", "quick"] = "all"
    oracle_particles: int = 1000
    imaging: dict[str, Any] = field(default_factory=dict)
    simulation: dict[str, Any] = field(default_factory=dict)
    rungs: dict[str, Rung] = field(default_factory=dict)
    sections: dict[str, dict[str, Any]] = field(default_factory=dict)

    def rung(self, name: str) -> Rung:
        """The rung of a name; the ideal one where there is no ladder."""
        return self.rungs.get(name, Rung())

    def imaging_options(
        self, snr: float, seed: int, poses: Path | None, rung: str = ""
    ) -> ImagingOptions:
        """The microscope of one data set."""
        values = _tupled(self.imaging) | {"snr": snr, "seed": seed, "poses_file": poses}
        if (count := self.rung(rung).n_particles) is not None:
            values["n_particles"] = count
        return ImagingOptions(**values)

    def run_config(self, particles: Path, model: Path, decoder: str, seed: int) -> RunConfig:
        """The options of one run."""
        plain: dict[str, Any] = {"particles": str(particles), "model": str(model)}
        plain |= {name: dict(values) for name, values in self.sections.items()}
        plain["training"] = plain.get("training", {}) | {"decoder": decoder, "seed": seed}
        return run_config_from_dict(plain, "the benchmark's options")

    def unchanging(self) -> dict[str, Any]:
        """What must be the same when a benchmark goes on: all but which runs are asked for."""
        return {
            "kind": self.kind,
            "structure": self.structure,
            "maps": self.maps,
            "steps": self.steps,
            "seed_of": self.seed_of,
            "imaging": self.imaging,
            "simulation": self.simulation,
            **({"rungs": {n: asdict(r) for n, r in self.rungs.items()}} if self.rungs else {}),
            **self.sections,
        }


@dataclass(frozen=True)
class BenchmarkOptions:
    """What the command line overrules; None leaves the file's."""

    particles: int | None = None
    """Number of simulated particles."""

    seeds: tuple[int, ...] | None = None
    """Seeds of the main tables; each makes a data set and a training."""

    sweep_seeds: tuple[int, ...] | None = None
    """Seeds of the other signal-to-noise ratios."""

    seed_of: Literal["all", "training"] | None = None
    """What a seed changes: all (segmentation, noise and training), or training alone."""

    snr: tuple[float, ...] | None = None
    """Signal-to-noise ratios, the main one first."""

    orientations: tuple[Orientations, ...] | None = None
    """uniform, real (needs poses), or both."""

    decoders: tuple[DecoderName, ...] | None = None
    """Decoders to compare."""

    rungs: tuple[str, ...] | None = None
    """Rungs of a ladder to make. Default: all."""

    epochs: int | None = None
    """Passes over the training particles."""

    n_gaussians: int | None = None
    """Number of Gaussians of the neutral model."""

    oracle_particles: int | None = None
    """Particles that the told solver solves; 0 for none."""

    steps: Literal["all", "quick"] | None = None
    """quick makes no maps and no report of a run."""

    set: tuple[str, ...] = ()
    """Any other option, as SECTION.NAME=VALUE: training.latent_dimensions=4,
    parts.embedding=pca, imaging.box_size=96, simulation.n_segments=5."""


def read_benchmark(path: Path, kind: Kind) -> BenchmarkConfig:
    """Read a benchmark's .yaml.

    Raises
    ------
    InputError
        If it is no such file, or is of another benchmark.
    """
    try:
        plain = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as fault:
        raise InputError(
            f"--config {path}", f"cannot be read: {fault}", "Give a benchmark's .yaml file."
        ) from fault
    if not isinstance(plain, dict):
        raise InputError(f"--config {path}", "holds no options", "Give a benchmark's .yaml file.")
    if plain.get("kind") == LADDER:
        plain = _of_ladder(plain, kind, f"--config {path}")
    if plain.get("kind") != kind:
        raise InputError(
            f"--config {path}",
            f"is of the benchmark {plain.get('kind')!r}, not of {kind!r}",
            f"Give {kind}.yaml, or run `cryoparts benchmark {plain.get('kind')}`.",
        )
    return _from_dict(plain, str(path))


def _of_ladder(plain: dict[str, Any], kind: Kind, where: str) -> dict[str, Any]:
    """The options of one kind of benchmark in a ladder's file."""
    if not isinstance(plain.get(kind), dict) or not isinstance(plain.get("rungs"), dict):
        raise InputError(
            where, f"holds no rungs, or no options of {kind!r}", "Give a ladder's .yaml file."
        )
    common = {n: value for n, value in plain.items() if n not in SIMULATIONS and n != "rungs"}
    rungs = {
        str(name): _rung(str(name), given or {}, where) for name, given in plain["rungs"].items()
    }
    own: dict[str, Any] = plain[kind]
    return common | own | {"kind": kind, "rungs": rungs}


def _rung(name: str, given: dict[str, Any], where: str) -> Rung:
    known = {f.name for f in fields(Rung)} - {"nuisances"}
    own = {key: value for key, value in given.items() if key in known}
    wrong = {key: value for key, value in given.items() if key not in known}
    _require_known(wrong, Nuisances, f"{where}, rung {name}")
    rung = Rung(**own, nuisances=wrong)
    if rung.model not in ("atoms", "consensus"):
        raise InputError(f"{where}, rung {name}", "model must be atoms or consensus", "Correct it.")
    nuisances_of(rung)
    return rung


def nuisances_of(rung: Rung) -> Nuisances:
    """What is wrong with the particles of a rung; raises InputError if it is impossible."""
    return Nuisances(**_tupled(rung.nuisances))


def overruled(config: BenchmarkConfig, options: BenchmarkOptions) -> BenchmarkConfig:
    """The file's options with those of the command line in their place.

    Raises
    ------
    InputError
        If an option is unknown or impossible.
    """
    plain: dict[str, Any] = {}
    for name in ("seeds", "sweep_seeds", "seed_of", "snr", "orientations", "decoders", "steps"):
        if getattr(options, name) is not None:
            plain[name] = getattr(options, name)
    if options.oracle_particles is not None:
        plain["oracle_particles"] = options.oracle_particles
    if options.rungs is not None:
        unknown = [name for name in options.rungs if name not in config.rungs]
        if unknown:
            raise InputError(
                "--rungs",
                f"there is no rung {unknown[0]!r}",
                f"There are {', '.join(config.rungs)}.",
            )
        plain["rungs"] = {name: config.rungs[name] for name in options.rungs}
    changed = replace(config, **plain)
    for section, name, value in (
        ("imaging", "n_particles", options.particles),
        ("training", "epochs", options.epochs),
        ("gaussians", "n_gaussians", options.n_gaussians),
    ):
        if value is not None:
            changed = _with(changed, section, name, value)
    for text in options.set:
        changed = _with(changed, *_assignment(text))
    return checked(changed, "the benchmark's options")


def checked(config: BenchmarkConfig, where: str) -> BenchmarkConfig:
    """The same, if every option is known and possible; raises InputError otherwise."""
    _require_known(config.imaging, ImagingOptions, f"{where}, imaging")
    _require_known(config.simulation, SIMULATIONS[config.kind], f"{where}, simulation")
    for section, names in RESERVED.items():
        given = config.imaging if section == "imaging" else config.sections.get(section, {})
        for name in set(names) & set(given):
            raise InputError(
                f"{where}, {section}",
                f"{name!r} is chosen by the benchmark itself",
                "Use --seeds, --snr, --decoders or --poses.",
            )
    for name in ("seeds", "snr", "orientations", "decoders"):
        if not getattr(config, name):
            raise InputError(f"{where}, {name}", "is empty", "Give at least one.")
    if any(seed < 0 for seed in (*config.seeds, *config.sweep_seeds)):
        raise InputError(f"{where}, seeds", "must be at least 0", "Give whole numbers.")
    for decoder in config.decoders:
        config.run_config(Path(), Path(), decoder, config.seeds[0])
    for snr in config.snr:
        config.imaging_options(snr, config.seeds[0], None)
    return config


def simulation_options(
    config: BenchmarkConfig, folder: Path
) -> CompositionOptions | MotionOptions | BothOptions | MapsOptions:
    """The options of the simulation; tables named in them lie beside the benchmark's file."""
    values = _tupled(config.simulation)
    for name in ("segments_file", "regions_file"):
        if values.get(name) is not None:
            values[name] = folder / str(values[name])
    made: CompositionOptions | MotionOptions | BothOptions | MapsOptions = SIMULATIONS[config.kind](
        **values
    )
    return made


def _from_dict(plain: dict[str, Any], where: str) -> BenchmarkConfig:
    known = {f.name for f in fields(BenchmarkConfig)} - {"sections"}
    values: dict[str, Any] = {}
    sections: dict[str, dict[str, Any]] = {}
    for name, value in plain.items():
        if name in SECTIONS:
            sections[name] = dict(value or {})
        elif name not in known:
            raise InputError(where, f"unknown option {name!r}", "Remove it.")
        else:
            values[name] = tuple(value) if isinstance(value, list) else value
    return checked(BenchmarkConfig(**values, sections=sections), where)


def _with(config: BenchmarkConfig, section: str, name: str, value: Any) -> BenchmarkConfig:
    if section in ("imaging", "simulation"):
        return replace(config, **{section: getattr(config, section) | {name: value}})
    sections = {key: dict(values) for key, values in config.sections.items()}
    sections.setdefault(section, {})[name] = value
    return replace(config, sections=sections)


def _assignment(text: str) -> tuple[str, str, Any]:
    target, equals, value = text.partition("=")
    section, dot, name = target.strip().partition(".")
    allowed = ("imaging", "simulation", *SECTIONS)
    if not (equals and dot and name) or section not in allowed:
        raise InputError(
            f"--set {text}",
            "must be SECTION.NAME=VALUE",
            f"SECTION is one of {', '.join(allowed)}.",
        )
    return section, name, yaml.safe_load(value)


def _require_known(given: dict[str, Any], kind: type, where: str) -> None:
    unknown = sorted(set(given) - {f.name for f in fields(kind)})
    if unknown:
        raise InputError(where, f"unknown option {unknown[0]!r}", "Remove it.")


def _tupled(values: dict[str, Any]) -> dict[str, Any]:
    return {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
