"""Laws of the steps of a run: they print nothing, and keep the options they were called with."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from cryoparts.config import FocusConfig, PartsConfig, ReconstructionConfig, TrainingConfig
from cryoparts.occupancy.presence_in_images import SAMPLE
from cryoparts.parts.part_labels import UNASSIGNED, PartLabels
from cryoparts.pipeline.composition import TIMES_MORE, ask_presence, ask_sample
from cryoparts.pipeline.divided_parts import with_parts_divided
from cryoparts.pipeline.faint_parts import PIECES, with_faint_parts
from cryoparts.pipeline.motion import PartsByImages
from cryoparts.pipeline.parts import find_parts
from cryoparts.pipeline.steps import run_steps
from cryoparts.pipeline.trust import judge_trust
from cryoparts.run.result_options import kept_options
from cryoparts.run.run import Run
from cryoparts.validation.null_judgement import NULL_TEST
from training_example import make_example

CONFIG = TrainingConfig(
    decoder="mlp", vary=("position", "amplitude"), latent_dimensions=2, epochs=2, batch_size=32,
    threads=1,
)  # fmt: skip
PARTS = PartsConfig(sample=50, min_part_size=7, embedding="pca", keep_flagged=True)
FOCUS = FocusConfig(states=2, trajectory_points=3)
MAPS = ReconstructionConfig(solvent_mask="model", padding=1)


@pytest.fixture(scope="module")
def example(tmp_path_factory):
    made = make_example(tmp_path_factory.mktemp("steps") / "run", CONFIG, noise=0.1)
    made.run.record_options(replace(made.run.config(), particles="p.cs"))  # no .star to copy
    return made


@pytest.fixture(scope="module")
def made(example):
    """Every step of a run, and what standard output and error held afterwards."""
    run = Run(example.run)
    config = replace(run.config, parts=PARTS, focus=FOCUS, reconstruction=MAPS)
    told: list[tuple[str, int, int]] = []
    names = []
    for step in run_steps(run, config, progress=lambda *where: told.append(where)):
        names.append(step.name)
        if step.name == "parts":
            _mark_the_optional_half(run, example.optional)
    return run, names, told


def _mark_the_optional_half(run: Run, optional: np.ndarray) -> None:
    """So few particles need not show the part; later steps are given it."""
    nothing = np.zeros(len(optional))
    PartLabels(
        optional.astype(np.int64), np.zeros((len(optional), 2)),
        run.model.positions.astype(float), nothing, nothing, "pca",
    ).save(run.directory.parts_path)  # fmt: skip


def test_no_step_writes_to_standard_output_or_error(example, capfd, request):
    capfd.readouterr()
    _, names, told = request.getfixturevalue("made")
    assert capfd.readouterr() == ("", "")
    assert names == [
        "train", "parts", "masks", "motion", "composition", "focus", "trust", "coordination",
        "reconstruct", "at-rest", "report",
    ]  # fmt: skip
    assert told
    assert all(0 <= done <= total for _, done, total in told)


def test_each_result_keeps_the_options_that_it_was_made_with(made):
    run, _, _ = made
    directory = run.directory
    assert Run.open(run.root).parts_options == PARTS
    folders = (directory.focus_path(1), FOCUS), (directory.reconstruction_path(1), MAPS)
    for folder, options in folders:
        assert kept_options(folder, type(options), type(options)()) == options


def test_trust_finds_parts_again_with_the_options_of_the_parts_that_are_there(made, monkeypatch):
    run, _, _ = made
    asked = []

    def stability(labels, positions, decoded, *, image, method, min_part_size, seed):
        asked.append((method, min_part_size, len(image)))
        return np.ones(int(labels.max()))

    monkeypatch.setattr("cryoparts.pipeline.trust.stability_over_subsamples", stability)
    find_parts(run, replace(PARTS, min_part_size=9, sample=40))
    _mark_the_optional_half(run, run.parts.labels >= 0)
    judge_trust(Run.open(run.root))
    assert asked == [("pca", 9, 40)]


@pytest.mark.parametrize(("moving", "fading"), [((), False), ({1}, False), ((), True)])
def test_trust_asks_the_images_what_parts_that_were_edited_do(made, monkeypatch, moving, fading):
    run, _, _ = made
    _mark_the_optional_half(run, np.arange(len(run.model)) % 2 == 0)  # not what was judged before
    (run.directory.trust_path / NULL_TEST).unlink(missing_ok=True)
    monkeypatch.setattr("cryoparts.pipeline.trust.moving_parts", lambda *_: moving)
    seen = SimpleNamespace(fading=[1]) if fading else None
    monkeypatch.setattr("cryoparts.pipeline.trust.ask_sample", lambda *_, **__: seen)
    found = judge_trust(Run.open(run.root))
    for told in (found.null_test.parts, found.record.parts):
        assert [one.moves_by_images for one in told] == [bool(moving)]
        assert [one.fades_by_images for one in told] == [fading]


@pytest.mark.parametrize("drop", [True, False])
def test_small_groups_that_no_image_confirms_are_in_no_part_unless_kept(made, monkeypatch, drop):
    run, _, _ = made
    count = len(run.model)
    labels = (np.arange(count) % 2).astype(np.int64)
    labels[:3] = 2

    class Seen:
        def __init__(self, given):
            self.given = given
            self.fading = [1]

        def unconfirmed(self, moving):
            assert moving == {1}
            return [2]

    module = "cryoparts.pipeline.composition"
    monkeypatch.setattr(f"{module}.ask_sample", lambda _, given, displaced: Seen(given.labels))
    monkeypatch.setattr(f"{module}.borders_by_presence", lambda seen: seen.given)
    asked = PartsByImages(replace(run.parts, labels=labels, names=()), frozenset({1}))
    found, sizes = ask_presence(run, asked, drop=drop)
    assert sizes == ((3,) if drop else ())
    np.testing.assert_array_equal(found.labels.labels[:3], UNASSIGNED if drop else 2)
    np.testing.assert_array_equal(found.labels.labels[3:], labels[3:])
    assert found.moving == {1}
    assert found.fading == {1}


@pytest.mark.parametrize("decided", [True, False])
def test_more_images_are_asked_where_some_leave_a_part_undecided(made, monkeypatch, decided):
    run, _, _ = made
    asked = []

    class Seen:
        @classmethod
        def of(cls, *_, sample=SAMPLE):
            asked.append(sample)
            return cls()

        def leaves_undecided(self, first):
            assert first == 2
            return not decided

    monkeypatch.setattr("cryoparts.pipeline.composition.PresenceInImages", Seen)
    assert ask_sample(run, run.parts, displaced=False, first=2) is not None
    assert asked == ([SAMPLE] if decided else [SAMPLE, TIMES_MORE * SAMPLE])


@pytest.mark.parametrize("confirms", [True, False])
def test_a_piece_of_the_core_is_a_part_if_the_images_say_so(made, monkeypatch, confirms):
    run, _, _ = made
    count = len(run.model)
    found = replace(run.parts, labels=(np.arange(count) % 2).astype(np.int64), names=())
    with_piece = np.where(np.arange(count) < 6, 2, found.labels)
    decoded = run.decoder.decode(np.arange(20))
    module = "cryoparts.pipeline.faint_parts"
    divided = []

    def core_pieces(given, _, pieces, **__):
        divided.append(pieces)
        return given.labels if given.n_parts == 2 else with_piece

    def asked_of(_, given, displaced, first):
        assert displaced
        assert first == 2
        return given.labels

    def confirmed(seen, given):
        np.testing.assert_array_equal(seen, with_piece)
        assert given is found
        return with_piece if confirms else found.labels

    monkeypatch.setattr(f"{module}.core_pieces", core_pieces)
    monkeypatch.setattr(f"{module}.ask_sample", asked_of)
    monkeypatch.setattr(f"{module}.confirmed_pieces", confirmed)
    asked = with_faint_parts(run, found, decoded)
    np.testing.assert_array_equal(asked.labels, with_piece if confirms else found.labels)
    assert asked.n_parts == (2 if confirms else 1)
    assert divided == list(PIECES[: 2 if confirms else 1])
    monkeypatch.setattr(f"{module}.ask_sample", lambda *_, **__: None)  # too few images count
    assert with_faint_parts(run, found, decoded) is found


@pytest.mark.parametrize("apart", [True, False])
def test_a_part_is_divided_as_long_as_its_halves_are_apart(made, monkeypatch, apart):
    run, _, _ = made
    count = len(run.model)
    found = replace(run.parts, labels=(np.arange(count) % 2).astype(np.int64), names=())
    halved = np.where(np.arange(count) < 6, 2 * found.labels, found.labels)
    decoded = run.decoder.decode(np.arange(20))
    module = "cryoparts.pipeline.divided_parts"
    asked = []

    def part_halves(given, _, parts, **__):
        asked.append(set(parts))
        return halved, {2: 1} if len(asked) == 1 else {}

    def told_apart(seen, half_of):
        np.testing.assert_array_equal(seen, halved)
        assert half_of == {2: 1}
        return (halved, frozenset({1, 2})) if apart else (found.labels, frozenset())

    def asked_of(_, given, displaced, first):
        assert displaced
        assert first == given.n_parts
        return given.labels

    monkeypatch.setattr(f"{module}.part_halves", part_halves)
    monkeypatch.setattr(f"{module}.ask_sample", asked_of)
    monkeypatch.setattr(f"{module}.told_apart", told_apart)
    divided = with_parts_divided(run, found, decoded)
    np.testing.assert_array_equal(divided.labels, halved if apart else found.labels)
    assert divided.n_parts == (2 if apart else 1)
    assert asked == ([{1}, {1, 2}] if apart else [{1}])
    monkeypatch.setattr(f"{module}.ask_sample", lambda *_, **__: None)  # too few images count
    asked.clear()
    assert with_parts_divided(run, found, decoded) is found
