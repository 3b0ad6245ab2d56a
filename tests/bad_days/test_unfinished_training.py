"""A run whose training was killed before its latent vectors were refined is not a finished one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cryoparts.cli.main import main
from cryoparts.inference import latents
from cryoparts.run.run import Run
from small_runs import small_arguments, small_data


@pytest.fixture
def command(tmp_path: Path) -> list[str]:
    return ["train", *small_arguments(small_data(tmp_path), tmp_path), "-o", str(tmp_path / "run")]


def killed_while(function: str, monkeypatch: pytest.MonkeyPatch, command: list[str]) -> None:
    class Killed(BaseException):
        pass

    def kill(*_: object, **__: object) -> None:
        raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(latents, function, kill)
        main(command)


@pytest.mark.parametrize("function", ["refinement", "_probabilities", "save_array"])
def test_the_next_step_says_so_and_resuming_gives_the_same(
    tmp_path, monkeypatch, capsys, command, function
):
    run = Path(command[-1])
    main([*command[:-1], str(tmp_path / "whole")])
    killed_while(function, monkeypatch, command)
    assert not (run / "latent.npy").exists()
    assert not (run / "probability.npy").exists()
    for verb in (["parts"], ["decode", "-o", str(tmp_path / "d.npz")]):
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([verb[0], str(run), *verb[1:]])
        assert ended.value.code == 2
        said = " ".join(capsys.readouterr().err.split())
        assert "has not come to its end" in said
        assert "--resume" in said
    main([*command, "--resume"])
    for name in ("latent.npy", "probability.npy"):
        np.testing.assert_array_equal(np.load(run / name), np.load(tmp_path / "whole" / name))


def test_a_training_that_goes_on_forgets_the_latent_vectors_of_before(
    tmp_path, monkeypatch, command
):
    """Else they would be taken for those of the networks that have learned on."""
    main(command)
    killed_while("TrainedDecoder", monkeypatch, [*command, "--resume"])
    assert not (Run.open(Path(command[-1])).directory.latent_path).exists()
