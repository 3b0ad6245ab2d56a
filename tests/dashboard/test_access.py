"""Who is answered, and who is not."""

from __future__ import annotations

import http.client
import socket
import time

import pytest

from cryoparts.dashboard import access
from cryoparts.dashboard.server import DashboardServer
from cryoparts.errors import InputError
from dashboard_of import ask, post, run_address
from run_of_particles import make_run

SAVE = {"condition": "half == 1", "name": "x"}


def raw(server, *parts, pause=0.0, wait=5.0):
    """What comes back to bytes that are sent as they are."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=wait) as line:
        for part in parts:
            line.sendall(part)
            time.sleep(pause)
        answer = b""
        while chunk := line.recv(65536):
            answer += chunk
            if b"\r\n\r\n" in answer:
                break
        return answer


def head_of_a_post(server):
    path, cookie = run_address(server, "choose"), f"{server.access.cookie}={server.access.token}"
    return f"POST {path} HTTP/1.1\r\nHost: localhost\r\nCookie: {cookie}\r\n"


def nothing_was_saved(server):
    return not server.folders.alone.directory.selections_path.exists()


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]"])
@pytest.mark.parametrize("port", ["", ":9000", ":65000"])
def test_a_tunnel_may_end_at_any_port(server, host, port):
    assert ask(server, "GET", run_address(server), Host=host + port)[0] == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:8765", "localhost.evil.example", "127.0.0.1.evil.example:80",
     "evil.example:80@localhost", "localhost:80:80", "127.0.0.2", "0.0.0.0", "", "[::2]",
     "localhost:x"],
)  # fmt: skip
def test_other_names_of_this_computer_are_refused_by_a_page_for_people(server, host):
    status, body = ask(server, "GET", "/", Host=host)
    assert status == 403
    assert "<h1>" in body.decode()
    assert "ssh -L" in body.decode()


def test_the_printed_address_lets_in_and_leaves_the_token_out_of_the_next(server):
    connection = http.client.HTTPConnection("127.0.0.1", server.port)
    connection.request("GET", server.url.partition(str(server.port))[2])
    answer = connection.getresponse()
    page, cookie = answer.read().decode(), answer.headers["Set-Cookie"]
    connection.close()
    assert answer.status == 200
    assert 'content="0;url=/"' in page
    assert server.access.token not in page
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    known = cookie.partition(";")[0]
    address = run_address(server)
    assert ask(server, "GET", address, token=False, Cookie=known)[0] == 200


@pytest.mark.parametrize(
    "query", ["", "?token=", "?token=guess", "?token=%00%ff", "?token=" + "x" * 5000]
)
def test_without_the_token_a_page_says_where_it_is(server, query):
    status, body = ask(server, "GET", "/" + query, token=False)
    assert status == 403
    assert "?token=..." in body.decode()
    status, body = ask(server, "POST", run_address(server, "save"), SAVE, token=False)
    assert status == 403
    assert b'"error"' in body
    assert nothing_was_saved(server)


def test_a_code_opens_the_page_once(server):
    path = server.url_for_once().partition(str(server.port))[2]
    assert ask(server, "GET", path, token=False)[0] == 200
    assert ask(server, "GET", path, token=False)[0] == 403


def test_where_the_token_leads_to_stays_on_this_server(server):
    status, body = ask(
        server, "GET", f"//evil.example/?token={server.access.token}&a=<b>", token=False
    )
    assert status == 200
    assert 'content="0;url=/evil.example/?a=%3Cb%3E"' in body.decode()


@pytest.mark.parametrize(
    "headers",
    [{"Origin": "http://evil.example"}, {"Origin": "null"}, {"Origin": "http://localhost:1"},
     {"Origin": "https://127.0.0.1"}, {"Sec-Fetch-Site": "cross-site"},
     {"Sec-Fetch-Site": "same-site"}],
)  # fmt: skip
def test_pages_of_other_origins_are_refused(server, headers):
    assert post(server, "save", SAVE, **headers)[0] == 403
    assert nothing_was_saved(server)
    assert ask(server, "GET", run_address(server, "content"), **headers)[0] == 403


def test_the_own_page_and_an_opened_link_are_none_of_them(server):
    own = {"Host": "localhost:9000", "Origin": "http://localhost:9000"}
    assert post(server, "save", SAVE, **own, **{"Sec-Fetch-Site": "same-origin"})[0] == 200
    link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    assert ask(server, "GET", run_address(server), **link)[0] == 200


def test_large_bodies_are_refused_before_they_come(server):
    head = head_of_a_post(server)
    assert b" 413 " in raw(
        server, f"{head}Content-Length: {access.LARGEST_REQUEST + 1}\r\n\r\n".encode()
    )
    # without a length, as many as come
    chunk = b"100000\r\n" + b"x" * 0x100000 + b"\r\n"
    assert b" 413 " in raw(
        server, f"{head}Transfer-Encoding: chunked\r\n\r\n".encode(), *[chunk] * 5
    )


def test_slow_bodies_are_refused(server, monkeypatch):
    guard = server._server.config.app
    monkeypatch.setattr(guard, "_body_seconds", 0.2)
    head = head_of_a_post(server) + "Content-Length: 100\r\n\r\n"
    assert b" 408 " in raw(server, head.encode() + b'{"condi')
    # and the server goes on
    assert post(server, "choose", {"condition": "half == 1"})[0] == 200


@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS", "TRACE"])
def test_other_methods_are_not_answered(server, method):
    assert ask(server, method, run_address(server, "save"))[0] == 405


@pytest.mark.parametrize(
    "path",
    ["/config.yaml", "/run/nothing/", "/run/../config.yaml", "/static/../run_view.py",
     "/static/%2e%2e/server.py", "/static/browser/%2e%2e/palette.py", "/static/", "/run/"],
)  # fmt: skip
def test_there_is_nothing_else(server, path):
    assert ask(server, "GET", path)[0] == 404


def test_every_answer_keeps_scripts_of_elsewhere_out(server):
    connection = http.client.HTTPConnection("127.0.0.1", server.port)
    for path in ("/", "/nothing", "/static/run.js"):
        connection.request("GET", path)
        answer = connection.getresponse()
        answer.read()
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'; script-src 'self';" in policy
        assert "unsafe" not in policy
        assert answer.headers["X-Frame-Options"] == "DENY"
    connection.close()


def test_only_this_computer_is_served(server):
    assert server._socket.getsockname()[0] == "127.0.0.1"


def test_a_taken_port_is_a_plain_error(tmp_path):
    root = make_run(tmp_path / "run").root
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(InputError, match=rf"--port {port}: cannot be listened on.*--port"):
            DashboardServer(root, port)
    with pytest.raises(InputError, match="--port 99999"):
        DashboardServer(root, 99999)
