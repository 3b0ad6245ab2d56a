"""What a run knows is measured once, kept, and measured again when what it rests on changes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from cryoparts.errors import InputError
from cryoparts.inference.calibration import Calibration
from cryoparts.inference.decode import TrainedDecoder
from cryoparts.inference.latents import write_latents
from cryoparts.io.derived import derived
from cryoparts.run.run import Run
from cryoparts.training.trainer import Trainer
from training_example import Silent


@pytest.fixture
def trained(example) -> Run:
    run = Run(example.run)
    Trainer(run.directory, run.setup, run.training).train(Silent())
    write_latents(run.directory, run.setup)
    return Run.open(run.root)


def counted(monkeypatch) -> list[int]:
    """Sizes of the batches that are decoded from now on."""
    sizes: list[int] = []
    offsets = TrainedDecoder.offsets

    def count(self, indices):
        sizes.append(len(indices))
        return offsets(self, indices)

    monkeypatch.setattr(TrainedDecoder, "offsets", count)
    return sizes


def test_two_verbs_of_one_run_calibrate_once(trained, monkeypatch):
    decodes = counted(monkeypatch)
    first = trained.calibration
    assert sum(decodes) > 0
    decodes.clear()
    again = Run.open(trained.root)  # as another verb opens it
    for name, values in first.as_arrays().items():
        np.testing.assert_array_equal(again.calibration.as_arrays()[name], values)
    assert decodes == []


def test_other_networks_are_calibrated_anew(trained, monkeypatch):
    before = trained.calibration
    path = trained.directory.checkpoints_path / "best.safetensors"
    from safetensors.torch import load_file, save_file

    weights = load_file(path)
    save_file({name: 1.5 * value for name, value in weights.items()}, path)
    decodes = counted(monkeypatch)
    after = Run.open(trained.root).calibration
    assert sum(decodes) > 0
    assert not np.array_equal(before.levels.present, after.levels.present)


def test_noise_is_measured_once(trained, monkeypatch):
    def measured(*_: object) -> torch.Tensor:
        raise AssertionError("the noise is measured again")

    monkeypatch.setattr("cryoparts.image_model.forward_model.ForwardModel.measure_noise", measured)
    assert (Run.open(trained.root).noise > 0).all()


def test_the_encoder_s_latent_vectors_are_kept(trained, monkeypatch):
    encoded = trained.encoded

    def again(*_: object) -> torch.Tensor:
        raise AssertionError("encoded again")

    monkeypatch.setattr(TrainedDecoder, "encoded", again)
    np.testing.assert_array_equal(Run.open(trained.root).encoded, encoded)


def test_batches_joined_are_what_is_decoded_at_once(trained, monkeypatch):
    whole = trained.decoder.decode()
    monkeypatch.setattr("cryoparts.inference.decode.BATCH", 7)
    batches = list(trained.decoded())
    assert max(len(batch) for batch in batches) == 7
    np.testing.assert_array_equal(np.concatenate([b.names for b in batches]), whole.names)
    np.testing.assert_allclose(
        np.concatenate([b.relative_amplitudes for b in batches]),
        whole.relative_amplitudes,
        atol=1e-5,
    )


def test_a_step_that_has_not_run_is_named(trained):
    assert not trained.has_parts
    for ask, command in (
        (lambda: trained.parts, "cryoparts parts"),
        (lambda: trained.states(1), "cryoparts focus"),
        (lambda: trained.composition, "cryoparts composition"),
    ):
        with pytest.raises(InputError, match="an earlier step has not run") as refused:
            ask()
        assert command in refused.value.cure
    assert trained.motions is None


def test_a_calibration_survives_its_file():
    calibration = Calibration(None, None, np.ones((3, 3), dtype=np.float32))
    again = Calibration.from_arrays(calibration.as_arrays())
    assert again.reference is None
    np.testing.assert_array_equal(again.mean_displacement, calibration.mean_displacement)


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 half", None])
def test_damaged_numbers_are_computed_again(tmp_path: Path, damage):
    path = tmp_path / "a.npz"
    calls: list[int] = []

    def compute():
        calls.append(1)
        return {"a": np.arange(3)}

    derived(path, {"of": 1}, compute)
    derived(path, {"of": 1}, compute)
    assert len(calls) == 1
    derived(path, {"of": 2}, compute)
    assert len(calls) == 2
    if damage is None:
        path.unlink()
        path.mkdir()
    else:
        path.write_bytes(damage)
    np.testing.assert_array_equal(derived(path, {"of": 2}, compute)["a"], np.arange(3))
    assert len(calls) == 3


def test_a_run_that_is_opened_has_as_many_threads_as_it_asks_for(example, monkeypatch):
    asked: list[int | None] = []
    monkeypatch.setattr("cryoparts.run.run.set_threads", asked.append)
    Run.open(example.run.root)  # before anything is computed with it
    assert asked == [1]
