"""Maps at rest of toy particles, half of whose blobs turn rigidly by known angles."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from cryoparts.at_rest.bodies import Body, BodyMotion
from cryoparts.at_rest.composite import Region, judge_region
from cryoparts.at_rest.make_maps import (
    Making,
    MapsAtRest,
    group_particles,
    images_to_read,
    make_maps,
)
from cryoparts.at_rest.ownership import blended, shares
from cryoparts.at_rest.regions import Quality, Volumes, wiener_filtered
from cryoparts.errors import InputError
from cryoparts.gaussians.model import GaussianModel
from cryoparts.imaging.shell_correlation import fourier_shell_correlation
from cryoparts.imaging.soft_mask import mask_around
from toy_particles import Blobs, ToyParticles, random_blobs, toy_particles

BOX, PIXEL, COUNT = 32, 4.0, 400
STILL = np.arange(20)
MOVING = np.arange(20, 40)


@dataclass(frozen=True)
class Toy:
    particles: ToyParticles
    blobs: Blobs
    model: GaussianModel
    body: Body
    regions: list[Region]
    mask: np.ndarray


def make_toy(degrees: float) -> Toy:
    blobs = random_blobs(3, 40, radius=20.0, width=4.0)
    blobs.positions[STILL, 0] -= 22
    blobs.positions[MOVING, 0] += 22
    rng = np.random.default_rng(1)
    vectors = rng.normal(size=(COUNT, 3)) * np.deg2rad(degrees)
    rotation = Rotation.from_rotvec(vectors).as_matrix()
    shift = rng.normal(size=(COUNT, 3)) * 0.15 * degrees
    centre = blobs.positions[MOVING].mean(axis=0)
    arms = blobs.positions[MOVING] - centre
    displaced = np.zeros((COUNT, 40, 3))
    displaced[:, MOVING] = np.einsum("pij,nj->pni", rotation, arms) - arms + shift[:, None]
    particles = toy_particles(blobs, COUNT, BOX, PIXEL, noise=1.0, displaced=displaced)
    model = GaussianModel.of(blobs.positions, blobs.amplitudes, np.full(40, blobs.width))
    own = shares(model, [STILL, MOVING], BOX, PIXEL)

    def mask(members: np.ndarray) -> np.ndarray:
        return mask_around(blobs.positions[members], BOX, PIXEL, radius_angstrom=10.0)

    return Toy(
        particles,
        blobs,
        model,
        Body("part_1", "arm", MOVING, BodyMotion(centre, rotation, shift), np.ones(COUNT)),
        [
            Region("core", "core", mask(STILL), own[0]),
            Region("part_1", "arm", mask(MOVING), own[1]),
        ],
        mask(np.arange(40)),
    )


@pytest.fixture(scope="module")
def toy() -> Toy:
    return make_toy(12.0)


def at_rest(toy: Toy, making: Making | None = None, body: Body | None = None) -> MapsAtRest:
    groups = group_particles(toy.particles, np.ones(COUNT), [body or toy.body])
    return make_maps(toy.particles, groups, toy.regions, toy.model, toy.mask, making or Making())


@pytest.fixture(scope="module")
def made(toy) -> MapsAtRest:
    return at_rest(toy, Making(b_factor=-100.0))


def agreement(density, truth, mask) -> float:
    """Mean FSC within a mask over the shells up to half of Nyquist's frequency and beyond."""
    curve = np.asarray(fourier_shell_correlation(density * mask, truth * mask))
    return float(curve[1:13].mean())


def test_the_moving_part_is_nearer_to_the_truth_at_rest(toy, made):
    truth = toy.blobs.map(BOX, PIXEL)
    arm, core = toy.regions[1].mask, toy.regions[0].mask
    before = agreement(made.consensus.whole, truth, arm)
    after = agreement(made.composite.volumes.whole, truth, arm)
    assert before < 0.9 < 0.94 < after
    still = agreement(made.consensus.whole, truth, core)
    assert agreement(made.composite.volumes.whole, truth, core) > still - 0.01


def test_what_is_better_is_kept_and_the_core_stays(made):
    core, arm = made.judged
    assert (core.kept, arm.kept) == ("consensus", "rigid")
    assert core.gained_shells == 0.0
    assert arm.gained_shells > 1.0
    assert arm.after.shells(BOX, PIXEL) > arm.before.shells(BOX, PIXEL)
    assert made.local_after.shape == made.composite.shown.shape
    assert made.composite.sharpened is not None


def test_where_nothing_moves_the_map_is_the_consensus():
    toy = make_toy(0.0)
    made = at_rest(toy)
    assert [one.kept for one in made.judged] == ["consensus", "consensus"]
    np.testing.assert_array_equal(made.composite.volumes.whole, made.consensus.whole)
    np.testing.assert_array_equal(made.composite.shown, made.consensus_shown)


def test_wrong_motions_are_not_kept(toy):
    """Motions of other particles blur more than none: the consensus stays."""
    wrong = replace(toy.body, motion=toy.body.motion.take(np.roll(np.arange(COUNT), 1)))
    assert [one.kept for one in at_rest(toy, body=wrong).judged] == ["consensus", "consensus"]


def test_memory_and_threads_change_nothing(toy, made):
    groups = group_particles(toy.particles, np.ones(COUNT), [toy.body])
    small = Making(memory_gigabytes=0.005, threads=2, b_factor=-100.0)
    assert images_to_read(toy.particles, groups, small) == 2 * COUNT
    assert images_to_read(toy.particles, groups, Making()) == COUNT
    again = at_rest(toy, small)
    scale = float(made.composite.shown.std())
    np.testing.assert_allclose(again.composite.shown, made.composite.shown, atol=2e-5 * scale)


def test_weights_leave_particles_out(toy):
    """A body that only some particles have is made of these alone."""
    some = np.arange(COUNT) % 3 == 0
    body = replace(toy.body, weight=some.astype(float))
    weighted = at_rest(toy, body=body)
    assert weighted.judged[1].effective_particles == some.sum()
    assert weighted.judged[0].effective_particles == COUNT
    with pytest.raises(InputError, match="no particle"):
        group_particles(toy.particles, np.ones(COUNT), [replace(toy.body, weight=0 * body.weight)])


def test_shares_sum_to_one_within_the_molecule(toy):
    whole = sum(region.share for region in toy.regions)
    assert whole.max() <= 1 + 1e-5
    inside = mask_around(toy.blobs.positions, BOX, PIXEL, radius_angstrom=4.0) > 0.99
    assert whole[inside].min() > 0.9
    far = mask_around(toy.blobs.positions, BOX, PIXEL, radius_angstrom=20.0) == 0
    assert whole[far].max() < 0.2
    arm = toy.regions[1].share
    places = np.rint(toy.blobs.positions[MOVING][:, ::-1] / PIXEL).astype(int) + BOX // 2
    assert np.median(arm[tuple(places.T)]) > 0.9


def test_blending_takes_each_map_where_its_weight_is_one(toy):
    rng = np.random.default_rng(0)
    background, one = rng.normal(size=(2, 8, 8, 8)).astype(np.float32)
    weight = np.zeros((8, 8, 8), np.float32)
    weight[:4] = 1.0
    whole = blended(background, [one], [weight])
    np.testing.assert_allclose(whole[:4], one[:4], atol=1e-6)
    np.testing.assert_array_equal(whole[4:], background[4:])


def test_regions_are_judged_with_the_same_random_phases(toy, made):
    region, kinds = toy.regions[1], {"consensus": made.consensus, "rigid": made.consensus}
    judged = judge_region(region, kinds, PIXEL, COUNT, seed=0)
    assert judged.kept == "consensus"
    np.testing.assert_array_equal(
        judged.qualities["rigid"].curves.corrected, judged.before.curves.corrected
    )


def test_the_filter_is_that_of_wiener():
    """Signal + noise of known FSC: the filtered map is nearer to the signal than either."""
    rng = np.random.default_rng(4)
    signal = random_blobs(5, 30, radius=35.0, width=4.0).map(BOX, PIXEL)
    noise = [signal.std() * rng.normal(size=signal.shape) for _ in range(2)]
    halves = [(signal + n).astype(np.float32) for n in noise]
    whole = (0.5 * (halves[0] + halves[1])).astype(np.float32)
    mask = np.ones_like(whole)
    quality = Quality.of(Volumes(*halves, whole), mask, PIXEL, seed=0)
    error = [
        float(((density - signal) ** 2).sum())
        for density in (wiener_filtered(whole, quality.curves.corrected), whole, 0 * whole)
    ]
    assert error[0] < 0.35 * min(error[1:])
