"""One mesh that has lived: `sidelight serve`, bookinfo driven through it, everything settled."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sidelight.mesh import Mesh
from tests.browser.pages import browser, context, open_page, tab
from tests.running_server import Server, wait_for

__all__ = ["browser", "context", "open_page", "tab"]

# Some 6,000 requests between services.
REQUESTS = 1600


@dataclass
class LivedMesh:
    """What happened (``truth``, by the applications) and what Sidelight says of the same time (``graph``)."""

    server: Server
    mesh: Mesh
    truth: dict[str, Any]
    window: dict[str, str]
    graph: dict[str, Any]

    @property
    def link(self) -> dict[str, str]:
        """The window in the graph page's link, which knows whole seconds: none of the requests is near its ends."""
        begin, end = (datetime.fromisoformat(self.window[name]) for name in ("from_", "to"))
        return {
            "from": f"{begin:%Y-%m-%dT%H:%M:%SZ}",
            "to": f"{end + timedelta(seconds=1):%Y-%m-%dT%H:%M:%SZ}",
        }


@pytest.fixture(scope="package")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LivedMesh]:
    folder = tmp_path_factory.mktemp("lived")
    server = Server(folder / "data")
    try:
        server.start()
        with Mesh(grpc_target=server.grpc, work_dir=folder / "mesh") as mesh:
            began = _now()
            mesh.start()
            assert mesh.drive(REQUESTS, 40) == REQUESTS
            mesh.settle()
            truth = mesh.truth()
            assert truth["unexpected"] == []
            wait_until_counted(server)
        # What has lived needs no processes: thirteen idle Envoys take half a processor's time from the tests.
        window = {"from_": began, "to": _now()}
        yield LivedMesh(server, mesh, truth, window, server.get("/api/graph", **window))
    finally:
        server.stop()


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def wait_until_counted(server: Server) -> None:
    """Until six seconds bring no new row (the proxies' last flush has been acknowledged and loaded)."""
    seen: list[int] = []

    def is_quiet() -> bool:
        time.sleep(1)
        seen.append(server.get("/api/health")["store"]["loaded_rows"])
        return len(seen) > 6 and seen[-1] == seen[-7]

    wait_for(is_quiet, 300, "the telemetry has arrived")
