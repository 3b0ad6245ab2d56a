"""What the dashboard serves of a run, and what it writes."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import threading
import time

import numpy as np
import pytest

from cryoparts.dashboard import actions
from cryoparts.dashboard.run_view import RunView
from cryoparts.selection.selection import read_names
from dashboard_of import ask, dashboard_of, get, post, run_address
from run_of_particles import PARTICLES, make_run, names_of

SQUARE = [[-1, -1], [9.5, -1], [9.5, 99], [-1, 99]]
"""In the plane of x:part_1 and y:part_1: the first ten particles."""

LASSO = {"lasso": {"x": "x:part_1", "y": "y:part_1", "corners": SQUARE}}


def rows(answer):
    """Particles of an answer's mask."""
    bits = np.frombuffer(base64.b64decode(answer["mask"]), np.uint8)
    return np.flatnonzero(np.unpackbits(bits, bitorder="little")[:PARTICLES]).tolist()


def selections_of(server):
    return server.folders.alone.directory.selections_path


def test_the_content_holds_parts_views_and_columns(server):
    status, content = get(server, "content")
    assert status == 200
    assert content["particles"] == PARTICLES
    assert [part["title"] for part in content["parts"]] == ["core", "part 1", "part 2, arm"]
    assert [part["gaussians"] for part in content["parts"]] == [16, 9, 5]
    assert [view["title"] for view in content["views"]] == [
        "latent space", "part 1", "part 2, arm", "part 1 + part 2, arm",
    ]  # fmt: skip
    known = {column["name"] for column in content["columns"]}
    assert {view[axis] for view in content["views"] for axis in ("x", "y", "colour")} <= known
    assert len(content["model"]["x"]) == 30


def test_the_page_needs_nothing_of_elsewhere_and_holds_no_program_of_its_own(server):
    status, body = ask(server, "GET", run_address(server))
    assert status == 200
    page = body.decode()
    assert "http" not in page
    assert "<style" not in page
    assert page.count("<script") == page.count('<script src="/static/') == page.count("</script>")


def test_a_column_comes_as_binary_numbers_in_the_order_of_the_run(server):
    status, body = ask(server, "GET", run_address(server, "column?name=defocus"))
    assert status == 200
    np.testing.assert_array_equal(np.frombuffer(body, "<f4"), 10100 + 100 * np.arange(PARTICLES))
    status, body = ask(server, "GET", run_address(server, "column?name=nothing"))
    assert status == 400
    assert "Known columns" in json.loads(body)["error"]


def test_a_lasso_chooses_and_saves_and_can_be_joined_with_what_is_saved(server):
    status, answer = post(server, "choose", LASSO)
    assert (status, answer["count"], rows(answer)) == (200, 10, list(range(10)))
    status, answer = post(server, "save", LASSO | {"name": "ten"})
    assert (status, answer["count"]) == (200, 10)
    folder = selections_of(server)
    assert read_names(folder / "ten.csv") == names_of()[:10].tolist()
    record = json.loads((folder / "ten.json").read_text())
    assert record["made_by"]["lasso"]["corners"] == SQUARE
    odd = {"condition": "half == 2", "with": "ten"}
    for join, expected in {
        "and": range(1, 10, 2),
        "or": [*range(10), *range(11, PARTICLES, 2)],
        "minus": range(0, 10, 2),
    }.items():
        status, answer = post(server, "choose", odd | {"join": join})
        assert rows(answer) == list(expected), join
    assert post(server, "choose", {"condition": "selection:ten"})[1]["count"] == 10


def test_a_lasso_in_space_chooses_what_lies_within_it_on_the_screen(server):
    # seen along the third axis, the plane of the first two; x doubled and shifted by 3
    view = [[2, 0, 0, 3], [0, 1, 0, 0]]
    space = {"x": "x:part_1", "y": "y:part_1", "z": "defocus", "view": view}
    corners = [[2 * x + 3, y] for x, y in SQUARE]
    answer = post(server, "choose", {"lasso": space | {"corners": corners}})[1]
    assert rows(answer) == list(range(10))
    # seen along the second, the defocus upward: the first five
    along = space | {"view": [[1, 0, 0, 0], [0, 0, 0.01, -101]]}
    low = [[-1, -1], [99, -1], [99, 4.5], [-1, 4.5]]
    answer = post(server, "choose", {"lasso": along | {"corners": low}})[1]
    assert rows(answer) == list(range(5))


def test_a_selection_is_replaced_only_when_told(server):
    assert post(server, "save", LASSO | {"name": "ten"})[0] == 200
    status, answer = post(server, "save", {"condition": "half == 1", "name": "ten"})
    assert status == 400
    assert "is a selection of this name" in answer["error"]
    again = {"condition": "half == 1", "name": "ten", "replace": True}
    assert post(server, "save", again)[1]["count"] == PARTICLES // 2


def test_what_cannot_be_decided_is_said(server):
    answer = post(server, "choose", {"condition": "angle:arm > 0"})[1]
    assert answer["undecided"] == 1


SPACE = {"x": "half", "y": "half", "z": "half"}


@pytest.mark.parametrize(
    "request_",
    [
        {},
        [1],
        {"condition": "nothing > 1"},
        {"lasso": {"x": "half"}},
        {"lasso": {"x": "half", "y": "half", "corners": [["a", "b"]]}},
        {"lasso": {"x": "half", "y": "half", "corners": [[0, 0], [1, None], [2, 2]]}},
        {"lasso": SPACE | {"corners": SQUARE}},
        {"lasso": SPACE | {"corners": SQUARE, "view": [[1, 2], [3]]}},
        {"lasso": SPACE | {"corners": SQUARE, "view": [[1, 2, 3], [4, 5, 6]]}},
        {"lasso": [1, 2]},
        {"condition": "half == 1", "join": "xor", "with": "ten"},
        {"condition": "half == 1", "join": "and", "with": "../../config"},
    ],
)
def test_wrong_requests_are_answered_in_words(server, request_):
    status, answer = post(server, "choose", request_)
    assert status == 400
    assert answer["error"]


@pytest.mark.parametrize("name", ["", "../out", "a b", "<script>", 'a"b', "选择", "x" * 300])
def test_nothing_is_written_outside_the_selections(server, name):
    status, _ = post(server, "save", LASSO | {"name": name})
    assert status == 400
    assert not selections_of(server).exists()


def test_a_run_without_parts_and_latents_is_shown_as_far_as_it_is(tmp_path):
    run = make_run(tmp_path / "run")
    for path in (run.parts_path, run.root / "focus", run.motion_path):
        for file in sorted(path.rglob("*"), reverse=True):
            file.rmdir() if file.is_dir() else file.unlink()
    run.latent_csv_path.unlink()
    content = RunView.of(run).content()
    assert content["parts"] == []
    assert content["views"][0]["x"] == "defocus"


def test_a_page_that_is_loaded_anew_shows_what_has_changed_and_reads_nothing_else(server):
    run = server.folders.alone
    first = run.load()
    assert run.load() is first
    (run.directory.composition_path).mkdir()
    run.directory.presence_path.write_text(
        "name,part_1\n" + "".join(f'"{name}",0.25\n' for name in names_of())
    )
    assert "presence:part_1" in run.load().columns.values


def test_a_fault_of_the_program_is_said_on_the_page_and_shown_in_the_terminal(
    server, monkeypatch, caplog
):
    def broken(_run, _asked):
        raise ZeroDivisionError("by zero")

    monkeypatch.setitem(actions.QUESTIONS, "content", broken)
    status, answer = get(server, "content")
    assert status == 500
    assert "ZeroDivisionError" in answer["error"]
    assert "in broken" in caplog.text
    assert get(server, "job")[0] == 200


def test_the_server_ends_without_a_word_while_it_answers(tmp_path, monkeypatch, capfd):
    waiting = threading.Event()

    def slow(_run, _asked):
        waiting.set()
        time.sleep(3)
        return {}

    def unanswered(server):
        with contextlib.suppress(OSError, ValueError, http.client.HTTPException):
            get(server, "content")

    monkeypatch.setitem(actions.QUESTIONS, "content", slow)
    with dashboard_of(make_run(tmp_path / "other").root) as server:
        server._server.config.timeout_graceful_shutdown = 0.1
        asking = threading.Thread(target=unanswered, args=(server,))
        asking.start()
        waiting.wait(10)
    asking.join()
    assert capfd.readouterr() == ("", "")
