"""A checkpoint is whole or absent, whatever the disk does."""

from __future__ import annotations

import resource

import pytest
import torch

from cryoparts.errors import InputError
from cryoparts.training.checkpoint import (
    Checkpoint,
    load_checkpoint,
    newest_checkpoint,
    save_epoch,
)


def checkpoint(epoch: int) -> Checkpoint:
    return Checkpoint(epoch, {"decoder.weight": torch.full((5000,), float(epoch))}, {}, [])


def test_a_disk_that_fails_is_an_error_of_the_system_and_leaves_the_older_checkpoints(tmp_path):
    save_epoch(tmp_path, checkpoint(1))
    before = {path.name for path in tmp_path.iterdir()}
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))  # as full as a disk can be
    try:
        with pytest.raises(OSError, match="large"):
            save_epoch(tmp_path, checkpoint(2))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert {path.name for path in tmp_path.iterdir()} == before
    assert newest_checkpoint(tmp_path).epoch == 1
    assert load_checkpoint(tmp_path, "epoch_0001").weights["decoder.weight"][0] == 1.0


def test_a_damaged_newest_epoch_gives_way_to_the_one_before(tmp_path, caplog):
    for epoch in (1, 2):
        weights = {"encoder.a": torch.full((2,), float(epoch))}
        save_epoch(tmp_path, Checkpoint(epoch, weights, {}, []))
    assert newest_checkpoint(tmp_path).epoch == 2
    (tmp_path / "epoch_0002.safetensors").write_bytes(b"half")
    assert newest_checkpoint(tmp_path).epoch == 1
    assert "the epoch before is taken" in caplog.text
    (tmp_path / "epoch_0001.json").write_text("{")
    with pytest.raises(InputError, match="epoch_0002"):
        newest_checkpoint(tmp_path)
    assert newest_checkpoint(tmp_path / "absent") is None
