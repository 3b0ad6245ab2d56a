"""The steps of ``cryoparts run``, a function each, for scripts and notebooks.

A step takes a `Run` and its options, writes its folder, returns what it found as a frozen
dataclass and prints nothing: work is told through `progress(what, done, total)`, sentences
through `tell`, warnings through `logging`. Each name is imported when it is first asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cryoparts.config.steps import AtRestOptions, CoordinationOptions, MotionOptions
    from cryoparts.pipeline.composition import judge_composition
    from cryoparts.pipeline.coordination import find_run_coordination
    from cryoparts.pipeline.editing import edit_run_parts
    from cryoparts.pipeline.evaluating import evaluate
    from cryoparts.pipeline.exports.morph import morph_parts
    from cryoparts.pipeline.exports.movie import make_movie
    from cryoparts.pipeline.exports.particles import (
        class_of_selection,
        classes_of_parts,
        export_particles,
    )
    from cryoparts.pipeline.exports.posed_particles import export_refined_poses
    from cryoparts.pipeline.focus import find_states
    from cryoparts.pipeline.maps.at_rest import reconstruct_at_rest
    from cryoparts.pipeline.maps.reconstruct import (
        reconstruct_selection,
        reconstruct_states,
        reconstruct_trajectories,
    )
    from cryoparts.pipeline.motion import find_motion
    from cryoparts.pipeline.outputs import report_run, write_masks
    from cryoparts.pipeline.particles import (
        decode_particles,
        particle_columns,
        select_particles,
    )
    from cryoparts.pipeline.parts import find_parts
    from cryoparts.pipeline.simulation import simulate
    from cryoparts.pipeline.start import start_run
    from cryoparts.pipeline.steps import run_steps
    from cryoparts.pipeline.training import train_run
    from cryoparts.pipeline.trust import judge_trust, train_again

__all__ = [
    "AtRestOptions",
    "CoordinationOptions",
    "MotionOptions",
    "check_sample",
    "class_of_selection",
    "classes_of_parts",
    "decode_particles",
    "describe_particles",
    "edit_run_parts",
    "evaluate",
    "export_particles",
    "export_refined_poses",
    "find_motion",
    "find_parts",
    "find_run_coordination",
    "find_states",
    "judge_composition",
    "judge_trust",
    "make_movie",
    "morph_parts",
    "particle_columns",
    "reconstruct_at_rest",
    "reconstruct_selection",
    "reconstruct_states",
    "reconstruct_trajectories",
    "report_run",
    "run_steps",
    "select_particles",
    "simulate",
    "start_run",
    "train_again",
    "train_run",
    "write_masks",
    "write_model",
]

_HOME = {
    "AtRestOptions": "maps.at_rest",
    "CoordinationOptions": "coordination",
    "MotionOptions": "motion",
    "check_sample": "checking",
    "class_of_selection": "exports.particles",
    "classes_of_parts": "exports.particles",
    "decode_particles": "particles",
    "describe_particles": "checking",
    "edit_run_parts": "editing",
    "evaluate": "evaluating",
    "export_particles": "exports.particles",
    "export_refined_poses": "exports.posed_particles",
    "find_motion": "motion",
    "find_parts": "parts",
    "find_run_coordination": "coordination",
    "find_states": "focus",
    "judge_composition": "composition",
    "judge_trust": "trust",
    "make_movie": "exports.movie",
    "morph_parts": "exports.morph",
    "particle_columns": "particles",
    "reconstruct_at_rest": "maps.at_rest",
    "reconstruct_selection": "maps.reconstruct",
    "reconstruct_states": "maps.reconstruct",
    "reconstruct_trajectories": "maps.reconstruct",
    "report_run": "outputs",
    "run_steps": "steps",
    "select_particles": "particles",
    "simulate": "simulation",
    "start_run": "start",
    "train_again": "trust",
    "train_run": "training",
    "write_masks": "outputs",
    "write_model": "checking",
}
"""Module of each name."""


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'cryoparts.pipeline' has no attribute {name!r}")
    return getattr(import_module(f"cryoparts.pipeline.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return __all__
