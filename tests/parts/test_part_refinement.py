"""Which clusters are one part, and which clustering is taken, on changes with a known answer."""

from __future__ import annotations

import numpy as np
import pytest

from cryoparts.parts import segmentation
from cryoparts.parts.embedding import Embedding
from cryoparts.parts.part_models import Observations
from cryoparts.parts.part_refinement import refine


def profiles(rng, sizes, means, noise):
    """Amplitude changes (N, 6) of groups around their means, and the group of each Gaussian."""
    group = np.repeat(np.arange(len(sizes)), sizes)
    changes = np.asarray(means)[group] + noise * rng.normal(size=(len(group), 6))
    design = np.concatenate([np.ones((len(group), 1)), rng.normal(size=(len(group), 3))], axis=1)
    return Observations(changes, np.zeros((len(group), 0)), design), group


def along(first, second):
    return [first, second, 0, 0, 0, 0]


@pytest.mark.parametrize(("noise", "parts"), [(0.12, 1), (0.03, 2)])
def test_pieces_are_parts_where_they_differ_by_more_than_what_is_unexplained(noise, parts):
    """Two halves of a core that follow, say, errors of the poses in ways of their own."""
    rng = np.random.default_rng(4)
    means = [along(0, 0), along(0, 0.35), along(1, 0)]
    observed, group = profiles(rng, [300, 300, 150], means, noise)
    labels, _ = refine(observed, group, 8)
    assert labels.max() == parts
    strong = labels[group == 2]
    assert np.mean(strong == strong[0]) > 0.95
    assert strong[0] > 0
    if parts == 1:
        assert (labels[group < 2] == 0).mean() > 0.95


def test_a_clustering_of_few_gaussians_does_not_hide_a_part(monkeypatch):
    rng = np.random.default_rng(7)
    means = [along(0, 0), along(0, 0.3), along(0.9, 0)]
    observed, group = profiles(rng, [500, 150, 250], means, 0.04)
    few = np.full(len(group), -1)
    few[:40], few[-40:] = 0, 1  # of the core and the strong part alone
    # the weak part's Gaussians join the core's, and both are far from the strong one's
    hidden, hidden_clarity = refine(observed, few, 8)
    told, told_clarity = refine(observed, group, 8)
    assert (hidden.max(), told.max()) == (1, 2)
    assert hidden_clarity > told_clarity + 0.01

    def candidates(points, **_):
        yield few
        yield group

    monkeypatch.setattr(segmentation, "candidate_clusterings", candidates)
    layout = Embedding(np.zeros((len(group), 2)), np.zeros((len(group), 6)), "umap")
    labels = segmentation._clearest_parts(observed, layout, 8)
    assert labels.max() == 2
    assert np.mean(labels == np.array([0, 2, 1])[group]) > 0.95
