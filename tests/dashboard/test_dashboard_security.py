"""The doors: foreign names and pages are refused, tokens are asked for, every answer carries its policy."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from dashboard.security import session_value
from dashboard.settings import DashboardSettings
from tests.dashboard.fake_server import Answers, serving

TOKEN = "correct-horse-battery"


@pytest.fixture(scope="module")
def open_url() -> Iterator[str]:
    with serving(Answers(), allowed_hosts=("mesh.example",)) as url:
        yield url


@pytest.fixture(scope="module")
def guarded_url() -> Iterator[str]:
    with serving(Answers(), tokens=(TOKEN, "second-token")) as url:
        yield url


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"host": "localhost:8050"}, 200),
        ({"host": "[::1]:8050"}, 200),
        ({"host": "10.1.2.3"}, 200),
        ({"host": "MESH.example:99"}, 200),
        ({"host": "evil.example"}, 403),
        ({"host": "127.0.0.1.evil.example"}, 403),
        ({"host": ""}, 403),
        ({"host": "localhost:8050", "origin": "http://localhost:8050"}, 200),
        ({"host": "localhost:8050", "origin": "http://localhost:9999"}, 403),
        ({"host": "localhost:8050", "origin": "http://evil.example"}, 403),
        ({"origin": "null"}, 403),
    ],
)
def test_host_and_origin(open_url: str, headers: dict[str, str], status: int) -> None:
    """Only our own names and our own pages: DNS that points here, or another site's page, gets nothing."""
    assert httpx.get(f"{open_url}/api/graph", headers=headers).status_code == status


def test_cross_site_posts(open_url: str) -> None:
    """A form on another site cannot run SQL, even by a browser that sends no Origin."""
    answer = httpx.post(
        f"{open_url}/api/sql", json={"sql": "SELECT 1"}, headers={"sec-fetch-site": "cross-site"}
    )
    assert answer.status_code == 403


@pytest.mark.parametrize(
    "path", ["/", "/api/graph", "/api/nothing", "/healthz", "/assets/style.css", "/theme.css"]
)
def test_every_answer_has_its_policy(open_url: str, path: str) -> None:
    """Scripts only from us, none inline but Dash's own by hash, no frames; on errors and files too."""
    headers = httpx.get(open_url + path).headers
    policy = dict(part.split(" ", 1) for part in headers["content-security-policy"].split("; "))
    assert policy["script-src"].startswith("'self'")
    assert "unsafe" not in policy["script-src"]
    assert policy["frame-ancestors"] == policy["object-src"] == policy["base-uri"] == "'none'"
    assert headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    ("path", "status", "kind"),
    [
        ("/", 401, "text/html"),
        ("/traces", 401, "text/html"),
        ("/api/graph", 401, "application/json"),
        ("/api/nothing", 401, "application/json"),
        ("/metrics", 401, "application/json"),
        ("/_dash-layout", 401, "application/json"),
        ("/assets/style.css", 401, "application/json"),
        ("/healthz", 200, "text/plain"),
        ("/readyz", 200, "text/plain"),
        ("/?token=wrong", 401, "text/html"),
    ],
)
def test_without_token(guarded_url: str, path: str, status: int, kind: str) -> None:
    """Without a token there is a login, an error, and the probes; nothing else."""
    answer = httpx.get(guarded_url + path)
    assert answer.status_code == status
    assert answer.headers["content-type"].startswith(kind)


@pytest.mark.parametrize(
    ("authorization", "status"),
    [
        (f"Bearer {TOKEN}", 200),
        ("bearer second-token", 200),
        ("Bearer wrong", 401),
        (f"Basic {TOKEN}", 401),
        ("Bearer", 401),
        ("Bearer " + "ü", 401),
    ],
)
def test_bearer(guarded_url: str, authorization: str, status: int) -> None:
    """The API takes any of the tokens as a bearer."""
    headers = {"authorization": authorization.encode("latin-1")}
    assert httpx.get(f"{guarded_url}/api/graph", headers=headers).status_code == status


@pytest.mark.parametrize("by", ["link", "form"])
def test_browser_login(guarded_url: str, by: str) -> None:
    """A link or the form gives a strict, script-proof cookie that opens everything and is not the token."""
    with httpx.Client(base_url=guarded_url) as client:
        answer = (
            client.get(f"/?token={TOKEN}") if by == "link" else client.post("/login", data={"token": TOKEN})
        )
        cookie = answer.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=strict" in cookie
        assert TOKEN not in cookie
        assert TOKEN not in answer.text
        assert client.get("/api/graph").status_code == 200
        assert "react-entry-point" in client.get("/").text


def test_websocket_doors(guarded_url: str) -> None:
    """The websocket passes the same doors: token and origin."""
    url = guarded_url.replace("http", "ws") + "/_dash-ws-callback"
    cookie = {"Authorization": f"Bearer {TOKEN}"}
    for origin, headers in ((guarded_url, {}), ("http://evil.example", cookie)):
        with pytest.raises(InvalidStatus), connect(url, origin=origin, additional_headers=headers):
            pass
    with connect(url, origin=guarded_url, additional_headers=cookie) as socket:
        socket.send('{"type": "heartbeat"}')
        assert "heartbeat_ack" in socket.recv(10)


def test_session_is_bound_to_its_token() -> None:
    """Another token, another session; an empty token is refused at the start."""
    assert session_value(TOKEN) != session_value("second-token")
    with pytest.raises(ValueError, match="empty token"):
        DashboardSettings(tokens=("",))
