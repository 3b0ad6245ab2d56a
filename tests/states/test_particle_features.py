"""Particles described by many parts from two passes over what the decoder says."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from cryoparts.parts.changes import SMALLEST_DISPLACEMENT_UNIT
from cryoparts.states.particle_features import Look, describe, describe_particles, gaussians_of

PARTICLES, GAUSSIANS = 500, 70
LABELS = np.repeat([0, 1, 2, 3], [10, 30, 20, 10])


@pytest.fixture(scope="module")
def outputs():
    """Amplitudes and displacements that share a few causes, far from zero mean."""
    rng = np.random.default_rng(0)
    causes = rng.normal(size=(PARTICLES, 4)) * [3, 2, 1, 0.5]
    amplitudes = 5 + 0.1 * causes @ rng.normal(size=(4, GAUSSIANS))
    moved = 9 + np.einsum("pc,cni->pni", causes, rng.normal(size=(4, GAUSSIANS, 3)))
    noise = rng.normal(size=(PARTICLES, GAUSSIANS, 4)) * 0.02
    return (amplitudes + noise[..., 0]).astype(np.float32), (moved + noise[..., 1:]).astype("f4")


class Stream:
    """Batches of the chosen Gaussians' outputs; counts how often it is gone through."""

    def __init__(self, amplitudes, moved, gaussians, batch=64):
        self.arrays, self.gaussians, self.batch, self.begun = (
            (amplitudes, moved),
            gaussians,
            batch,
            0,
        )

    def __call__(self):
        self.begun += 1
        for start in range(0, PARTICLES, self.batch):
            rows = slice(start, start + self.batch)
            yield tuple(a if a is None else a[rows][:, self.gaussians] for a in self.arrays)


def written_out(members, amplitudes, moved):
    """Scores from the whole table of features, and the parts' mean amplitudes."""
    part = members[members > 0]
    inside = part[:, None] == np.unique(part)
    averaging = inside / inside.sum(axis=0)
    weight = np.sqrt(averaging.sum(axis=1) / inside.shape[1])
    blocks, amplitude = [], np.ones((PARTICLES, inside.shape[1]))
    if amplitudes is not None:
        blocks.append(amplitudes[:, members > 0].astype(float) * weight)
        amplitude = amplitudes[:, members > 0] @ averaging
    if moved is not None:
        own = moved[:, members > 0].astype(float)
        unit = np.sqrt(((own**2).sum(axis=2) @ averaging).mean())
        own = own * (weight / max(unit, SMALLEST_DISPLACEMENT_UNIT))[:, None]
        blocks.append(own.reshape(PARTICLES, -1))
    features = np.concatenate(blocks, axis=1)
    features -= features.mean(axis=0)
    variance, axes = np.linalg.eigh(features.T @ features)
    kept = variance[::-1] > 0.01 * variance.sum()
    axes = axes[:, ::-1][:, kept]
    return features @ (axes * np.sign(axes.sum(axis=0))), amplitude


@pytest.mark.parametrize("kinds", [(True, True), (True, False), (False, True)])
def test_every_look_sees_what_it_sees_alone_in_two_passes(outputs, kinds):
    amplitudes, moved = (a if kind else None for a, kind in zip(outputs, kinds, strict=True))
    members = [np.where(np.isin(LABELS, p), LABELS, 0) for p in ([1], [2], [3], [1, 3])]
    looks = [Look.at(each) for each in members]
    stream = Stream(amplitudes, moved, gaussians_of(looks))
    seen = describe(looks, stream)
    assert stream.begun == 2
    assert [look.parts for look in looks] == [(1,), (2,), (3,), (1, 3)]
    for each, features in zip(members, seen, strict=True):
        scores, amplitude = written_out(each, amplitudes, moved)
        np.testing.assert_allclose(features.components, scores, atol=3e-6 * np.abs(scores).max())
        np.testing.assert_allclose(features.amplitude_of_part, amplitude)
        alone = describe_particles(each, amplitudes, moved)
        np.testing.assert_allclose(features.components, alone.components, atol=1e-5)


def test_memory_does_not_grow_with_particles_times_gaussians():
    count, gaussians, batch = 40_000, 100, 500
    looks = [Look.at(np.ones(gaussians, dtype=bool))]

    def stream():
        for start in range(0, count, batch):
            rng = np.random.default_rng(start)
            yield 1 + rng.normal(size=(batch, 1)) * np.ones(gaussians), None

    tracemalloc.start()
    (seen,) = describe(looks, stream)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert seen.components.shape == (count, 1)
    assert peak < 0.25 * count * gaussians * 4


def test_a_large_part_is_thinned_and_small_ones_beside_it_stay():
    look = Look.at(np.repeat([0, 1, 2], [5, 2000, 3]))
    assert len(look.gaussians) == pytest.approx(300, rel=0.2)
    assert look.parts == (1, 2)
    with pytest.raises(ValueError, match="needs Gaussians"):
        Look.at(np.zeros(4, dtype=bool))
    with pytest.raises(ValueError, match="are needed"):
        describe_particles(np.ones(4, dtype=bool))
