from __future__ import annotations

import numpy as np
import pytest

from cryoparts.errors import InputError
from cryoparts.evaluation.truth import align_truth, load_truth, rows_of
from cryoparts.simulation.ground_truth import CompositionTruth, MapsTruth, MotionTruth


def composition(names=("a", "b", "c")):
    count = len(names)
    return CompositionTruth(
        names=np.array(names),
        seed=4,
        image_scale=0.5,
        contrast="dark",
        atom_positions=np.zeros((2, 3), dtype=np.float32),
        atom_masses=np.ones(2, dtype=np.float32),
        atom_segment=np.array([0, 1]),
        segment_names=np.array(["core", "lobe"]),
        presence=np.array([[True, row % 2 == 0] for row in range(count)]),
        core=0,
    )


def motion():
    return MotionTruth(
        names=np.array(["a", "b"]),
        seed=1,
        image_scale=2.0,
        contrast="bright",
        atom_positions=np.ones((1, 3), dtype=np.float32),
        atom_masses=np.ones(1, dtype=np.float32),
        atom_region=np.array([1]),
        region_names=np.array(["arm"]),
        axes=np.array([[0.0, 0.0, 1.0]]),
        pivots=np.zeros((1, 3)),
        angles_degrees=np.array([[3.0], [4.0]]),
    )


def maps():
    return MapsTruth(
        names=np.array(["a", "b"]),
        seed=1,
        image_scale=2.0,
        contrast="bright",
        map_index=np.array([1, 0]),
        map_names=np.array(["one", "two"]),
    )


@pytest.mark.parametrize("truth", [composition(), motion(), maps()])
def test_what_is_saved_is_loaded(tmp_path, truth):
    truth.save(tmp_path / "truth.npz")
    for path in (tmp_path, tmp_path / "truth.npz"):
        loaded = load_truth(path)
        assert type(loaded) is type(truth)
        for name, value in vars(truth).items():
            np.testing.assert_array_equal(getattr(loaded, name), value)
            assert isinstance(getattr(loaded, name), type(value))
    with np.load(tmp_path / "truth.npz", allow_pickle=False) as stored:
        assert str(stored["kind"]) == truth.kind


def test_particles_are_joined_by_name_in_any_order():
    truth = align_truth(composition(), ["c", "b"])
    assert truth.names.tolist() == ["c", "b"]
    assert truth.presence[:, 1].tolist() == [True, False]
    assert align_truth(motion(), ["b", "a"]).angles_degrees.ravel().tolist() == [4.0, 3.0]
    assert align_truth(maps(), ["b"]).map_index.tolist() == [0]


def test_names_that_do_not_match_are_refused():
    with pytest.raises(InputError, match=r"run x: 1 of its 2 .*: d\..*like 'a'"):
        rows_of(["a", "b"], ["b", "d"], "run x")
    with pytest.raises(InputError, match=r"two particles .*are called 'b'"):
        rows_of(["a", "b", "b"], ["a"])


def test_other_files_are_refused(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        load_truth(tmp_path)
    np.savez(tmp_path / "truth.npz", names=np.array(["a"]))
    with pytest.raises(InputError, match="holds no ground truth"):
        load_truth(tmp_path)
    np.savez(tmp_path / "truth.npz", kind=np.array("other"))
    with pytest.raises(InputError, match="holds no ground truth"):
        load_truth(tmp_path)
