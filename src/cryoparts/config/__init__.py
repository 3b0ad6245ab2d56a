"""Every option of a run, with its default, its meaning and its limits."""

from cryoparts.config.inputs import ModelConfig, PreprocessingConfig
from cryoparts.config.results import FocusConfig, Order, PartsConfig, ReconstructionConfig
from cryoparts.config.run import SECTIONS, RunConfig, run_config_from_dict
from cryoparts.config.training import Channel, DecoderName, LossName, TrainingConfig

__all__ = [
    "SECTIONS",
    "Channel",
    "DecoderName",
    "FocusConfig",
    "LossName",
    "ModelConfig",
    "Order",
    "PartsConfig",
    "PreprocessingConfig",
    "ReconstructionConfig",
    "RunConfig",
    "TrainingConfig",
    "run_config_from_dict",
]
