"""A displacement is seen as much as there is of what is displaced."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from cryoparts.inference.decoded import Decoded

DISPLACEMENTS = np.array([[[3.0, 0.0, -1.0], [0.0, 2.0, 0.0], [1.0, 1.0, 1.0], [4.0, 0.0, 0.0]]])
AMPLITUDES = np.array([[0.0, 1.0, 0.25, 1.8]])


def test_displacements_are_seen_by_what_is_there():
    decoded = Decoded(np.array(["1@p.mrcs"]), AMPLITUDES, DISPLACEMENTS)
    seen = decoded.displacements_as_seen
    assert seen is not None
    expected = [[[0, 0, 0], [0, 2, 0], [0.25, 0.25, 0.25], [4, 0, 0]]]
    np.testing.assert_allclose(seen, expected)
    negative = replace(decoded, relative_amplitudes=-AMPLITUDES).displacements_as_seen
    np.testing.assert_array_equal(negative, np.zeros_like(DISPLACEMENTS))


def test_what_does_not_come_and_go_is_seen_wherever_it_is():
    widths = np.array([[0.0, 1.0, 0.5, 2.0]])
    decoded = Decoded(np.array(["1@p.mrcs"]), None, DISPLACEMENTS, widths)
    np.testing.assert_array_equal(decoded.displacements_as_seen, DISPLACEMENTS)
    assert replace(decoded, displacements=None).displacements_as_seen is None
