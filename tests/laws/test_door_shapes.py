"""Shapes and kinds of numbers of the functions that scripts call, checked as they run.

The docstrings promise them; here they are written as types that are checked at each call
(jaxtyping). They stand in the tests and not in the source, whose arguments are arrays of one
model or of a batch: one signature would have to be two, and every user would import the checker.
"""

from __future__ import annotations

import numpy as np
import torch
from beartype import beartype
from hypothesis import given, settings
from hypothesis import strategies as st
from jaxtyping import Complex, Float, jaxtyped
from scipy.spatial.transform import Rotation
from torch import Tensor

from cryoparts import GaussianModel, contrast_transfer, fourier_shell_correlation, project
from cryoparts.conventions import CtfParameters
from cryoparts.imaging.fourier import inverse_transform, shift_phases, transform
from cryoparts.imaging.shell_correlation import fourier_ring_correlation

checked = jaxtyped(typechecker=beartype)


@checked
def project_model(
    positions: Float[Tensor, "N 3"],
    amplitudes: Float[Tensor, "N"],
    widths: Float[Tensor, "N"],
    rotations: Float[Tensor, "B 3 3"],
    box: int,
) -> Complex[Tensor, "B {box} {box}//2+1"]:
    return project(positions, amplitudes, widths, rotations, box, 4.0)


@checked
def project_each(
    positions: Float[Tensor, "B N 3"],
    amplitudes: Float[Tensor, "B N"],
    widths: Float[Tensor, "B N"],
    rotations: Float[Tensor, "B 3 3"],
    box: int,
) -> Complex[Tensor, "B {box} {box}//2+1"]:
    return project(positions, amplitudes, widths, rotations, box, 4.0)


@checked
def ctf_of(ctf: CtfParameters, box: int) -> Float[Tensor, "{len(ctf)} {box} {box}//2+1"]:
    return contrast_transfer(ctf, box, 4.0)


@checked
def transforms(images: Float[Tensor, "B D D"]) -> Complex[Tensor, "B D D//2+1"]:
    return transform(images)


@checked
def images_of(planes: Complex[Tensor, "B D H"]) -> Float[Tensor, "B D D"]:
    return inverse_transform(planes)


@checked
def phases(shift: Float[Tensor, "B 2"], box: int) -> Complex[Tensor, "B {box} {box}//2+1"]:
    return shift_phases(shift, box, 4.0)


@checked
def frc(a: Complex[Tensor, "B D H"], b: Complex[Tensor, "B D H"]) -> Float[Tensor, "B D//2+1"]:
    return fourier_ring_correlation(a, b)


@checked
def fsc(
    one: Float[np.ndarray, "D D D"], two: Float[np.ndarray, "D D D"]
) -> Float[np.ndarray, "D//2+1"]:
    return fourier_shell_correlation(one, two)


@settings(deadline=None, max_examples=15)
@given(st.integers(1, 5), st.integers(1, 4), st.sampled_from([16, 18, 24]))
def test_shapes_are_as_documented(gaussians, particles, box):
    random = np.random.default_rng(gaussians)
    model = GaussianModel.of(
        random.normal(size=(gaussians, 3)) * 8, np.ones(gaussians), np.full(gaussians, 5.0)
    )
    arrays = [torch.from_numpy(a) for a in (model.positions, model.amplitudes, model.widths)]
    rotations = torch.as_tensor(
        Rotation.random(particles, random_state=1).as_matrix(), dtype=torch.float32
    )
    planes = project_model(*arrays, rotations, box)
    repeated = [a.expand(particles, *a.shape).contiguous() for a in arrays]
    torch.testing.assert_close(project_each(*repeated, rotations, box), planes)
    values = (15000.0, 14500.0, 30.0, 300.0, 2.7, 0.1, 0.0, 0.0, 1.0)
    ctf = ctf_of(CtfParameters(*(np.full(particles, value) for value in values)), box)
    moved = planes * ctf * phases(torch.ones(particles, 2), box)
    assert frc(transforms(images_of(moved)), planes).shape[0] == particles
    volume = random.normal(size=(box,) * 3)
    np.testing.assert_allclose(fsc(volume, volume), 1.0)
