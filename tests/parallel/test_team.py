"""Several processes do what one does: the same answers, in the same order, the same errors."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import team_tasks
from cryoparts.errors import InputError
from cryoparts.memory.limit import GIB
from cryoparts.parallel.current import shared_work, team
from cryoparts.parallel.group import Group
from cryoparts.parallel.team import Team, inherited_threads, threads_of
from team_tasks import AddsUp, Ends, Fails, Squares, SumsOf, SweepsWithin, Threads

SUPPORT = Path(team_tasks.__file__).parent
ROWS = np.arange(40, 440)


@pytest.fixture
def visible(monkeypatch):
    """The tasks, where other processes find them."""
    path = os.pathsep.join([str(SUPPORT), *filter(None, [os.environ.get("PYTHONPATH")])])
    monkeypatch.setenv("PYTHONPATH", path)


def followers() -> list[psutil.Process]:
    children = psutil.Process().children()  # other tests may have left theirs
    return [child for child in children if "cryoparts.parallel.follow" in child.cmdline()]


def together_of(count: int, particles: int = 10, **options: int) -> tuple[float, int]:
    told: list[int] = []
    made = team().together(AddsUp(count), told.append, particles=particles, **options)
    assert told == [count]
    return made


def test_two_processes_answer_as_one_and_both_work(visible):
    told = []
    with shared_work(2):
        shared = list(team().sweep(Squares(), ROWS, 7, lambda *done: told.append(done)))
        again = list(team().sweep(Squares(), ROWS, 7))
        assert together_of(101) == (5050.0, 2)
        assert together_of(101, most=1) == (5050.0, 1)
        threads = {answer for _, answer in team().sweep(Threads(), ROWS, 7)}
        assert [a for _, a in team().sweep(SweepsWithin(), ROWS, 100)] == [
            [int(row) ** 2 for row in ROWS[start : start + 100]] for start in range(0, 400, 100)
        ]
    alone = list(team().sweep(Squares(0.0), ROWS, 7))
    for made in (shared, again):
        assert [place for place, _ in made] == [place for place, _ in alone]
        squares = [square for _, (square, _) in made]
        assert np.array_equal(np.concatenate(squares), ROWS**2)
        assert len({process for _, (_, process) in made}) == 2
    assert {process for _, (_, process) in alone} == {os.getpid()}
    assert threads == {max(1, torch.get_num_threads() // 2)}
    assert told[-1] == (400, 400)
    assert told == sorted(told)
    assert not followers()


@pytest.mark.parametrize(
    ("processes", "particles", "others"),
    [(2, 10, 1), (1, 10**6, 0), (None, 10, 0), (None, 10**6, 1)],
)
def test_others_are_started_before_they_are_needed(visible, processes, particles, others):
    with threads_of(2), shared_work(processes):
        team().foresee(particles)
        team().foresee(particles)
        assert len(followers()) == others
        assert together_of(101, particles) == (5050.0, 1 + others)
    assert not followers()


def test_the_first_of_three_processes_add_up_what_falls_to_them(visible):
    with shared_work(3):
        assert together_of(101) == (5050.0, 3)
        for _ in range(2):
            assert together_of(101, most=2) == (5050.0, 2)
        assert together_of(101) == (5050.0, 3)
    assert not followers()


@pytest.mark.parametrize(
    ("share", "members", "neighbours", "available", "expected"),
    [
        (1, 32, 32, 32, 1),
        (1, 1, 32, 32, 32),
        (1, 3, 32, 32, 10),
        (4, 2, 8, 32, 16),
        (1, 64, 32, 32, 1),  # two machines
        (1, 2, 32, 1, 1),  # each bound to its own core
    ],
)
def test_those_who_work_have_the_cores_of_those_who_wait(
    share, members, neighbours, available, expected
):
    assert inherited_threads(share, members, neighbours, available) == expected


@pytest.mark.parametrize(("gibibytes", "expected"), [(0.2, 1), (2.0, 2), (64.0, 3)])
def test_no_more_processes_than_there_is_memory_for(monkeypatch, gibibytes, expected):
    monkeypatch.setattr("cryoparts.parallel.team.left_bytes", lambda: int(gibibytes * GIB))
    with threads_of(3):
        assert Team(None).size() == expected
        assert Team(5).size() == 5  # as asked for


@pytest.mark.parametrize("most", [100, 5])
@pytest.mark.parametrize("processes", [1, 2])
def test_totals_are_sums_over_all_whatever_memory_bears(visible, processes, most):
    with shared_work(processes):
        total, several = team().total(SumsOf(most), ROWS, 7)
    assert total == ROWS.sum()
    assert several.tolist() == [ROWS.sum(), (ROWS**2).sum()]


def test_work_that_is_small_is_not_shared():
    with shared_work():
        assert {p for _, (_, p) in team().sweep(Squares(), ROWS[:20], 7)} == {os.getpid()}
        assert together_of(101) == (5050.0, 1)
    assert not followers()


@pytest.mark.parametrize(
    ("kind", "expected", "said"),
    [
        ("input", InputError, "stack.mrcs: it went away. Put it back."),
        ("disk", OSError, "No space left on device: 'images.npy'"),
        ("unknown", InputError, "process 1: ValueError: an unknown sum"),
    ],
)
def test_an_error_of_another_process_is_the_leaders(visible, kind, expected, said):
    with shared_work(2):
        with pytest.raises(expected, match=said.split(":")[0].replace("[", r"\[")) as caught:
            list(team().sweep(Fails(os.getpid(), kind), ROWS, 7))
        assert said in str(caught.value)
        # the work goes on here
        assert len(list(team().sweep(Squares(0.0), ROWS, 7))) == 58
    assert not followers()


def test_a_process_that_ends_is_named_with_a_cure(visible):
    with shared_work(2):
        with pytest.raises(InputError, match="process 2 of 2 has ended") as caught:
            list(team().sweep(Ends(os.getpid()), ROWS, 7))
        assert "--processes 1" in caught.value.cure
        assert len(list(team().sweep(Squares(0.0), ROWS, 7))) == 58
    assert not followers()


def test_a_sweep_that_is_left_early_leaves_the_team_in_order(visible):
    with shared_work(2):
        for _ in team().sweep(Squares(), ROWS, 1):
            break
        assert len(list(team().sweep(Squares(0.0), ROWS, 7))) == 58


def test_followers_end_with_a_leader_that_is_killed(visible):
    program = (
        "import numpy as np, sys\n"
        "from cryoparts.parallel.current import shared_work, team\n"
        "from team_tasks import Squares\n"
        "with shared_work(2):\n"
        "    list(team().sweep(Squares(), np.arange(99), 7))\n"
        "    print('joined', flush=True)\n"
        "    list(team().sweep(Squares(1.0), np.arange(9999), 7))\n"
    )
    leader = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    with leader:
        assert leader.stdout is not None
        assert leader.stdout.readline() == b"joined\n"
        left = psutil.Process(leader.pid).children()
        assert len(left) == 1
        leader.kill()
    _, alive = psutil.wait_procs(left, timeout=20)
    assert not alive


@given(st.integers(0, 50), st.integers(1, 9))
def test_shares_are_everything_once_and_even(count, size):
    shares = [range(count)[Group(rank, size).share(count)] for rank in range(size)]
    assert [one for share in shares for one in share] == list(range(count))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_a_team_is_asked_for_by_the_thread_that_holds_it():
    from threading import Thread

    sizes = []
    with shared_work(2):
        thread = Thread(target=lambda: sizes.append(team().size()))
        thread.start()
        thread.join()
        assert team().size() == 2
    assert sizes == [1]
