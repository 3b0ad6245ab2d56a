from __future__ import annotations

import numpy as np
import pytest

from cryoparts.statistics.evenly_spaced import evenly_spaced

ROWS = np.arange(10, 110)


@pytest.mark.parametrize("count", [2, 7, 50, 100])
def test_as_many_as_asked_for_from_the_first_to_the_last(count):
    chosen = evenly_spaced(ROWS, count)
    assert len(chosen) == count
    assert (chosen[0], chosen[-1]) == (10, 109)
    assert np.ptp(np.diff(chosen)) <= 1


def test_fewer_rows_are_all_taken_and_none_of_none():
    assert np.array_equal(evenly_spaced(ROWS, 1000), ROWS)
    assert len(evenly_spaced(ROWS[:0], 5)) == 0
