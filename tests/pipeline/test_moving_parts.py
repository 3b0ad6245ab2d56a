"""Which parts move and where their borders are is asked of the images, not of the decoder."""

from __future__ import annotations

from copy import copy
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from cryoparts.inference.decoded import Decoded
from cryoparts.pipeline.motion import PartsByImages, ask_images, moving_parts
from resting_run import PARTICLES, make_resting_run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Simulated; its decoder knows of no motion."""
    made = make_resting_run(tmp_path_factory.mktemp("moving") / "made", snr=0.3)
    count = len(made.model)
    made.__dict__["decoder"] = SimpleNamespace(
        decode=lambda rows: Decoded(rows.astype(str), None, np.zeros((len(rows), count, 3), "f4")),
        offsets=lambda rows: torch.zeros(len(rows), count, 3),
        mean_displacement=lambda: torch.zeros(count, 3),
        particle_weights=np.ones(PARTICLES),
    )
    return made


def test_images_tell_the_part_that_moves_from_one_that_does_not(run):
    labels = run.parts
    still = np.flatnonzero(labels.labels == 0)
    end = still[np.argsort(run.model.positions[still, 0])[:20]]
    third = labels.labels.copy()
    third[end] = labels.n_parts + 1
    names = (*labels.names, f"part_{labels.n_parts + 1}")
    three = replace(labels, labels=third, names=names)
    asked = ask_images(run, three)
    assert asked.moving == moving_parts(run, three) == {1}
    # what is right stays as it is, but for Gaussians that hardly show
    assert np.mean(asked.labels.labels == third) > 0.97


def test_of_many_particles_a_sample_is_decoded(run, monkeypatch):
    seen: list[int] = []

    def decode(rows):
        seen.extend(rows)
        return run.decoder.decode(rows)

    some = copy(run)
    some.__dict__["decoder"] = SimpleNamespace(**run.decoder.__dict__ | {"decode": decode})
    monkeypatch.setattr("cryoparts.pipeline.motion.ASKED_OF", PARTICLES // 2)
    asked = ask_images(some, run.parts)
    assert len(set(seen)) == PARTICLES // 2
    assert asked.moving == {1}
    assert np.mean(asked.labels.labels == run.parts.labels) > 0.97


def test_gaussians_that_stand_still_are_put_back_by_the_images(run):
    labels = run.parts
    true = labels.labels
    still = np.flatnonzero(true == 0)
    near = still[np.argsort(-run.model.positions[still, 0])[:16]]
    dragged = true.copy()
    dragged[near] = 1
    found = ask_images(run, replace(labels, labels=dragged)).labels.labels
    assert np.mean(found[near] == 0) > 0.7
    assert np.mean(found[true == 1] == 1) > 0.95
    assert (found[(true == 0) & (dragged == 0)] == 0).mean() > 0.95


def test_gaussians_that_move_are_taken_along_by_the_images(run):
    labels = run.parts
    true = labels.labels
    moving = np.flatnonzero(true == 1)
    near = moving[np.argsort(run.model.positions[moving, 0])[:12]]
    left = true.copy()
    left[near] = 0
    found = ask_images(run, replace(labels, labels=left)).labels.labels
    assert np.mean(found[near] == 1) > 0.7
    assert np.mean(found[true == 0] == 0) > 0.95


def test_parts_are_numbered_by_the_sizes_that_their_borders_give_them(run):
    numbers = np.repeat([-1, 0, 1, 2, 3], [2, 3, 4, 8, 6])
    labels = replace(
        run.parts,
        labels=numbers,
        names=("core", "part_1", "part_2", "part_3"),
        **{
            of: getattr(run.parts, of)[: len(numbers)]
            for of in ("embedding", "positions", "amplitude_change", "displacement_rms_angstrom")
        },
    )
    asked = PartsByImages(labels, frozenset({2, 1}))
    found = asked.with_borders(numbers)
    assert found.moving == {1, 3}
    np.testing.assert_array_equal(found.labels.labels, np.repeat([-1, 0, 3, 1, 2], [2, 3, 4, 8, 6]))
    # the third is given up
    less = asked.with_borders(np.where(numbers == 3, -1, numbers))
    assert (less.moving, less.labels.names) == ({1, 2}, ("core", "part_1", "part_2"))
    np.testing.assert_array_equal(less.labels.labels, np.repeat([-1, 0, 2, 1, -1], [2, 3, 4, 8, 6]))
