"""The encoder's input: every particle's gradients are computed once."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch

from cryoparts.gaussians.model import GaussianModel
from cryoparts.image_model.deformation import Gaussians
from cryoparts.image_model.forward_model import ForwardModel
from cryoparts.image_model.gradients import agreement_gradients
from cryoparts.image_model.losses import Objective, resolution_band
from cryoparts.training import encoder_input as module
from cryoparts.training.encoder_input import compute_encoder_input

TRAINING = np.arange(0, 96, 2)


@pytest.fixture
def imaged(example, particles):
    """Forward model, objective and neutral Gaussians of a small run."""
    cpu = torch.device("cpu")
    neutral = Gaussians.neutral(GaussianModel.load(example.run.gaussians_path), cpu)
    forward = ForwardModel(particles, cpu)
    band = resolution_band(particles.box_size, particles.pixel_size_angstrom, None, None)
    noise = forward.measure_noise(neutral, np.arange(96))
    return forward, Objective.make("whitened", band, noise), neutral


@pytest.mark.parametrize("bare", [False, True])
def test_gradients_of_each_particle_are_computed_once(imaged, tmp_path, monkeypatch, bare):
    computed = Counter()

    def counted(forward, objective, neutral, rows):
        computed.update(rows.tolist())
        return agreement_gradients(forward, objective, neutral, rows)

    monkeypatch.setattr(module, "agreement_gradients", counted)
    monkeypatch.setattr(module, "BATCH", 7)
    done = []
    made = compute_encoder_input(
        *imaged, tmp_path, vary=("position", "amplitude"), training=TRAINING, seed=3, bare=bare,
        progress=lambda count, total: done.append((count, total)),
    )  # fmt: skip
    assert computed == Counter(range(96))
    assert done[-1] == (96, 96)
    assert done == sorted(done)
    # whether it was in the sample or not, a particle's input is that of its gradients
    rows = np.arange(96)
    bare_gradients = agreement_gradients(*imaged, rows)
    expected = made.map.of_gradients(bare_gradients)
    scale = float(expected.std())
    torch.testing.assert_close(
        made.rows(rows, torch.device("cpu")), expected, rtol=2e-3 if bare else 1e-4,
        atol=(2e-3 if bare else 1e-4) * scale,
    )  # fmt: skip
    assert made.width == (40 * 4 if bare else len(TRAINING))
