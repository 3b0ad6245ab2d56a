"""Rigid motions of parts by the images: the modes, the decoder of moved parts, the whole."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from cryoparts.cli.analyse.motion import show_motion
from cryoparts.image_model.deformation import POSITION_UNIT_ANGSTROM, displacement, moved_further
from cryoparts.image_model.forward_model import ForwardModel
from cryoparts.motion import image_modes, rigid_refinement
from cryoparts.motion.image_modes import modes_by_images
from cryoparts.motion.moved_parts import CoreMotion, MovedBody, MovedParts
from cryoparts.motion.parts_in_images import PartsInImages
from cryoparts.motion.rigid_refinement import SAMPLE, refine_motion
from cryoparts.motion.run_motion import RunMotion, measure_motion
from cryoparts.particles.pose_change import (
    FINAL,
    MOVED,
    PoseChange,
    PoseSpread,
    changed,
    pose_change_path,
)
from cryoparts.pipeline.motion import MotionFound
from cryoparts.refinement.particle_refinement import STEPS_A_TANGENT
from cryoparts.rigid.rigid_modes import find_modes, rotations_of, screws_of
from cryoparts.rigid.rigid_motion import fit_rigid_motions, without_core_motion
from cryoparts.training.setup import prepare_training
from moving_parts import axis_error, hinged, turn
from training_example import PARTICLES, QUICK, core_and_part, make_example

AXIS, PIVOT = np.array([0.0, 0.6, 0.8]), np.array([0.0, 5.0, -3.0])
VARY = ("position",)
CONFIG = replace(QUICK, vary=VARY)


@dataclass(frozen=True)
class Decoded:
    relative_amplitudes: np.ndarray | None
    displacements: np.ndarray


def fitted(case):
    return fit_rigid_motions(case.positions, case.displacements, case.masses)


def test_a_hinge_has_one_mode_and_it_is_its_screw():
    case = hinged(np.random.default_rng(0), particles=400, noise=0.3)
    motions = fitted(case)
    modes = find_modes(motions, np.ones(400, dtype=bool))
    assert modes.modes.shape == (1, 6)
    assert axis_error(modes.modes[0, :3] / np.linalg.norm(modes.modes[0, :3]), case.axis) < 1
    assert abs(np.corrcoef(modes.coordinates[:, 0], case.angles)[0, 1]) > 0.999
    assert modes.coordinates.std() == pytest.approx(1, abs=1e-6)
    about = case.displacements - case.displacements.mean(axis=0)
    size = np.sqrt((about**2).sum(axis=2).mean())
    assert modes.rms_angstrom[0] == pytest.approx(size, rel=0.1)


def test_modes_are_of_the_particles_that_have_the_part():
    case = hinged(np.random.default_rng(1), particles=300)
    wild = Rotation.random(100, random_state=2).as_matrix()
    moved = case.displacements.copy()
    moved[:100] = case.positions @ np.swapaxes(wild, 1, 2) - case.positions
    present = np.arange(300) >= 100
    modes = find_modes(fit_rigid_motions(case.positions, moved, case.masses), present)
    assert len(modes.modes) == 1
    assert axis_error(modes.modes[0, :3] / np.linalg.norm(modes.modes[0, :3]), case.axis) < 0.1
    assert modes.coordinates.shape == (300, 1)


def test_what_does_not_move_has_no_mode():
    case = hinged(np.random.default_rng(2), particles=50)
    still = fit_rigid_motions(case.positions, np.zeros_like(case.displacements), case.masses)
    assert len(find_modes(still, np.ones(50, dtype=bool)).modes) == 0


def test_changed_motions_are_those_of_the_moved_points():
    random = np.random.default_rng(3)
    case = hinged(random, particles=20, noise=0.5)
    motions = fitted(case)
    change = random.normal(size=(20, 6)) * np.array([0.05] * 3 + [2.0] * 3)
    changed = rigid_refinement._changed(motions, change)
    screws = screws_of(motions) + change
    np.testing.assert_allclose(screws_of(changed), screws, atol=1e-9)
    further = changed.displace(case.positions) - motions.displace(case.positions)
    expected = fit_rigid_motions(case.positions, case.displacements + further, case.masses)
    np.testing.assert_allclose(changed.rotation, expected.rotation, atol=5e-3)
    np.testing.assert_allclose(changed.shift_angstrom, expected.shift_angstrom, atol=1e-9)
    np.testing.assert_allclose(changed.cross, expected.cross, atol=1e-6)
    np.testing.assert_allclose(
        changed.angles_about(case.axis, case.pivot), expected.angles_about(case.axis, case.pivot)
    )
    np.testing.assert_allclose(
        changed.displacement_rms_angstrom, expected.displacement_rms_angstrom, rtol=0.05
    )
    np.testing.assert_allclose(rotations_of(screws), changed.rotation)


@pytest.mark.parametrize("with_core", [False, True])
def test_moved_parts_add_what_has_changed_and_nothing_else(with_core):
    """In the frame of the poses, from coordinates as seen from the core."""
    random = np.random.default_rng(4)
    case = hinged(random, particles=6, noise=0.5)
    members = np.flatnonzero(np.arange(80) >= 20)
    positions = np.concatenate([random.normal(size=(20, 3)) * 15, case.positions])
    tilt = Rotation.from_rotvec(0.1 * random.normal(size=(6, 3))).as_matrix()
    seen = np.concatenate([0.2 * random.normal(size=(6, 20, 3)), case.displacements], axis=1)
    lab = (positions + seen) @ np.swapaxes(tilt, 1, 2) - positions if with_core else seen
    core = fit_rigid_motions(positions[:20], lab[:, :20], np.ones(20))
    relative = without_core_motion(positions, lab, core) if with_core else lab
    motions = fit_rigid_motions(case.positions, relative[:, members], case.masses)
    modes = find_modes(motions, np.ones(6, dtype=bool))
    start = torch.as_tensor(modes.coordinates, dtype=torch.float32)
    arrays = (case.positions, motions.centre, modes.modes, screws_of(motions))
    places, centre, patterns, screws = (torch.as_tensor(x, dtype=torch.float32) for x in arrays)
    columns = slice(0, len(patterns))
    body = MovedBody(
        torch.as_tensor(members), places, places, centre, patterns, columns, deforms=True
    )
    vary = ("amplitude", "position")
    amplitudes = torch.randn(6, 80, 1)
    offsets = torch.cat(
        [amplitudes, torch.as_tensor(lab / POSITION_UNIT_ANGSTROM, dtype=torch.float32)], dim=2
    )
    arrays = (core.centre, core.rotation, core.shift_angstrom)
    seen_from = CoreMotion(*(torch.as_tensor(x, dtype=torch.float32) for x in arrays))
    seen_from = seen_from if with_core else None
    decoder = MovedParts(offsets, [body], [screws], start, seen_from, vary)
    torch.testing.assert_close(decoder(start), offsets, atol=1e-5, rtol=0)
    both = decoder(torch.cat([start, start + 0.5]))
    torch.testing.assert_close(both[:6], offsets, atol=1e-5, rtol=0)
    torch.testing.assert_close(both[6:, :, :1], amplitudes)
    changed = rigid_refinement._changed(motions, 0.5 * modes.modes.sum(axis=0) * np.ones((6, 1)))
    expected = relative.copy()
    expected[:, members] += changed.displace(case.positions) - motions.displace(case.positions)
    back = displacement(both[6:], vary).numpy()
    found = without_core_motion(positions, back, core) if with_core else back
    np.testing.assert_allclose(found, expected, atol=2e-4)
    rigid = MovedParts(offsets, [replace(body, deforms=False)], [screws], start, seen_from, vary)
    back = displacement(rigid(start), vary).numpy()
    found = without_core_motion(positions, back, core) if with_core else back
    np.testing.assert_allclose(found[:, members], motions.displace(case.positions), atol=2e-4)
    np.testing.assert_allclose(found[:, :20], relative[:, :20], atol=2e-4)


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Particles whose second half turns; a decoder that is six degrees off."""
    random = np.random.default_rng(5)
    angles = random.uniform(-20, 20, PARTICLES)

    def displaced(positions, optional, degrees=angles):
        moved = np.zeros((len(degrees), len(positions), 3))
        moved[:, optional] = turn(positions[optional].astype(float), AXIS, PIVOT, degrees)
        return moved

    example = make_example(tmp_path_factory.mktemp("rigid") / "run", CONFIG, 0.5, displaced)
    setup = prepare_training(example.run, CONFIG)
    decoded = angles + 6 * random.normal(size=PARTICLES)
    moved = displaced(setup.model.positions, example.optional, decoded).astype(np.float32)
    labels = core_and_part(example.optional, setup.model.positions)
    motion = measure_motion(setup.model, labels, lambda rows: Decoded(None, moved[rows]), PARTICLES)

    def offsets_of(rows):
        nothing = torch.zeros(len(rows), 40, 3)
        return moved_further(nothing, torch.as_tensor(moved[rows]), ("position",))

    return setup, labels, motion, offsets_of, angles


def error_of(motion: RunMotion, angles: np.ndarray) -> float:
    part = motion.parts[1]
    side = np.sign(part.screw.axis @ AXIS)
    return float(np.sqrt(np.mean((side * part.signed_angle_degrees - angles) ** 2)))


@pytest.mark.parametrize("from_core", [True, False])
def test_images_correct_the_angles(images, from_core):
    setup, labels, motion, offsets_of, angles = images
    steps = []
    refined = refine_motion(
        motion, labels, setup, offsets_of, ("position",), relative_to_core=from_core,
        progress=lambda done, total: steps.append((done, total)),
    )  # fmt: skip
    assert steps[-1] == (PARTICLES, PARTICLES)
    assert error_of(motion, angles) > 5
    assert error_of(refined, angles) < 0.4 * error_of(motion, angles)
    part = refined.parts[1]
    assert axis_error(part.screw.axis, AXIS) < 2
    assert np.array_equal(part.present, motion.parts[1].present)
    assert refined.core is motion.core


def test_ways_that_images_do_not_show_are_left_out(images):
    """A decoder whose axis is 30 degrees off tilts the one that is found no more."""
    setup, labels, _, _, angles = images
    off = AXIS * np.cos(np.deg2rad(30)) + np.array([np.sin(np.deg2rad(30)), 0, 0])
    members = labels.members(1)
    moved = np.zeros((PARTICLES, 40, 3), dtype=np.float32)
    moved[:, members] = turn(setup.model.positions[members].astype(float), off, PIVOT, angles)
    motion = measure_motion(setup.model, labels, lambda rows: Decoded(None, moved[rows]), PARTICLES)

    def offsets_of(rows):
        return moved_further(torch.zeros(len(rows), 40, 3), torch.as_tensor(moved[rows]), VARY)

    refined = refine_motion(motion, labels, setup, offsets_of, VARY).parts[1]
    assert axis_error(motion.parts[1].screw.axis, off) < 1
    error = axis_error(refined.screw.axis, AXIS)
    assert error < 3
    assert error < refined.screw.axis_error_degrees < 10


def test_more_images_are_asked_where_an_axis_is_not_sure(images, monkeypatch):
    setup, labels, motion, offsets_of, _ = images
    monkeypatch.setattr(image_modes, "SAMPLE", 45)
    monkeypatch.setattr(image_modes, "SURE_DEGREES", 0.1)
    seen = PartsInImages(motion, labels, setup, offsets_of, VARY, relative_to_core=True)
    few, more = (modes_by_images(seen, surely=surely)[1].error for surely in (False, True))
    assert 0 < more.axis_degrees < few.axis_degrees
    monkeypatch.setattr(image_modes, "SURE_DEGREES", few.axis_degrees)
    assert modes_by_images(seen, surely=True)[1].error == few


def test_poses_are_asked_along_with_the_motions(images):
    setup, labels, motion, offsets_of, angles = images
    random, particles = np.random.default_rng(8), setup.forward.particles
    spread = PoseSpread(float(np.deg2rad(2.0)), 1.5)
    turned = spread.turn * random.normal(size=(PARTICLES, 3))
    shifted = spread.shift_angstrom * random.normal(size=(PARTICLES, 2))
    poses = changed(particles.poses, turned, shifted)
    wrong = replace(particles, poses=poses, _given=poses)
    posed = replace(setup, forward=ForwardModel(wrong, setup.forward.device))
    nothing = PoseChange(0 * turned, 0 * shifted, spread)
    assert refine_motion(motion, labels, setup, offsets_of, ("position",)).pose_change is None
    path = pose_change_path(particles.folder, FINAL)
    nothing.save(path)
    try:
        refined = refine_motion(motion, labels, posed, offsets_of, ("position",))
        # what an earlier time has found with the motions is not where this one starts from
        PoseChange(turned, shifted, spread).save(pose_change_path(particles.folder, MOVED))
        again = refine_motion(motion, labels, posed, offsets_of, ("position",))
    finally:
        path.unlink()
        pose_change_path(particles.folder, MOVED).unlink(missing_ok=True)
    found = refined.pose_change.applied(wrong.poses)
    left = Rotation.from_matrix(found.rotation @ particles.poses.rotation.transpose(0, 2, 1))
    off = found.shift_angstrom - particles.poses.shift_angstrom
    assert np.sqrt(np.mean(left.as_rotvec() ** 2)) < 0.6 * spread.turn
    assert np.sqrt(np.mean(off**2)) < 0.6 * spread.shift_angstrom
    assert refined.pose_change.spread == spread
    assert error_of(refined, angles) < 0.6 * error_of(motion, angles)
    np.testing.assert_array_equal(again.pose_change.turn, refined.pose_change.turn)


def test_batches_make_no_difference(images, monkeypatch):
    setup, labels, motion, offsets_of, _ = images
    whole = refine_motion(motion, labels, setup, offsets_of, ("position",))
    monkeypatch.setattr("cryoparts.refinement.particle_refinement.BATCH", 7)
    parted = refine_motion(motion, labels, setup, offsets_of, ("position",))
    np.testing.assert_allclose(
        parted.parts[1].signed_angle_degrees, whole.parts[1].signed_angle_degrees, atol=0.05
    )


def test_the_strongest_modes_are_kept(monkeypatch):
    cases = {part: hinged(np.random.default_rng(part), particles=50) for part in (1, 2, 3)}
    cases[2] = replace(cases[2], displacements=0.1 * cases[2].displacements)
    modes = {part: find_modes(fitted(c), np.ones(50, dtype=bool)) for part, c in cases.items()}
    monkeypatch.setattr(rigid_refinement, "MOST_COORDINATES", 2)
    assert list(rigid_refinement._chosen(modes)) == [1, 3]
    assert rigid_refinement._chosen({}) == {}


def test_nothing_to_refine_changes_nothing(images, monkeypatch):
    setup, labels, _, offsets_of, _ = images
    monkeypatch.setattr(rigid_refinement, "modes_by_images", lambda images, **_: {})
    still = np.zeros((PARTICLES, 40, 3), dtype=np.float32)
    unmoved = measure_motion(
        setup.model, labels, lambda rows: Decoded(None, still[rows]), PARTICLES
    )
    assert refine_motion(unmoved, labels, setup, offsets_of, ("position",)) is unmoved


@pytest.fixture
def projected(monkeypatch):
    """Numbers of particles that are projected together."""
    counts = []
    images_of = ForwardModel.images_of

    def counting(forward, gaussians, batch):
        counts.append(len(batch.rotation))
        return images_of(forward, gaussians, batch)

    monkeypatch.setattr(ForwardModel, "images_of", counting)
    return counts


def test_a_particle_is_projected_once_a_mode_and_a_few_times_more(images, projected):
    setup, labels, motion, offsets_of, _ = images
    refine_motion(motion, labels, setup, offsets_of, ("position",))
    modes = len(find_modes(motion.parts[1].motions, motion.parts[1].present).modes)
    asked = min(image_modes.SAMPLE, PARTICLES) * (1 + 6 + STEPS_A_TANGENT)
    asked *= image_modes.STEPS
    asked += min(SAMPLE, PARTICLES) * (1 + modes)
    assert sum(projected) <= asked + PARTICLES * (1 + modes + 4)


def test_motions_of_which_images_tell_too_little_go_to_their_mean(images, projected, monkeypatch):
    setup, labels, motion, offsets_of, _ = images
    monkeypatch.setattr(rigid_refinement, "TOLD", 1e9)
    refined = refine_motion(motion, labels, setup, offsets_of, ("position",))
    assert 0 < sum(projected) <= 30 * min(SAMPLE, PARTICLES)  # nobody is refined
    angles = [np.std(each.parts[1].signed_angle_degrees) for each in (motion, refined)]
    assert angles[1] < 0.05 * angles[0]


def test_images_tell_a_motion_that_the_decoder_does_not_know(images):
    setup, labels, *_, angles = images
    still = np.zeros((PARTICLES, 40, 3), dtype=np.float32)
    unmoved = measure_motion(
        setup.model, labels, lambda rows: Decoded(None, still[rows]), PARTICLES
    )

    def nothing(rows):
        return torch.zeros(len(rows), 40, 3)

    found = refine_motion(unmoved, labels, setup, nothing, ("position",))
    assert found.by_images
    part = found.parts[1]
    assert axis_error(part.screw.axis * np.sign(part.screw.axis @ AXIS), AXIS) < 5
    assert abs(np.corrcoef(part.signed_angle_degrees, angles)[0, 1]) > 0.9
    assert error_of(found, angles) < 0.5 * angles.std()


def test_a_part_of_which_images_tell_nothing_is_at_rest_whatever_is_decoded(tmp_path, capsys):
    """Else half maps of noise, moved by models that start from one molecule, would agree."""
    random = np.random.default_rng(11)
    angles = random.uniform(-20, 20, PARTICLES)

    def at_rest(positions, optional):
        return np.zeros((PARTICLES, len(positions), 3))

    example = make_example(tmp_path / "run", CONFIG, 1e4, at_rest)
    setup = prepare_training(example.run, CONFIG)
    positions, optional = setup.model.positions, example.optional
    decoded = np.zeros((PARTICLES, 40, 3), dtype=np.float32)
    decoded[:, optional] = turn(positions[optional].astype(float), AXIS, PIVOT, angles)
    labels = core_and_part(optional, positions)
    motion = measure_motion(setup.model, labels, lambda r: Decoded(None, decoded[r]), PARTICLES)

    def offsets_of(rows):
        return moved_further(torch.zeros(len(rows), 40, 3), torch.as_tensor(decoded[rows]), VARY)

    assert motion.parts[1].told
    refined = refine_motion(motion, labels, setup, offsets_of, VARY)
    show_motion(MotionFound(refined, labels, "core"))
    assert "images tell none" in capsys.readouterr().out
    found = refined.parts[1]
    assert not found.told
    assert not found.screw.turns
    np.testing.assert_allclose(found.motions.shift_angstrom, 0, atol=1e-9)
    np.testing.assert_allclose(found.motions.rotation, np.eye(3)[None].repeat(PARTICLES, 0))
    assert (found.signed_angle_degrees == 0).all()
    assert found.motions.displacement_rms_angstrom.max() < 0.5 * np.abs(decoded).max()


def test_what_stands_still_does_not_move_whatever_its_images_say(tmp_path):

    def displaced(positions, optional):
        return np.zeros((PARTICLES, len(positions), 3))

    example = make_example(tmp_path / "run", CONFIG, 0.5, displaced)
    setup = prepare_training(example.run, CONFIG)
    labels = core_and_part(example.optional, setup.model.positions)
    still = np.zeros((PARTICLES, 40, 3), dtype=np.float32)
    unmoved = measure_motion(
        setup.model, labels, lambda rows: Decoded(None, still[rows]), PARTICLES
    )

    def nothing(rows):
        return torch.zeros(len(rows), 40, 3)

    seen = PartsInImages(unmoved, labels, setup, nothing, ("position",), relative_to_core=False)
    assert modes_by_images(seen) == {}


def sheared(positions, optional, amount):
    """Displacements (P, N, 3) along x in proportion to z: no rigid motion, and no turn of axes."""
    moved = np.zeros((len(amount), len(positions), 3))
    height = positions[optional][:, 2] - positions[optional][:, 2].mean()
    moved[:, optional, 0] = amount[:, None] * height / np.abs(height).max()
    return moved


@pytest.mark.parametrize("truly", [True, False])
def test_a_part_keeps_its_deformation_where_images_show_it(tmp_path, truly):
    random = np.random.default_rng(8)
    amount, angles = 6 * random.normal(size=PARTICLES), random.uniform(-20, 20, PARTICLES)

    def displaced(positions, optional):
        moved = np.zeros((PARTICLES, len(positions), 3))
        places = positions[optional].astype(float)
        moved[:, optional] = turn(places, AXIS, PIVOT, angles)
        return moved + (sheared(positions, optional, amount) if truly else 0.0)

    example = make_example(tmp_path / "run", CONFIG, 0.5, displaced)
    setup = prepare_training(example.run, CONFIG)
    positions, optional = setup.model.positions, example.optional
    decoded = displaced(positions, optional)
    if not truly:
        decoded = decoded + sheared(positions, optional, amount)
    decoded = decoded.astype(np.float32)
    labels = core_and_part(optional, positions)
    motion = measure_motion(setup.model, labels, lambda r: Decoded(None, decoded[r]), PARTICLES)

    def offsets_of(rows):
        return moved_further(torch.zeros(len(rows), 40, 3), torch.as_tensor(decoded[rows]), VARY)

    images = PartsInImages(motion, labels, setup, offsets_of, VARY, relative_to_core=True)
    part = motion.parts[1]
    modes = {1: find_modes(part.motions, part.present)}
    found = rigid_refinement._deforming(images, modes, motion, np.arange(PARTICLES))
    assert found == (frozenset({1}) if truly else frozenset())
