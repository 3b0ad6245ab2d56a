from __future__ import annotations

import numpy as np
import pytest

from cryoparts.states.kept_batches import KeptBatches


def batches(with_displacements: bool):
    random = np.random.default_rng(0)
    for count in (4, 4, 4, 1):
        scalars = random.normal(size=(count, 3)).astype(np.float32)
        yield scalars, random.normal(size=(count, 3, 3)) if with_displacements else None


@pytest.mark.parametrize("with_displacements", [True, False])
@pytest.mark.parametrize("held", [0, 60, 10**6])
def test_what_was_kept_comes_again_as_often_as_wanted(tmp_path, held, with_displacements):
    kept = KeptBatches(tmp_path, held, 10**6)
    for batch in batches(with_displacements):
        kept.add(batch)
    assert kept.whole
    for _ in range(2):
        for mine, theirs in zip(kept, batches(with_displacements), strict=True):
            for one, other in zip(mine, theirs, strict=True):
                np.testing.assert_equal(one, other)
    assert list(tmp_path.iterdir()) == []  # the file has no name
    kept.close()


def test_too_much_is_given_up_whole(tmp_path):
    kept = KeptBatches(tmp_path, 20, 10)
    for batch in batches(with_displacements=False):
        kept.add(batch)
    assert not kept.whole
    assert list(kept) == []


def test_a_file_that_cannot_be_written_gives_up(tmp_path):
    kept = KeptBatches(tmp_path / "nowhere", 0, 10**6)
    kept.add(next(batches(with_displacements=False)))
    assert not kept.whole
