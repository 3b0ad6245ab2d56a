"""Where composition and trajectories put the Gaussians: where the decoder says they are."""

from __future__ import annotations

from dataclasses import replace

import gemmi
import numpy as np
import pytest

from cryoparts.config import FocusConfig
from cryoparts.gaussians.model import GaussianModel
from cryoparts.image_model.deformation import displacement
from cryoparts.inference.decode import TrainedDecoder
from cryoparts.inference.latents import write_latents
from cryoparts.parts.part_labels import PartLabels
from cryoparts.pipeline import composition as composition_step
from cryoparts.pipeline import focus as focus_step
from cryoparts.run.run import Run
from cryoparts.training.setup import prepare_training
from cryoparts.training.trainer import Trainer
from training_example import PARTICLES, QUICK, Silent, make_example

CONFIG = replace(QUICK, vary=("position", "amplitude"), decoder="mlp", learning_rate=3e-3)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The optional half lies 4 Å away from its neutral positions in every particle."""

    def away(positions, optional):
        return np.where(optional[:, None], [4.0, 0.0, 0.0], 0.0) * np.ones((PARTICLES, 1, 1))

    folder = tmp_path_factory.mktemp("moved") / "run"
    example = make_example(folder, CONFIG, noise=0.1, displaced=away)
    setup = prepare_training(example.run, CONFIG)
    Trainer(example.run, setup, CONFIG).train(Silent())
    write_latents(example.run, setup)
    model = GaussianModel.load(example.run.gaussians_path)
    label = example.optional.astype(np.int64)
    nothing = np.zeros(len(label))
    PartLabels(
        label, np.zeros((len(label), 2)), model.positions.astype(float), nothing, nothing, "pca"
    ).save(example.run.parts_path)
    return example.run


def decoded_positions(run, rows) -> np.ndarray:
    """By the decoder's own output, as the training compares it with the images."""
    neutral = GaussianModel.load(run.gaussians_path).positions
    moved = displacement(TrainedDecoder(run).offsets(rows), CONFIG.vary)
    assert moved is not None
    return neutral + moved.numpy()


def test_templates_of_composition_lie_where_training_put_the_gaussians(run, monkeypatch):
    class Seen(Exception):
        pass

    def measure(particles, model, labels, config, displacements_of, progress, counted):
        rows = np.array([3, 50, 11])
        placed = model.positions + displacements_of(rows)
        expected = decoded_positions(run, rows)
        # what is tested is far above the rounding
        assert np.abs(expected.mean(axis=0) - model.positions).max() > 0.1
        np.testing.assert_allclose(placed, expected, atol=1e-4)
        raise Seen

    monkeypatch.setattr(composition_step, "measure_amplitudes", measure)
    with pytest.raises(Seen):
        composition_step.judge_composition(Run(run))


def test_a_trajectory_shows_the_decoded_positions(run, monkeypatch):
    no_file = lambda *_: None  # noqa: E731 - there is no .star
    monkeypatch.setattr(focus_step._ParticleFile, "write_states", no_file)
    focus_step.find_states(Run(run), [[1]], FocusConfig(order="curve", trajectory_points=2))
    shown = gemmi.read_structure(str(run.focus_path(1) / "trajectory" / "trajectory.cif"))
    atoms = {
        residue.seqid.num - 1: residue[0].pos.tolist() for chain in shown[0] for residue in chain
    }
    found = np.array([atoms[index] for index in sorted(atoms)])
    # a mean over particles lies among them
    decoded = decoded_positions(run, np.arange(PARTICLES))
    low, high = decoded.min(axis=0) - 2e-3, decoded.max(axis=0) + 2e-3  # the file has 3 decimals
    assert ((low <= found) & (found <= high)).all()
    neutral = GaussianModel.load(run.gaussians_path).positions
    assert ((neutral < low) | (neutral > high)).any()
