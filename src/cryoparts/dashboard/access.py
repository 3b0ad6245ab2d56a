"""Who may ask: pages of this computer that carry the token, in small and prompt requests."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import re
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, quote, urlencode

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request

from cryoparts.dashboard.pages import go_on, refusal

if TYPE_CHECKING:
    from starlette.responses import Response
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

LARGEST_REQUEST = 4 * 2**20
"""Bytes of a request that are read: a lasso of thousands of corners takes less than 1 MiB."""

BODY_SECONDS = 10.0
"""A request that has not come whole by then is refused: the page's own take milliseconds."""

STATIC = "/static/"
"""Programs and style of the page, the same for everybody: open without the token."""

_HOST = re.compile(r"(localhost|127\.0\.0\.1|\[::1\])(:\d{1,5})?", re.IGNORECASE)

HEADERS = {
    # scripts, styles and data of this server alone; data reach the page as text, never as markup
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        "img-src 'self' data: blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",  # the address may hold the token
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


@dataclass
class Access:
    """The token of one server, and the cookie that a browser keeps it in.

    Parameters
    ----------
    token : str
        What the printed address holds. Default: a new one.
    """

    token: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    _codes: set[str] = field(default_factory=set)

    @property
    def cookie(self) -> str:
        """Name of the cookie: servers of one computer share cookies, whatever their ports."""
        return f"cryoparts_{hashlib.sha256(self.token.encode()).hexdigest()[:10]}"

    def new_code(self) -> str:
        """A token that opens the page once.

        For the browser that is started here: other users may read its command line.
        """
        code = secrets.token_urlsafe(24)
        self._codes.add(code)
        return code

    def allows(self, offered: str) -> bool:
        """Whether `offered` is the token, or a code that was not used yet."""
        if offered in self._codes:
            self._codes.discard(offered)
            return True
        return secrets.compare_digest(offered.encode(), self.token.encode())

    def is_known(self, request: Request) -> bool:
        """Whether a request brings the cookie."""
        kept = request.cookies.get(self.cookie, "")
        return secrets.compare_digest(kept.encode(), self.token.encode())


class Guard:
    """Refuses, before the application sees them, requests that are not the dashboard's own.

    Other hosts' names (DNS rebinding), pages of other origins (also those of other ports of
    this computer), requests without the token, large bodies and slow ones.

    Parameters
    ----------
    app : ASGI application
    access : Access
    body_seconds : float
        Time that a body may take.
    """

    def __init__(self, app: ASGIApp, access: Access, body_seconds: float = BODY_SECONDS) -> None:
        self._app, self._access, self._body_seconds = app, access, body_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return  # no websockets here, and nothing to do at start and end
        request = Request(scope, receive)

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        refused = self._refused(request)
        body = b""
        if refused is None and request.method not in ("GET", "HEAD"):
            refused, body = await self._body(request)
        if refused is not None:
            await refused(scope, receive, send_guarded)
            return
        with contextlib.suppress(asyncio.CancelledError):  # the server ends, nobody waits
            await self._app(scope, _replay(body, receive), send_guarded)

    def _refused(self, request: Request) -> Response | None:
        """Why a request is not answered, or where its page is; None where it is let through."""
        headers = request.headers
        if not _HOST.fullmatch(headers.get("host", "")):
            return refusal(request, "host")
        if request.method not in ("GET", "HEAD", "POST"):
            return refusal(request, "method")
        if _is_foreign(headers, request.method):
            return refusal(request, "origin")
        if request.url.path.startswith(STATIC):
            return None
        offered = request.query_params.get("token")
        if offered is not None and request.method == "GET":
            return (
                self._let_in(request) if self._access.allows(offered) else refusal(request, "token")
            )
        return None if self._access.is_known(request) else refusal(request, "token")

    def _let_in(self, request: Request) -> Response:
        """A page that goes on to the same address without the token, which a cookie holds.

        A redirection would not do: a browser that came from elsewhere sends a strict cookie
        only once a page of this server itself asks.
        """
        query = urlencode([(k, v) for k, v in parse_qsl(request.url.query) if k != "token"])
        # "//other.example" would be an address of another host
        path = "/" + quote(request.url.path.lstrip("/"))
        answer = go_on(path + ("?" + query if query else ""))
        answer.set_cookie(
            self._access.cookie, self._access.token, httponly=True, samesite="strict", path="/"
        )
        return answer

    async def _body(self, request: Request) -> tuple[Response | None, bytes]:
        """The whole body of a request, or why it is refused."""
        declared = request.headers.get("content-length", "0")
        if not declared.isdecimal() or int(declared) > LARGEST_REQUEST:
            return refusal(request, "large"), b""
        body = bytearray()
        try:
            async with asyncio.timeout(self._body_seconds):
                async for chunk in request.stream():
                    body += chunk
                    if len(body) > LARGEST_REQUEST:
                        return refusal(request, "large"), b""
        except TimeoutError:
            return refusal(request, "slow"), b""
        return None, bytes(body)


def _is_foreign(headers: Headers, method: str) -> bool:
    """Whether a page of another origin asks: an opened link is none, a hidden request is.

    Browsers name the origin of every POST and, the newer ones, say what each request is for.
    """
    origin = headers.get("origin")
    if origin is not None and origin.lower() != f"http://{headers['host'].lower()}":
        return True
    site = headers.get("sec-fetch-site", "none")
    if site in ("same-origin", "none"):
        return False
    return method == "POST" or headers.get("sec-fetch-mode") != "navigate"


def _replay(body: bytes, receive: Receive) -> Receive:
    """What the application receives: the body that was read already, then what comes."""
    given = False

    async def replayed() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replayed
