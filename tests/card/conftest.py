"""Tests on a card that is pretended run in a process of their own (`test_card.py`).

Torch's engine counts the kinds of devices once, at the first gradient of a process.
"""

from __future__ import annotations

import os

import pytest

from pretended_card import Splat, pretended_card

OWN_PROCESS = "CRYOPARTS_PRETENDED_CARD"

collect_ignore_glob = [] if OWN_PROCESS in os.environ else ["test_on_card_*.py"]


@pytest.fixture
def card(monkeypatch):
    """The device "card", whose splat reads nothing back."""
    from cryoparts.kernels import splat as dispatch

    with pretended_card() as card:
        monkeypatch.setattr(dispatch, "splat_reference", lambda *a: Splat.apply(card, *a))
        yield card
