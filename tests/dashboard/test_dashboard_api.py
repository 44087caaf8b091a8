"""The API's manners: right status, one shape of error, never a page where JSON was asked for."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from dashboard.api_sql import wanted_format
from store.errors import BadQuery
from tests.dashboard.fake_server import TRACE, Answers, serving


@pytest.fixture(scope="module")
def answers() -> Answers:
    return Answers()


@pytest.fixture(scope="module")
def client(answers: Answers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    data: Path = tmp_path_factory.mktemp("data")
    (data / "run").mkdir()
    series = {"name": "sidelight_received_exports_total", "type": "counter", "help": "Arrived.",
              "samples": [{"labels": {"source": 'a"b\n'}, "value": 3}]}  # fmt: skip
    (data / "run" / "collector0.metrics.json").write_text(json.dumps({"time": 9e12, "series": [series]}))
    (data / "run" / "broken.metrics.json").write_text("{")
    with serving(answers, data=data) as url, httpx.Client(base_url=url, timeout=30) as client:
        yield client


def test_reads(client: httpx.Client, answers: Answers) -> None:
    """Every read answers what the store's query said."""
    assert client.get("/api/graph?window=5m&namespace=a&namespace=b").json() == answers.graph_json
    element = "0123456789abcdef"
    for path in (f"requests?edge={element}", f"timeseries?node={element}", "traces", f"traces/{TRACE}"):
        assert client.get(f"/api/{path}").status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("GET", "/api/graph?window=nonsense", None, 400, None),
        ("GET", "/api/graph?window=5m&window=1m", None, 400, "repeated_parameter"),
        ("GET", "/api/traces/ffffffffffffffffffffffffffffffff", None, 404, None),
        ("GET", "/api/nothing", None, 404, "not_found"),
        ("GET", "/api", None, 404, "not_found"),
        ("GET", "/api/graph/", None, 404, "not_found"),
        ("DELETE", "/api/nothing/at/all", None, 404, "not_found"),
        ("GET", "/nothing", None, 404, "not_found"),
        ("POST", "/nothing", None, 404, "not_found"),
        ("POST", "/api/graph", "{}", 405, "method_not_allowed"),
        ("DELETE", "/api/sql", None, 405, "method_not_allowed"),
        ("GET", "/api/sql", None, 405, "method_not_allowed"),
        ("POST", "/api/sql", "{not json", 400, "bad_json"),
        ("POST", "/api/sql", "[]", 400, "bad_json"),
        ("POST", "/api/sql", "{}", 400, "no_statement"),
        ("POST", "/api/sql", json.dumps({"sql": "x" * (1 << 20)}), 413, "too_large"),
        ("POST", "/api/sql", json.dumps({"sql": "explode"}), 500, "internal"),
        ("POST", "/api/import/known", '{"digests": "a"}', 400, "bad_digests"),
        ("POST", "/healthz", None, 405, "method_not_allowed"),
    ],
)
def test_errors(
    client: httpx.Client, method: str, path: str, body: str | None, status: int, code: str | None
) -> None:
    """Every error is JSON of one shape with the right status, and tells nothing of the server's inside."""
    answer = client.request(method, path, content=body)
    assert answer.status_code == status
    error = answer.json()["error"]
    assert set(error) == {"code", "message", "hint"}
    assert code in (None, error["code"])
    assert "secret" not in answer.text


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("*/*", "application/json"),
        ("text/csv", "text/csv; charset=utf-8"),
        ("application/vnd.apache.arrow.stream", "application/vnd.apache.arrow.stream"),
        ("application/vnd.apache.parquet;q=0.9, text/csv;q=0.1", "application/vnd.apache.parquet"),
    ],
)
def test_sql_formats(client: httpx.Client, accept: str, kind: str) -> None:
    """`Accept` chooses the format of a table."""
    answer = client.post("/api/sql", json={"sql": "SELECT 1 AS a"}, headers={"accept": accept})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == kind


def test_unknown_formats_are_refused() -> None:
    """A format we cannot write is said so, with those we can."""
    with pytest.raises(BadQuery, match="Accept") as caught:
        wanted_format("image/png, application/json;q=0")
    assert "text/csv" in caught.value.hint


def test_probes(client: httpx.Client) -> None:
    """Probes answer GET and HEAD; metrics carry only our own names, and survive a broken snapshot."""
    assert client.get("/healthz").text == "ok\n"
    assert client.head("/readyz").status_code == 200
    lines = client.get("/metrics").text.splitlines()
    assert 'sidelight_received_exports_total{source="a\\"b\\n"} 3' in lines
    assert all(line.startswith(("sidelight_", "# HELP sidelight_", "# TYPE sidelight_")) for line in lines)


def test_documentation(client: httpx.Client) -> None:
    """The OpenAPI document names every endpoint, and its page needs no script."""
    paths = client.get("/api/openapi.json").json()["paths"]
    assert {"/api/graph", "/api/requests", "/api/timeseries", "/api/traces", "/api/sql"} <= set(paths)
    page = client.get("/api/docs")
    assert page.headers["content-type"].startswith("text/html")
    assert "<script" not in page.text
    assert all(path in page.text for path in paths)


@pytest.mark.parametrize("path", ["/", "/traces", f"/traces/{TRACE}", "/status"])
def test_pages(client: httpx.Client, path: str) -> None:
    """Pages answer by name, GET and HEAD."""
    assert "react-entry-point" in client.get(path).text
    assert client.head(path).status_code == 200


@pytest.mark.slow
def test_a_slow_query_stalls_nobody(answers: Answers) -> None:
    """While more slow queries wait than may run at once, the server still answers at once."""

    async def both(url: str) -> list[Any]:
        async with httpx.AsyncClient(base_url=url, timeout=30) as client:
            slow = [asyncio.create_task(client.get("/api/graph")) for _ in range(6)]
            await asyncio.sleep(0.3)
            probe = await client.get("/healthz")
            unfinished = not all(task.done() for task in slow)
            return [probe.status_code, unfinished, *[(await task).status_code for task in slow]]

    sleepy = Answers()
    sleepy.slow_s = 1.0
    with serving(sleepy) as url:
        assert asyncio.run(both(url)) == [200, True, *[200] * 6]
