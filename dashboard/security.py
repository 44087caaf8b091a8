"""Who may talk to this server, and what its pages may do. Plain ASGI, outermost.

Three doors, in this order: the Host and Origin check (a page of another site must not reach a server
on loopback, not even through DNS that points there), the token, and the headers every answer carries.
What must stay true: websockets pass the same doors as requests; a token is compared in constant time
and never stands in a log, a page or a cookie.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
from collections.abc import Awaitable, Callable, MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs, urlsplit

from starlette.responses import HTMLResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dashboard.errors import error_answer
from dashboard.login import LOGIN_PATH, login_page, moved_page
from dashboard.settings import DashboardSettings, is_loopback, split_address

Policy = Callable[[], list[str]]

# Open without a token: whether the server lives tells nobody anything.
OPEN_PATHS = frozenset({"/healthz", "/readyz"})
# The login page needs nothing else.
COOKIE_DAYS = 30
MAX_FORM = 4096


class Security:
    """``script_hashes`` gives Dash's inline script hashes (known only after the last callback)."""

    def __init__(self, app: ASGIApp, settings: DashboardSettings, script_hashes: Policy) -> None:
        self.app = app
        self.settings = settings
        self.script_hashes = script_hashes
        self._headers: list[tuple[bytes, bytes]] | None = None
        self._sessions = {session_cookie(token): session_value(token) for token in settings.tokens}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        refusal = self._foreign(headers, scope["method"] if scope["type"] == "http" else "GET")
        if refusal is None and not self._known(scope["path"], headers):
            refusal = await self._unauthorised(scope, receive)
        if refusal is None:
            await self.app(scope, receive, self._with_headers(send) if scope["type"] == "http" else send)
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 4403, "reason": "not allowed"})
        else:
            await refusal(scope, receive, self._with_headers(send))

    # -- first door: is this our own page, under a name of ours? ------------------------------
    def _foreign(self, headers: MutableMapping[str, str], method: str) -> Response | None:
        host = headers.get("host", "")
        if not self._ours(host):
            return error_answer(
                403,
                "foreign_host",
                f"This server is not known as {host[:100]!r}.",
                "Use its address, or name it in the dashboard's allowed hosts.",
            )
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc.lower() != host.lower():
            return error_answer(403, "foreign_origin", "Pages of other sites may not ask this server.")
        if headers.get("sec-fetch-site") == "cross-site" and method not in ("GET", "HEAD"):
            return error_answer(403, "foreign_origin", "Pages of other sites may not ask this server.")
        return None

    def _ours(self, host: str) -> bool:
        """An IP address cannot be a name that was pointed here; any other name must be known."""
        name = (urlsplit(f"//{host}").hostname or "").lower()
        if is_loopback(name) or name in self.settings.allowed_hosts:
            return True
        if name == split_address(self.settings.ui)[0].lower():
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True

    # -- second door: the token -----------------------------------------------------------------
    def _known(self, path: str, headers: MutableMapping[str, str]) -> bool:
        if not self.settings.tokens or path in OPEN_PATHS:
            return True
        scheme, _, given = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return self._is_token(given.strip())
        return self._has_session(headers.get("cookie", ""))

    def _is_token(self, given: str) -> bool:
        matches = [hmac.compare_digest(given.encode(), token.encode()) for token in self.settings.tokens]
        return any(matches)

    def _has_session(self, cookie: str) -> bool:
        try:
            jar = SimpleCookie(cookie)
        except CookieError:
            return False
        return any(
            name in jar and hmac.compare_digest(jar[name].value.encode(), value.encode())
            for name, value in self._sessions.items()
        )

    async def _unauthorised(self, scope: Scope, receive: Receive) -> Response:
        """What someone without a session gets: a login for a page, an error for the API."""
        if scope["type"] == "websocket":
            return error_answer(401, "unauthorized", "A token is needed.")
        path, method = scope["path"], scope["method"]
        if method == "GET" and path == "/":
            given = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
            if given:
                return self._log_in(given)
        if method == "POST" and path == LOGIN_PATH:
            form = parse_qs((await _body(receive)).decode("utf-8", "replace"))
            return self._log_in(form.get("token", [""])[0].strip())
        if path.startswith(("/api", "/metrics", "/_dash", "/assets")):
            return error_answer(
                401, "unauthorized", "A token is needed.", headers={"WWW-Authenticate": "Bearer"}
            )
        return HTMLResponse(login_page(), 401)

    def _log_in(self, given: str) -> Response:
        if not self._is_token(given):
            return HTMLResponse(login_page("That token is not one of this server's."), 401)
        # A page that moves on by itself, not a redirect: after a link from another site a browser
        # would follow a redirect without the strict cookie it has just been given.
        answer = HTMLResponse(moved_page())
        answer.set_cookie(
            session_cookie(given),
            session_value(given),
            max_age=COOKIE_DAYS * 86400,
            httponly=True,
            samesite="strict",
            secure=self.settings.tls,
        )
        return answer

    # -- what every answer carries ------------------------------------------------------------
    def _with_headers(self, send: Send) -> Callable[[Message], Awaitable[None]]:
        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                if self._headers is None:
                    self._headers = list(security_headers(self.script_hashes()))
                message = {**message, "headers": [*message.get("headers", []), *self._headers]}
            await send(message)

        return sending


def security_headers(script_hashes: list[str]) -> Any:
    """Pairs of header bytes. Scripts: our own files and Dash's inline ones by hash, never eval."""
    policy = "; ".join(
        (
            "default-src 'self'",
            f"script-src 'self' {' '.join(script_hashes)}".rstrip(),
            # Dash, plotly and cytoscape.js insert style elements; styles cannot run anything.
            "style-src 'self' 'unsafe-inline'",
            "img-src 'self' data: blob:",
            "connect-src 'self'",
            "worker-src 'self'",
            "object-src 'none'",
            "base-uri 'none'",
            "form-action 'self'",
            "frame-ancestors 'none'",
        )
    )
    found = {
        "content-security-policy": policy,
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
        "cross-origin-opener-policy": "same-origin",
        "cross-origin-resource-policy": "same-origin",
    }
    return ((name.encode(), value.encode()) for name, value in found.items())


def session_cookie(token: str) -> str:
    """The cookie's name; it differs by token, because servers on other ports share a host's cookies."""
    return "sidelight-" + hashlib.sha256(b"name:" + token.encode()).hexdigest()[:8]


def session_value(token: str) -> str:
    """What the cookie holds: proof that the token was known, from which it cannot be read."""
    return hmac.new(token.encode(), b"sidelight browser session", hashlib.sha256).hexdigest()


async def _body(receive: Receive) -> bytes:
    parts = bytearray()
    while True:
        message = await receive()
        parts += message.get("body", b"")
        if not message.get("more_body") or len(parts) > MAX_FORM:
            return bytes(parts[:MAX_FORM])
