from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from cryoparts.evaluation.oracle import least_squares_amplitudes, oracle_accuracy
from cryoparts.evaluation.truth import align_truth, load_truth
from cryoparts.imaging.fourier import ring_weights
from cryoparts.io.mrc import open_stack
from cryoparts.particle_files.read_particles import read_particles
from cryoparts.simulation.composition import simulate_composition
from cryoparts.simulation.options import ImagingOptions
from cryoparts.simulation.scene_options import CompositionOptions
from cryoparts.simulation.structures.toy_complex import toy_complex, write_toy_segments

COUNT = 160


@pytest.fixture(scope="module", params=[(0.1, "bright"), (0.002, "dark")])
def data_set(request, tmp_path_factory):
    snr, contrast = request.param
    folder = tmp_path_factory.mktemp("oracle")
    write_toy_segments(folder / "segments.csv")
    imaging = ImagingOptions(
        n_particles=COUNT, box_size=48, pixel_size_angstrom=6.0, snr=snr, contrast=contrast
    )
    options = CompositionOptions(segments_file=folder / "segments.csv")
    return snr, simulate_composition(toy_complex(0), folder / "set", imaging, options)


def solve(folder, rows):
    table = read_particles(folder / "particles.star").take(rows)
    stack = open_stack(folder / "particles.mrcs")
    return oracle_accuracy(
        lambda chosen: stack.read(table.slice_in_stack[chosen]),
        align_truth(load_truth(folder), table.names),
        table.poses,
        table.ctf,
        48,
        6.0,
    )


def test_the_told_solver_is_nearly_perfect_unless_the_noise_is_extreme(data_set):
    snr, folder = data_set
    result = solve(folder, np.arange(COUNT))
    truth = load_truth(folder)
    error = np.abs(result.amplitudes - truth.presence)[:, truth.optional_segments]
    if snr == 0.1:
        assert result.optional_accuracy > 0.99
        assert error.mean() < 0.15
        assert set(result.by_segment) == set(truth.segment_names)
        assert "amplitudes" not in result.as_dict()
    else:
        assert 0.6 < result.optional_accuracy < 0.98
        assert error.mean() > 0.2
    assert np.median(result.amplitudes[:, truth.core]) == pytest.approx(1.0)


def test_the_particles_may_come_in_any_order(data_set):
    _, folder = data_set
    order = np.random.default_rng(0).permutation(COUNT)
    straight, shuffled = solve(folder, np.arange(COUNT)), solve(folder, order)
    # The sample that the noise is estimated from is everything here, but its order differs.
    np.testing.assert_allclose(shuffled.amplitudes, straight.amplitudes[order], atol=1e-3)
    truth = load_truth(folder)
    with pytest.raises(ValueError, match="same particles"):
        oracle_accuracy(
            lambda rows: np.zeros((len(rows), 48, 48)),
            replace(truth, names=truth.names[:3]),
            *(getattr(read_particles(folder / "particles.star"), f) for f in ("poses", "ctf")),
            48,
            6.0,
        )


def test_least_squares_recovers_amplitudes_and_heeds_the_weights():
    generator = torch.Generator().manual_seed(0)
    templates = torch.randn(2, 3, 16, 9, generator=generator, dtype=torch.complex64)
    amplitudes = torch.tensor([[1.0, 0.0, 0.5], [0.2, 2.0, -1.0]])
    images = (templates * amplitudes[:, :, None, None]).sum(dim=1)
    weights = ring_weights(16).expand(2, 16, 9).clone()
    solved = least_squares_amplitudes(images, templates, weights)
    np.testing.assert_allclose(solved, amplitudes, atol=1e-5)
    # Frequencies of weight 0 do not count, whatever is in them.
    weights[:, 4] = 0.0
    images[:, 4] = 100.0
    np.testing.assert_allclose(
        least_squares_amplitudes(images, templates, weights), amplitudes, atol=1e-5
    )
    weights[:, 4] = 1.0
    disturbed = least_squares_amplitudes(images, templates, weights)
    assert (disturbed - amplitudes).abs().max() > 1.0
