"""What the machine, its queue and the user leave to the process."""

from __future__ import annotations

import os
import resource
import subprocess
import sys

import psutil
import pytest

from cryoparts.cli.main import main
from cryoparts.errors import InputError
from cryoparts.memory import limit
from cryoparts.memory.limit import GIB, left_bytes, restricted
from cryoparts.reconstruction.passes import affordable_gigabytes

linux = pytest.mark.skipif(sys.platform != "linux", reason="the limit is refused on Linux alone")

PROGRAM = """
import numpy as np, sys
from cryoparts.cli.main import main
from cryoparts.cli import main as module
import cryoparts.pipeline.checking
import cryoparts.run.run
def greedy(path):
    raise_it = np.ones(1_500_000_000 // 8)
cryoparts.run.run.Run.open = staticmethod(greedy)
main(sys.argv[1:])
"""


@linux
def test_more_than_the_limit_is_refused_with_what_did_not_fit():
    command = [sys.executable, "-c", PROGRAM, "composition", "runs/first"]
    free = subprocess.run(command, capture_output=True, text=True, check=False)
    bound = subprocess.run([*command, "--memory", "1"], capture_output=True, text=True, check=False)
    assert "memory ran out" not in free.stderr
    assert bound.returncode == 1
    assert "unable to allocate 1.40 GiB" in bound.stderr.replace("\n", " ")
    assert "Traceback" not in bound.stderr


@linux
def test_the_limit_ends_with_the_block_and_is_what_is_left():
    before = resource.getrlimit(resource.RLIMIT_DATA)
    free = left_bytes()
    with restricted(free / GIB):
        assert left_bytes() < free
        assert resource.getrlimit(resource.RLIMIT_DATA) != before
    assert resource.getrlimit(resource.RLIMIT_DATA) == before


@pytest.mark.parametrize("value", ["0.5", "nan", "much", ""])
def test_a_limit_that_makes_no_sense_is_refused(value, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["parts", "run", "--memory", value])
    assert ended.value.code == 2
    assert "--memory" in capsys.readouterr().err


def test_the_queue_counts(monkeypatch):
    for name in ("SLURM_MEM_PER_NODE", "SLURM_MEM_PER_CPU", "SLURM_CPUS_ON_NODE"):
        monkeypatch.delenv(name, raising=False)
    assert not list(limit._of_queue(os.environ))
    monkeypatch.setenv("SLURM_MEM_PER_CPU", "2000")
    monkeypatch.setenv("SLURM_CPUS_ON_NODE", "8")
    assert list(limit._of_queue(os.environ)) == [16000 * 2**20]
    monkeypatch.setenv("SLURM_MEM_PER_NODE", "1024")
    used = psutil.Process().memory_info().rss
    assert list(limit._of_queue(os.environ)) == [2**30]
    assert left_bytes() <= max(0, 2**30 - used) + 50 * 2**20
    monkeypatch.setenv("SLURM_MEM_PER_NODE", "0")  # the whole machine
    assert left_bytes() > 2**20


@pytest.mark.parametrize("version", [1, 2])
def test_control_groups_count_with_those_that_hold_them(tmp_path, version):
    own = tmp_path / "own"
    names = {
        1: ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
        2: ("memory.max", "memory.current", "inactive_file"),
    }[version]
    own.write_text({1: "4:cpu,memory:/jobs/one\n", 2: "0::/jobs/one\n"}[version])
    base = tmp_path / "memory" if version == 1 else tmp_path
    (base / "jobs" / "one").mkdir(parents=True)
    none = {1: str(0x7FFFFFFFFFFFF000), 2: "max"}[version]
    for folder, most, used in (("jobs/one", none, 2000), ("jobs", "9000", 5000)):
        (base / folder / names[0]).write_text(f"{most}\n")
        (base / folder / names[1]).write_text(f"{used}\n")
        (base / folder / "memory.stat").write_text(f"anon 3\n{names[2]} 700\n")
    assert list(limit._left_by_groups(tmp_path, own)) == [9000 - 5000 + 700]
    assert not list(limit._left_by_groups(tmp_path / "nowhere", own))
    assert not list(limit._left_by_groups(tmp_path, tmp_path / "nowhere"))


def test_maps_take_no_more_than_half_of_what_is_left():
    box = 64
    with_room = affordable_gigabytes(4.0, box, 2)
    assert 0 < with_room <= 4.0
    assert affordable_gigabytes(1e9, box, 2) * 1e9 <= 0.5 * left_bytes() * 1.1


@pytest.mark.parametrize(("left", "given"), [(3.0, 1.5), (9.0, 4.0), (90.0, 30.0)])
def test_a_third_of_what_is_left_is_for_maps_where_nothing_is_asked(monkeypatch, left, given):
    monkeypatch.setattr("cryoparts.reconstruction.passes.left_bytes", lambda: int(left * 1e9))
    assert affordable_gigabytes(None, 32, 2) == pytest.approx(given)
    assert affordable_gigabytes(4.0, 32, 2) == pytest.approx(min(4.0, left / 2))


def test_maps_that_do_not_fit_are_refused():
    with pytest.raises(InputError, match=r"maps of 8192 pixels: need .*--padding 1 needs"):
        affordable_gigabytes(4.0, 8192, 2)
