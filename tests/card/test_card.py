"""What runs on a graphics card, on one that is pretended, in a process of its own."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch.utils.backend_registration

from own_python import in_python


@pytest.mark.skipif(
    not hasattr(torch.utils.backend_registration, "_setup_privateuseone_for_python_backend"),
    reason="this version of torch has no devices that are written in Python",
)
def test_on_a_pretended_card():
    folder = str(Path(__file__).parent)
    shown = in_python("-m", "pytest", folder, "-k", "on_card", CRYOPARTS_PRETENDED_CARD="1")
    sys.stdout.write(shown)
    assert "passed" in shown
