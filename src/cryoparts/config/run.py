"""Everything that determines a run, and its way into a file and back."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields, is_dataclass
from typing import Any

from cryoparts.config.inputs import ModelConfig, PreprocessingConfig
from cryoparts.config.results import FocusConfig, PartsConfig, ReconstructionConfig
from cryoparts.config.training import TrainingConfig
from cryoparts.errors import InputError


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
    transpose_poses: bool = False
    mirror_hand: bool = False
    invert_shifts: bool = False
    invert_aberrations: bool = False
    model_axes: str = "x,y,z"
    model_shift_angstrom: tuple[float, float, float] = (0.0, 0.0, 0.0)
    skip_blank: bool = False
    as_given: bool = False
    symmetry: str | None = None
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
        plain["model_shift_angstrom"] = list(self.model_shift_angstrom)
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
    values = {k: tuple(v) if isinstance(v, list) else v for k, v in plain.items()}
    try:
        return section(**values)
    except TypeError as fault:
        raise InputError(
            where, f"an option is of the wrong kind: {fault}", "Write numbers as numbers."
        ) from fault
