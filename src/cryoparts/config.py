"""Every option of a run, with its default, its meaning and its limits."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields, is_dataclass
from typing import Any, Literal

from cryoparts.errors import InputError

Channel = Literal["position", "amplitude", "width"]
DecoderName = Literal["point-transformer", "mlp"]
LossName = Literal["whitened", "frc"]
Order = Literal["clusters", "mixture", "curve"]


def _require(condition: bool, option: str, rule: str, value: object, cure: str) -> None:  # noqa: FBT001
    if not condition:
        raise InputError(option, f"must be {rule}, got {value!r}", cure)


@dataclass(frozen=True)
class PreprocessingConfig:
    """How raw particle images become the working images."""

    box_size: int | None = None
    """Side of the working images after Fourier cropping, pixels (even). Default:
    the smallest even box whose Nyquist frequency lies a quarter beyond
    --max-resolution where that is given, else 64; at most the box of the images."""

    mask_radius_angstrom: float | None = None
    """Radius of the soft circular mask, Å. Default: 0.45 of the box."""

    mask_edge_pixels: float = 4.0
    """Width of the mask's cosine edge, working pixels."""

    contrast: Literal["auto", "bright", "dark"] = "auto"
    """Whether protein is bright or dark in the raw images."""

    normalise: bool = True
    """Bring each image's background (outside the mask) to mean 0, deviation 1."""

    def __post_init__(self) -> None:
        """Check the limits; raises InputError."""
        box, radius = self.box_size, self.mask_radius_angstrom
        _require(
            box is None or (box >= 16 and box % 2 == 0),
            "--box-size",
            "an even number of at least 16 pixels",
            box,
            "Choose an even box, 64 or 128 for example.",
        )
        _require(
            radius is None or radius > 0,
            "--mask-radius",
            "positive",
            radius,
            "Give the molecule's radius in Å, with a margin.",
        )
        _require(
            self.mask_edge_pixels >= 0,
            "--mask-edge-pixels",
            "at least 0",
            self.mask_edge_pixels,
            "4 is usual.",
        )


@dataclass(frozen=True)
class ModelConfig:
    """How the neutral Gaussian model is made from a map or an atomic model."""

    n_gaussians: int | None = None
    """Number of Gaussians. Default: from the target resolution."""

    model_resolution_angstrom: float | None = None
    """Resolution that the Gaussians' widths aim at, Å. Default: --max-resolution."""

    model_origin: Literal["auto", "corner", "centre"] = "auto"
    """Where the atomic model's (0, 0, 0) lies in the box; auto takes what fits."""

    model_pixel_size_angstrom: float | None = None
    """Voxel size of a model map, Å, in place of what its header says."""

    map_threshold: float | None = None
    """Density below which a map counts as solvent. Default: found from the map."""

    def __post_init__(self) -> None:
        """Check the limits; raises InputError."""
        _require(
            self.n_gaussians is None or self.n_gaussians >= 1,
            "--n-gaussians",
            "at least 1",
            self.n_gaussians,
            "500 to 5,000 is usual.",
        )
        resolution = self.model_resolution_angstrom
        _require(
            resolution is None or resolution > 0,
            "--model-resolution",
            "positive",
            resolution,
            "Give a resolution in Å.",
        )
        voxel = self.model_pixel_size_angstrom
        _require(
            voxel is None or voxel > 0,
            "--model-pixel-size",
            "positive",
            voxel,
            "Give Å per voxel.",
        )


@dataclass(frozen=True)
class TrainingConfig:
    """What is trained, on what, and for how long."""

    decoder: DecoderName = "point-transformer"
    """The network that turns a particle's latent vector into changes of the Gaussians."""

    preset: Literal["fast", "paper"] = "fast"
    """Point Transformer configuration: the cheap default, or the published one."""

    vary: tuple[Channel, ...] = ("position", "amplitude")
    """What may change in each Gaussian."""

    latent_dimensions: int = 8
    """Length of the latent vector of a particle."""

    epochs: int = 10
    """Passes over the training particles."""

    batch_size: int = 64
    """Particles a training step."""

    learning_rate: float | None = None
    """Peak learning rate of Adam. Default: 2e-3 (point-transformer), 5e-4 (mlp),
    1e-4 (preset paper)."""

    loss: LossName = "whitened"
    """Objective: correlation whitened by the measured noise, or mean FRC."""

    min_resolution_angstrom: float | None = None
    """Coarsest resolution compared, Å. Default: half of the box."""

    max_resolution_angstrom: float | None = None
    """Finest resolution compared, Å. Default: 3 working pixels."""

    half: Literal[1, 2] | None = None
    """Train on one half set only."""

    held_out_fraction: float = 0.1
    """Part of the particles never trained on, whose FRC is logged every epoch."""

    refinement: int | None = None
    """How often each particle's latent vector is linearised and improved by its own
    likelihood after the training. Default: 1; 0 with preset paper."""

    seed: int = 0
    """Seed of everything random."""

    threads: int | None = None
    """CPU threads. Default: all cores."""

    device: str = "auto"
    """cpu, cuda, or auto: cuda where there is one."""

    @property
    def published(self) -> bool:
        """Whether encoder and decoder are the published ones, unchanged."""
        return self.preset == "paper" and self.decoder == "point-transformer"

    @property
    def refinement_steps(self) -> int:
        """`refinement`, the default filled in."""
        if self.refinement is not None:
            return self.refinement
        return 0 if self.published else 1

    def __post_init__(self) -> None:
        """Check the limits; raises InputError."""
        _require(
            len(self.vary) > 0 and len(set(self.vary)) == len(self.vary),
            "--vary",
            "one or more of position, amplitude, width, each once",
            self.vary,
            "Write --vary amplitude, or --vary position --vary amplitude.",
        )
        for option, value in (
            ("--latent-dimensions", self.latent_dimensions),
            ("--epochs", self.epochs),
            ("--batch-size", self.batch_size),
        ):
            _require(value >= 1, option, "at least 1", value, "Give a positive whole number.")
        _require(
            self.learning_rate is None or self.learning_rate > 0,
            "--learning-rate",
            "positive",
            self.learning_rate,
            "2e-3 is usual.",
        )
        _require(
            0 <= self.held_out_fraction < 1,
            "--held-out-fraction",
            "at least 0 and below 1",
            self.held_out_fraction,
            "0.1 is usual.",
        )
        _require(
            self.refinement is None or self.refinement >= 0,
            "--refinement",
            "at least 0",
            self.refinement,
            "1 is usual; 0 keeps what the encoder says.",
        )
        _require(
            self.threads is None or self.threads >= 1,
            "--threads",
            "at least 1",
            self.threads,
            "Leave it out to use every core.",
        )
        coarse, fine = self.min_resolution_angstrom, self.max_resolution_angstrom
        for option, limit in (("--min-resolution", coarse), ("--max-resolution", fine)):
            _require(
                limit is None or limit > 0, option, "positive", limit, "Give a resolution in Å."
            )
        _require(
            coarse is None or fine is None or coarse > fine,
            "--min-resolution",
            f"coarser (a larger number of Å) than --max-resolution {fine}",
            coarse,
            "The band runs from --min-resolution (for example 100) to --max-resolution (15).",
        )


@dataclass(frozen=True)
class PartsConfig:
    """How Gaussians that change together are grouped into parts."""

    sample: int = 2000
    """Particles (drawn at random) whose decoder output describes the Gaussians."""

    embedding: Literal["umap", "pca"] = "umap"
    """How Gaussians are laid out in the plane before clustering."""

    min_part_size: int | None = None
    """Fewest Gaussians in a part. Default: 1% of the Gaussians, at least 5."""

    keep_flagged: bool = False
    """Keep parts that null particles, in which nothing changes, show as well. By
    default they are put back into the core."""

    def __post_init__(self) -> None:
        """Check the limits; raises InputError."""
        _require(self.sample >= 2, "--sample", "at least 2", self.sample, "2000 is usual.")
        size = self.min_part_size
        _require(size is None or size >= 1, "--min-part-size", "at least 1", size, "Try 10.")


@dataclass(frozen=True)
class FocusConfig:
    """How particles are grouped by one part."""

    states: int | None = None
    """Number of states. Default: found from the data, 1 to 5."""

    order: Order = "clusters"
    """Group the particles by k-means or by a mixture of Gaussians (its number chosen by
    BIC), or cut them into states along a principal curve."""

    trajectory_points: int = 10
    """Points along a curve at which the molecule is written as a trajectory."""

    def __post_init__(self) -> None:
        """Check the limits; raises InputError."""
        states = self.states
        _require(
            states is None or 1 <= states <= 50, "--states", "1 to 50", states, "2 to 5 is usual."
        )
        points = self.trajectory_points
        _require(2 <= points <= 200, "--trajectory-points", "2 to 200", points, "10 is usual.")


@dataclass(frozen=True)
class ReconstructionConfig:
    """How maps are made of groups of particles, and compared."""

    solvent_mask: str = "density"
    """Mask for FSC and differences: density (made from the maps), model (around the
    Gaussians), or a map file (.mrc) with values from 0 to 1 and the maps' box."""

    weighting: Literal["wiener", "cref"] = "wiener"
    """Weights of the maps by their FSC: Wiener filter, or C_ref = sqrt(2 FSC / (1 + FSC))."""

    b_factor: Literal["auto"] | float | None = None
    """Write sharpened maps too: auto (from the Guinier plot) or a number, Å² (negative
    sharpens). Default: none."""

    noise: Literal["local", "global"] = "local"
    """Noise that differences are judged by: of each voxel's surroundings, or of the whole map."""

    false_discovery_rate: float = 0.01
    """Share of the voxels called different that may be noise."""

    test_within: Literal["molecule", "part"] = "molecule"
    """Where differences are looked for: in all of the molecule, or in the part alone."""

    padding: Literal[1, 2] = 2
    """Images are padded to this many times their side before back-projection; 1 takes an
    eighth of the memory and is less exact at the map's edge."""

    def __post_init__(self) -> None:
        """Check the limits; raises InputError."""
        rate = self.false_discovery_rate
        _require(0 < rate < 1, "--false-discovery-rate", "between 0 and 1", rate, "Try 0.01.")
        mask = self.solvent_mask
        _require(
            mask in ("density", "model") or mask.lower().endswith((".mrc", ".map", ".ccp4")),
            "--solvent-mask",
            "density, model or a map file (.mrc)",
            mask,
            "Leave it out for a mask from the density.",
        )


@dataclass(frozen=True)
class RunConfig:
    """Everything that determines a run; saved as config.yaml in its folder."""

    particles: str
    model: str
    datadir: str | None = None
    passthrough: tuple[str, ...] = ()
    poses: str | None = None
    ctf: str | None = None
    pixel_size_angstrom: float | None = None
    without_ctf: bool = False
    selection: str | None = None
    preprocessing: PreprocessingConfig = field(default_factory=PreprocessingConfig)
    gaussians: ModelConfig = field(default_factory=ModelConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    parts: PartsConfig = field(default_factory=PartsConfig)
    focus: FocusConfig = field(default_factory=FocusConfig)
    reconstruction: ReconstructionConfig = field(default_factory=ReconstructionConfig)

    def as_dict(self) -> dict[str, Any]:
        """Plain nested dictionary (tuples as lists), ready for YAML or JSON."""
        plain = asdict(self)
        plain["training"]["vary"] = list(self.training.vary)
        plain["passthrough"] = list(self.passthrough)
        return plain


SECTIONS: dict[str, type] = {
    "preprocessing": PreprocessingConfig,
    "gaussians": ModelConfig,
    "training": TrainingConfig,
    "parts": PartsConfig,
    "focus": FocusConfig,
    "reconstruction": ReconstructionConfig,
}


def run_config_from_dict(plain: dict[str, Any], where: str) -> RunConfig:
    """Inverse of `RunConfig.as_dict`.

    Raises
    ------
    InputError
        If an option is unknown or out of its limits; `where` names the file.
    """
    values: dict[str, Any] = {}
    known = {f.name for f in fields(RunConfig)}
    for name, value in plain.items():
        if name not in known:
            raise InputError(where, f"unknown option {name!r}", "Remove it.")
        section = SECTIONS.get(name)
        if section is not None:
            values[name] = _section(section, value, f"{where}, {name}")
        else:
            values[name] = tuple(value) if isinstance(value, list) else value
    missing = {"particles", "model"} - set(values)
    if missing:
        raise InputError(where, f"lacks {' and '.join(sorted(missing))}", "Start a new run.")
    return RunConfig(**values)


def _section(section: type, plain: dict[str, Any], where: str) -> Any:
    known = {f.name for f in fields(section)} if is_dataclass(section) else set()
    unknown = set(plain) - known
    if unknown:
        raise InputError(where, f"unknown option {sorted(unknown)[0]!r}", "Remove it.")
    return section(**{k: tuple(v) if isinstance(v, list) else v for k, v in plain.items()})
