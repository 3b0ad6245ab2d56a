"""A run folder of every earlier version opens, and every step goes on with it, silently."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from archived_run import VERSIONS, unpacked
from cryoparts.config import FocusConfig, PartsConfig, ReconstructionConfig
from cryoparts.errors import InputError
from cryoparts.pipeline.composition import judge_composition
from cryoparts.pipeline.coordination import find_run_coordination
from cryoparts.pipeline.editing import edit_run_parts
from cryoparts.pipeline.focus import find_states
from cryoparts.pipeline.maps.reconstruct import reconstruct_states
from cryoparts.pipeline.motion import MotionOptions, find_motion
from cryoparts.pipeline.outputs import report_run
from cryoparts.pipeline.parts import find_parts
from cryoparts.pipeline.trust import judge_trust
from cryoparts.run.result_options import keep_options
from cryoparts.run.run import Run

PARTICLES, GAUSSIANS = 120, 48
PARTS = PartsConfig(embedding="pca", min_part_size=4, keep_flagged=True)


@pytest.fixture(params=VERSIONS)
def archived(request, tmp_path) -> Run:
    return Run.open(unpacked(request.param, tmp_path))


def test_what_an_earlier_version_wrote_is_read(archived):
    assert len(archived.particles) == PARTICLES
    assert len(archived.model) == len(archived.parts) == GAUSSIANS
    assert archived.parts.n_parts == 1
    assert archived.latent.shape == (PARTICLES, 2)
    assert archived.states(1).n_states == 3
    assert archived.composition.part_names == ("part_1",)
    assert set(archived.motions["parts"]) == {"part_1"}
    assert len(np.intersect1d(archived.split.training, archived.split.held_out)) == 0
    decoded = archived.decoder.decode()
    assert decoded.relative_amplitudes.shape == (PARTICLES, GAUSSIANS)
    assert decoded.displacements.shape == (PARTICLES, GAUSSIANS, 3)
    assert np.isfinite(decoded.displacements).all()


STEPS: dict[str, Callable[[Run], object]] = {
    "parts": lambda run: find_parts(run, PARTS),
    "motion": lambda run: find_motion(run, MotionOptions(refine=True)),
    "focus": lambda run: find_states(run, [[1]], FocusConfig(states=2)),
    "composition": judge_composition,
    "trust": judge_trust,
    "coordination": find_run_coordination,
    "reconstruct": lambda run: reconstruct_states(run, [1], ReconstructionConfig()),
    "edit-parts": lambda run: edit_run_parts(run, "rename", ("part_1", "arm")),
    "report": report_run,
}


def test_a_step_keeps_its_options(archived):
    find_parts(archived, PARTS)
    assert Run.open(archived.root).parts_options == PARTS


@pytest.mark.parametrize("step", STEPS)
def test_every_step_goes_on_with_it_and_prints_nothing(archived, capfd, step):
    if step == "focus":  # there is no particle file to take the rows of a state from
        config = archived.directory.config_path
        config.write_text(config.read_text().replace("particles.star", "particles.cs"))
    assert STEPS[step](archived) is not None
    printed = capfd.readouterr()
    assert printed.out == ""
    assert printed.err == ""


def test_trust_finds_parts_again_with_the_options_that_the_parts_have(archived, monkeypatch):
    assert archived.parts_options == archived.config.parts  # an earlier version kept none
    other = PartsConfig(embedding="pca", min_part_size=7, sample=77)
    keep_options(archived.directory.parts_path, other)
    assert Run.open(archived.root).parts_options == other
    used: list[int] = []

    def stability(labels, positions, decoded, *, min_part_size, **_: object):
        used.extend((min_part_size, len(decoded)))
        return np.ones(int(labels.max()))

    monkeypatch.setattr("cryoparts.pipeline.trust.stability_over_subsamples", stability)
    judge_trust(Run.open(archived.root))
    assert used == [7, 77]


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e38])
def test_latent_vectors_that_are_no_numbers_are_an_error(archived, value):
    latent = np.load(archived.directory.latent_path)
    latent[:] = value
    np.save(archived.directory.latent_path, latent)
    (archived.directory.calibration_path).unlink(missing_ok=True)
    with pytest.raises(InputError, match=r"latent\.npy or checkpoints/best"):
        archived.decoder.decode()


def test_options_of_other_networks_than_the_weights_are_an_error(archived):
    config = archived.directory.config_path
    text = config.read_text()
    config.write_text(text.replace("latent_dimensions: 2", "latent_dimensions: 8"))
    archived.directory.latent_path.unlink()
    np.save(archived.directory.latent_path, np.zeros((PARTICLES, 8), np.float32))
    with pytest.raises(InputError, match="another encoder than the options"):
        Run.open(archived.root).decoder.decode()


def test_more_parts_than_gaussians_are_an_error_at_once(archived):
    labels = np.load(archived.directory.parts_path / "labels.npy")
    labels[0] = 2**40
    np.save(archived.directory.parts_path / "labels.npy", labels)
    with pytest.raises(InputError, match="more parts than there are Gaussians"):
        _ = archived.parts
