"""A dashboard that answers, and requests to it without a browser."""

from __future__ import annotations

import http.client
import json
from contextlib import contextmanager

from cryoparts.dashboard.server import DashboardServer


@contextmanager
def dashboard_of(folder):
    """A dashboard that listens on a free port."""
    with DashboardServer(folder, 0) as listening:
        thread = listening.serving()
        try:
            yield listening
        finally:
            listening.shutdown()
            thread.join()


def ask(server, method, path, request=None, *, token=True, **headers):
    """(status, body) of one request; with the cookie of a browser that was let in."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    if token:
        headers = {"Cookie": f"{server.access.cookie}={server.access.token}"} | headers
    body = request if request is None or isinstance(request, bytes) else json.dumps(request)
    connection.request(method, path, body, headers)
    answer = connection.getresponse()
    found = answer.status, answer.read()
    connection.close()
    return found


def run_address(server, what="", number=0):
    """Address of a question about a run."""
    return f"/run/{server.folders.all()[number].key}/{what}"


def get(server, what):
    """(status, answer) of a question about the first run, from JSON."""
    status, body = ask(server, "GET", run_address(server, what))
    return status, json.loads(body)


def post(server, what, request, **headers):
    """(status, answer) of an action on the first run, from JSON."""
    status, body = ask(server, "POST", run_address(server, what), request, **headers)
    return status, json.loads(body)


AS_LOADED = """async () => {
  const get = (id) => document.getElementById(id);
  const pressed = document.querySelector('#parts [aria-pressed=true]');
  get('forget').click();
  get('clear').click();
  if (pressed) pressed.click();
  get('tool-lasso').click();
  get('map').value = '';
  get('map').onchange();
  get('condition').value = '';
  get('view').value = 0;
  await get('view').onchange();
}"""
"""Puts a page of a run back to where it began: tests share one, as each takes seconds to draw."""


def begin_again(page):
    """The page as it was when it was loaded, but for what was saved."""
    page.evaluate(AS_LOADED)
    page.wait_for_function(
        "() => document.getElementById('count').textContent === 'nothing chosen'"
    )
    return page
