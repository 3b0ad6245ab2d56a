"""Files that try to run something when they are opened: nothing of it runs."""

from __future__ import annotations

import io
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest

from archived_run import VERSIONS, unpacked
from cryoparts.cli.main import main
from cryoparts.errors import InputError
from cryoparts.gaussians.model import GaussianModel
from cryoparts.io.array_file import read_npz
from cryoparts.io.pickles import read_arrays
from cryoparts.io.tables import load_array
from cryoparts.particle_files.read_particles import read_particles
from cryoparts.run.run import Run
from fuzz_readers import read_run
from small_runs import small_data


class Bomb:
    """Makes a file when it is unpickled, as if it ran any other command."""

    def __init__(self, proof: Path) -> None:
        self.proof = proof

    def __reduce__(self):
        return Path.touch, (self.proof,)


@pytest.fixture
def proof(tmp_path: Path) -> Path:
    """The file that would be made; the bomb does make it where it is let."""
    path = tmp_path / "it_ran"
    pickle.loads(pickle.dumps(Bomb(path)))
    assert path.exists()
    path.unlink()
    return path


def pickled(proof: Path) -> dict[str, bytes]:
    """Bombs of several kinds: alone, in what a reader expects, by a module's function."""
    named = b"cos\nsystem\n(S'touch " + str(proof).encode() + b"'\ntR."
    evaluated = f"cbuiltins\nexec\n(S'open({str(proof)!r}, \"w\")'\ntR.".encode()
    return {
        "alone": pickle.dumps(Bomb(proof)),
        "in a tuple": pickle.dumps((np.eye(3)[None], Bomb(proof))),
        "in an array": pickle.dumps(np.array([Bomb(proof)], dtype=object)),
        "os.system": named,
        "exec": evaluated,
    }


KINDS = tuple(pickled(Path("/")))


@pytest.mark.parametrize("kind", KINDS)
def test_a_pickle_of_poses_or_ctf_runs_nothing(tmp_path: Path, proof: Path, kind: str) -> None:
    data = tmp_path / "data"
    stack = small_data(data, count=4).with_suffix(".mrcs")
    bomb, sound = data / "bomb.pkl", data / "poses.pkl"
    bomb.write_bytes(pickled(proof)[kind])
    sound.write_bytes(pickle.dumps((np.tile(np.eye(3), (4, 1, 1)), np.zeros((4, 2)))))
    with pytest.raises(InputError, match=r"bomb\.pkl"):
        read_arrays(bomb, "Give another.")
    for poses, ctf in ((bomb, bomb), (sound, bomb)):
        with pytest.raises(SystemExit) as ended:
            main(["check", str(stack), "--poses", str(poses), "--ctf", str(ctf)])
        assert ended.value.code == 2
    assert not proof.exists()


def object_array(proof: Path) -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.array([Bomb(proof)], dtype=object), allow_pickle=True)
    return stream.getvalue()


def object_archive(path: Path, proof: Path, names: tuple[str, ...]) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(f"{name}.npy", object_array(proof))


def test_arrays_of_objects_run_nothing(tmp_path: Path, proof: Path) -> None:
    array, archive = tmp_path / "a.npy", tmp_path / "a.npz"
    array.write_bytes(object_array(proof))
    object_archive(archive, proof, ("positions", "amplitudes", "widths"))
    np.load(array, allow_pickle=True)
    assert proof.exists()  # it would
    proof.unlink()
    with pytest.raises(InputError, match=r"a\.npy"):
        load_array(array)
    with pytest.raises(InputError, match=r"a\.npz"):
        read_npz(archive, "an archive", "Give another.")
    with pytest.raises(InputError, match=r"a\.npz"):
        GaussianModel.load(archive)
    table = tmp_path / "a.cs"
    table.write_bytes(object_array(proof))
    with pytest.raises(InputError, match=r"a\.cs"):
        read_particles(table)
    assert not proof.exists()


def test_no_archive_or_array_of_a_run_folder_runs_anything(tmp_path: Path, proof: Path) -> None:
    run = unpacked(VERSIONS[0], tmp_path)
    refused = []
    for file in sorted(run.rglob("*.np[yz]")):
        content = file.read_bytes()
        if file.suffix == ".npz":
            with np.load(file) as stored:
                names = tuple(stored.files)
            object_archive(file, proof, names)
        else:
            file.write_bytes(object_array(proof))
        try:
            read_run(run)
        except InputError as fault:
            refused.append(fault.where)
        assert not proof.exists(), file
        file.write_bytes(content)
    assert len(refused) > 8


YAMLS = (
    "!!python/object/apply:os.system ['touch {proof}']",
    "!!python/object/new:os.system ['touch {proof}']",
    "!!python/object/apply:pathlib.Path.touch [!!python/object/apply:pathlib.Path ['{proof}']]",
    "options: !!python/object/apply:os.system ['touch {proof}']",
    "options: {{particles: !!python/name:os.system , model: m}}",
)


@pytest.mark.parametrize("text", YAMLS)
def test_yaml_that_names_python_runs_nothing(tmp_path: Path, proof: Path, text: str) -> None:
    run = unpacked(VERSIONS[0], tmp_path)
    (run / "config.yaml").write_text(text.format(proof=proof))
    with pytest.raises(InputError, match=r"config\.yaml"):
        Run.open(run)
    for arguments in (["report", str(run)], ["parts", str(run)]):
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        assert ended.value.code == 2
    plan = tmp_path / "plan.yaml"
    plan.write_text(text.format(proof=proof))
    with pytest.raises(SystemExit) as ended:
        main(["benchmark", "composition", "--config", str(plan), "-o", str(tmp_path / "b")])
    assert ended.value.code == 2
    assert not proof.exists()
