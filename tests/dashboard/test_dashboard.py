"""What the dashboard serves, what it writes, and what it refuses."""

from __future__ import annotations

import http.client
import json
import re
import socket
import threading

import numpy as np
import pytest

from cryoparts.dashboard.page import Dashboard
from cryoparts.dashboard.server import TOKEN_HEADER, DashboardServer
from cryoparts.errors import InputError
from cryoparts.selection.selection import read_names
from run_of_particles import PARTICLES, make_run, names_of

SQUARE = [[-1, -1], [9.5, -1], [9.5, 99], [-1, 99]]
"""In the plane of x:part_1 and y:part_1: the first ten particles."""

LASSO = {"lasso": {"x": "x:part_1", "y": "y:part_1", "corners": SQUARE}}


def save(run, selection, name):
    return selection.save(run.selections_path, name)


@pytest.fixture
def server(tmp_path):
    """A dashboard that listens on a free port."""
    with DashboardServer(make_run(tmp_path / "run"), save, 0) as listening:
        thread = threading.Thread(target=listening.serve_forever, args=(0.01,))
        thread.start()
        yield listening
        listening.shutdown()
        thread.join()


def ask(server, method, path, request=None, **headers):
    """(status, body) of one request."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    body = None if request is None else json.dumps(request)
    connection.request(method, path, body, headers)
    answer = connection.getresponse()
    found = answer.status, answer.read()
    connection.close()
    return found


def post(server, path, request, **headers):
    status, body = ask(server, "POST", path, request, **({TOKEN_HEADER: server.token} | headers))
    return status, json.loads(body)


def test_the_page_holds_parts_views_and_columns(server):
    status, body = ask(server, "GET", "/")
    assert status == 200
    page = body.decode()
    content = json.loads(re.search(r'id="content">(.*?)</script>', page, re.DOTALL)[1])
    assert content["particles"] == PARTICLES
    assert [part["title"] for part in content["parts"]] == ["core", "part_1", "arm"]
    assert [part["gaussians"] for part in content["parts"]] == [16, 9, 5]
    assert [view["title"] for view in content["views"]] == [
        "latent space", "part_1", "arm", "part_1 + arm",
    ]  # fmt: skip
    known = {column["name"] for column in content["columns"]}
    assert {view[axis] for view in content["views"] for axis in ("x", "y", "colour")} <= known
    assert len(content["model"]["x"]) == 30
    assert "http" not in re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)


def test_a_column_comes_as_binary_numbers_in_the_order_of_the_run(server):
    status, body = ask(server, "GET", "/column?name=defocus")
    assert status == 200
    np.testing.assert_array_equal(np.frombuffer(body, "<f4"), 10100 + 100 * np.arange(PARTICLES))
    status, body = ask(server, "GET", "/column?name=nothing")
    assert status == 400
    assert "Known columns" in json.loads(body)["error"]


def test_a_lasso_chooses_and_saves_and_can_be_joined_with_what_is_saved(server):
    status, answer = post(server, "/choose", LASSO)
    assert (status, answer["count"], answer["rows"]) == (200, 10, list(range(10)))
    status, answer = post(server, "/save", LASSO | {"name": "ten"})
    assert (status, answer["count"]) == (200, 10)
    folder = server.dashboard.run.selections_path
    assert read_names(folder / "ten.csv") == names_of()[:10].tolist()
    record = json.loads((folder / "ten.json").read_text())
    assert record["made_by"]["lasso"]["corners"] == SQUARE
    odd = {"condition": "half == 2", "with": "ten"}
    for join, rows in {
        "and": range(1, 10, 2),
        "or": [*range(10), *range(11, PARTICLES, 2)],
        "minus": range(0, 10, 2),
    }.items():
        status, answer = post(server, "/choose", odd | {"join": join})
        assert answer["rows"] == list(rows), join
    assert post(server, "/choose", {"condition": "selection:ten"})[1]["count"] == 10


def test_a_selection_is_replaced_only_when_told(server):
    assert post(server, "/save", LASSO | {"name": "ten"})[0] == 200
    status, answer = post(server, "/save", {"condition": "half == 1", "name": "ten"})
    assert status == 400
    assert "is a selection of this name" in answer["error"]
    again = {"condition": "half == 1", "name": "ten", "replace": True}
    assert post(server, "/save", again)[1]["count"] == PARTICLES // 2


def test_what_cannot_be_decided_is_said(server):
    answer = post(server, "/choose", {"condition": "angle:arm > 0"})[1]
    assert answer["undecided"] == 1


@pytest.mark.parametrize(
    "request_",
    [
        {},
        {"condition": "nothing > 1"},
        {"lasso": {"x": "half"}},
        {"lasso": {"x": "half", "y": "half", "corners": [["a", "b"]]}},
        {"lasso": [1, 2]},
        {"condition": "half == 1", "join": "xor", "with": "ten"},
        {"condition": "half == 1", "join": "and", "with": "../../config"},
    ],
)
def test_wrong_requests_are_answered_in_words(server, request_):
    status, answer = post(server, "/choose", request_)
    assert status == 400
    assert answer["error"]


@pytest.mark.parametrize("name", ["", "../out", "a b"])
def test_nothing_is_written_outside_the_selections(server, name):
    status, _ = post(server, "/save", LASSO | {"name": name})
    assert status == 400
    assert not server.dashboard.run.selections_path.exists()


def test_other_pages_of_the_browser_are_refused(server):
    assert ask(server, "GET", "/", Host="evil.example")[0] == 403
    assert ask(server, "GET", "/column?name=half", Host=f"evil.example:{server.port}")[0] == 403
    assert post(server, "/save", LASSO | {"name": "x"}, **{TOKEN_HEADER: "guess"})[0] == 403
    assert ask(server, "POST", "/save", LASSO | {"name": "x"})[0] == 403
    assert not server.dashboard.run.selections_path.exists()
    assert ask(server, "GET", "/config.yaml")[0] == 404
    assert ask(server, "POST", "/choose")[0] == 413


def test_only_this_computer_is_served(server):
    assert server.server_address[0] == "127.0.0.1"


def test_a_taken_port_is_a_plain_error(tmp_path):
    run = make_run(tmp_path / "run")
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(InputError, match=rf"--port {port}: cannot be listened on.*--port"):
            DashboardServer(run, save, port)
    with pytest.raises(InputError, match="--port 99999"):
        DashboardServer(run, save, 99999)


def test_a_run_without_parts_and_latents_is_shown_as_far_as_it_is(tmp_path):
    run = make_run(tmp_path / "run")
    for path in (run.parts_path, run.root / "focus", run.motion_path):
        for file in sorted(path.rglob("*"), reverse=True):
            file.rmdir() if file.is_dir() else file.unlink()
    run.latent_csv_path.unlink()
    content = Dashboard.of(run).content()
    assert content["parts"] == []
    assert content["views"][0]["x"] == "defocus"
