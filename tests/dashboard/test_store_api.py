"""``/api/store``: who may start work on the data folder, and in which words the rest is refused."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import httpx
import pytest

from store.errors import BadQuery
from tests.dashboard.fake_server import Answers, serving

pytestmark = pytest.mark.slow
"""Stores are opened and closed by the dozen: not for `make quick`."""

LOCAL = "token-of-the-folder"
SHOWN = {"Authorization": f"Bearer {LOCAL}"}


class Jobs(Answers):
    """Remembers what was started."""

    def __init__(self) -> None:
        super().__init__()
        self.started: list[tuple[str, Mapping[str, Any]]] = []

    def store_stats(self) -> dict[str, Any]:
        return {"tables": []}

    def start_job(self, kind: str, options: Mapping[str, Any]) -> dict[str, Any]:
        if kind == "verify":
            raise BadQuery("job_running", "A job is under way already (backup).", "Wait.")
        self.started.append((kind, options))
        return {"number": 1, "kind": kind, "state": "running"}

    def current_job(self) -> dict[str, Any] | None:
        return {"number": 1, "state": "done"} if self.started else None


@pytest.fixture
def jobs() -> Jobs:
    return Jobs()


@pytest.fixture
def client(jobs: Jobs) -> Iterator[httpx.Client]:
    with serving(jobs, local_token=LOCAL) as url, httpx.Client(base_url=url, timeout=30) as client:
        yield client


def test_a_job_is_begun_and_told_of(client: httpx.Client, jobs: Jobs) -> None:
    """202 with the job; what it needs goes on as it was sent."""
    none = client.get("/api/store/jobs/current", headers=SHOWN)
    assert (none.status_code, none.json()["error"]["code"]) == (404, "no_job")
    answer = client.post("/api/store/jobs", json={"kind": "backup", "to": "/b"}, headers=SHOWN)
    assert (answer.status_code, answer.json()["kind"]) == (202, "backup")
    assert jobs.started == [("backup", {"to": "/b"})]
    assert client.get("/api/store/jobs/current", headers=SHOWN).json()["state"] == "done"
    assert client.get("/api/store/stats").json() == {"tables": []}


@pytest.mark.parametrize(
    ("headers", "body", "status", "code"),
    [
        ({}, {"kind": "seal"}, 403, "local_only"),
        ({"Authorization": "Bearer wrong"}, {"kind": "seal"}, 403, "local_only"),
        ({"Authorization": f"Basic {LOCAL}"}, {"kind": "seal"}, 403, "local_only"),
        ({"Authorization": "Bearer"}, {"kind": "seal"}, 403, "local_only"),
        (SHOWN | {"Origin": "http://evil.example"}, {"kind": "seal"}, 403, "foreign_origin"),
        (SHOWN | {"Sec-Fetch-Site": "cross-site"}, {"kind": "seal"}, 403, "foreign_origin"),
        (SHOWN | {"Host": "evil.example"}, {"kind": "seal"}, 403, "foreign_host"),
        (SHOWN, {"kind": "verify"}, 409, "job_running"),
        (SHOWN, {}, 400, "bad_kind"),
        (SHOWN, {"kind": 3}, 400, "bad_kind"),
        (SHOWN, [], 400, "bad_json"),
    ],
)
def test_what_is_refused(
    client: httpx.Client, jobs: Jobs, headers: dict[str, str], body: Any, status: int, code: str
) -> None:
    """Strangers, other sites' pages, a second job, and what is none; nothing was begun."""
    answer = client.post("/api/store/jobs", json=body, headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert jobs.started == []


def test_a_token_of_the_server_starts_no_job(jobs: Jobs) -> None:
    """Who may read and send is not thereby who may write to the server's disk; the way of a job is not told either."""
    with serving(jobs, local_token=LOCAL, tokens=("everyones", LOCAL)) as url:
        shown = {"Authorization": "Bearer everyones"}
        assert httpx.get(f"{url}/api/store/stats", headers=shown).status_code == 200
        assert httpx.get(f"{url}/api/store/jobs/current", headers=shown).status_code == 403
        assert httpx.post(f"{url}/api/store/jobs", json={"kind": "seal"}, headers=shown).status_code == 403
        assert httpx.post(f"{url}/api/store/jobs", json={"kind": "seal"}, headers=SHOWN).status_code == 202


def test_without_a_folder_nobody_starts_jobs(jobs: Jobs) -> None:
    """An empty token is no token."""
    with serving(jobs) as url:
        for shown in ({}, {"Authorization": "Bearer"}, SHOWN):
            assert (
                httpx.post(f"{url}/api/store/jobs", json={"kind": "seal"}, headers=shown).status_code == 403
            )
