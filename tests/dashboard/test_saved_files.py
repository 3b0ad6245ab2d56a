"""What is saved on the page is what `cryoparts select` writes, and leaves through a tunnel too."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager

import gemmi
import numpy as np
import pytest
from cryosparc.dataset import Dataset

from cryoparts.config.steps import Conditions
from cryoparts.pipeline.particles import select_particles
from cryoparts.run.run import Run
from dashboard_of import ask, dashboard_of, get, post, run_address
from run_of_particles import PARTICLES, make_run, names_of

ODD = {"condition": "half == 2"}


def star(path):
    lines = [f"{name.replace(' ', '')} {i % 360}.5" for i, name in enumerate(names_of())]
    head = "data_particles\n\nloop_\n_rlnImageName #1\n_rlnAngleRot #2\n"
    path.write_text(head + "\n".join(lines) + "\n")
    return np.array([line.split()[0] for line in lines])


def cs(path):
    whole = Dataset.allocate(PARTICLES, [("blob/path", "O"), ("alignments3D/pose", "f4", (3,))])
    whole["blob/path"] = np.array(["J1/stack.mrcs"] * PARTICLES, dtype=object)
    whole["alignments3D/pose"] = np.arange(3 * PARTICLES, dtype=np.float32).reshape(-1, 3)
    whole.save(str(path))
    return whole["uid"].astype(str)


@pytest.mark.parametrize(("suffix", "write"), [(".star", star), (".cs", cs)])
def test_the_particle_file_of_a_selection_is_the_one_that_select_writes(tmp_path, suffix, write):
    names = write(tmp_path / f"particles{suffix}")
    run = make_run(tmp_path / "run", str(tmp_path / f"particles{suffix}"), names=names)
    with dashboard_of(run.root) as server:
        status, saved = post(server, "save", ODD | {"name": "odd"})
        assert (status, saved["count"], saved["by_name_only"]) == (200, PARTICLES // 2, False)
        select_particles(Run(run), "same", Conditions(where="half == 2"))
        ours, theirs = (run.selections_path / f"{name}{suffix}" for name in ("odd", "same"))
        if suffix == ".star":
            assert ours.read_bytes() == theirs.read_bytes()
            block = gemmi.cif.read(str(ours)).find_block("particles")
            assert list(block.find_values("_rlnImageName")) == names[1::2].tolist()
        else:
            one, other = Dataset.load(str(ours)), Dataset.load(str(theirs))
            assert one["uid"].astype(str).tolist() == names[1::2].tolist()
            assert one == other
        # and it can be had through the browser
        files = get(server, "content")[1]["selections"][0]["files"]
        assert files == [".csv", suffix]
        where = run_address(server, f"file?name=odd&suffix={suffix}")
        assert ask(server, "GET", where) == (200, ours.read_bytes())


@pytest.mark.parametrize(
    "query",
    ["name=odd&suffix=.json", "name=../config&suffix=.yaml", "name=%2e%2e&suffix=/../x", ""],
)
def test_no_other_file_can_be_had(server, query):
    assert post(server, "save", ODD | {"name": "odd"})[0] == 200
    status, body = ask(server, "GET", run_address(server, f"file?{query}"))
    assert status == 400 or body.startswith(b"name\n")


@contextmanager
def tunnel(port):
    """Another port of this computer that leads to `port`, as ``ssh -L`` makes one."""
    with socket.create_server(("127.0.0.1", 0)) as entry:

        def pump(source, target):
            while chunk := _received(source):
                target.sendall(chunk)
            target.close()

        def serve():
            while True:
                try:
                    come, _ = entry.accept()
                except OSError:
                    return
                go = socket.create_connection(("127.0.0.1", port))
                for ends in ((come, go), (go, come)):
                    threading.Thread(target=pump, args=ends, daemon=True).start()

        threading.Thread(target=serve, daemon=True).start()
        yield entry.getsockname()[1]
        entry.shutdown(socket.SHUT_RDWR)


def _received(source):
    try:
        return source.recv(65536)
    except OSError:
        return b""


def test_the_page_works_through_a_tunnel_that_ends_at_another_port(server, new_page):
    with tunnel(server.port) as port:
        page = new_page()
        page.goto(f"http://localhost:{port}/?token={server.access.token}")
        page.wait_for_selector("body[data-ready]")
        assert page.url.startswith(f"http://localhost:{port}/run/")
        assert "token" not in page.url
        page.fill("#condition", "half == 2")
        page.press("#condition", "Enter")
        page.wait_for_selector("#save:enabled")
        page.fill("#name", "far")
        page.click("#save")
        page.wait_for_selector("#selections li")
        assert (server.folders.alone.directory.selections_path / "far.csv").is_file()
        page.close()


def test_without_the_token_the_browser_shows_where_it_is(server, new_page):
    page = new_page(width=390, height=844)
    page.goto(f"http://127.0.0.1:{server.port}/")
    assert "?token=..." in page.inner_text("main")
    assert page.evaluate("() => document.documentElement.scrollWidth") <= 390
