"""The mesh's processes: one that dies while the mesh starts gets a second chance, as a kubelet gives it."""

from __future__ import annotations

from pathlib import Path

from sidelight.mesh.processes import Children
from tests.running_server import wait_for


def test_a_process_that_ends_is_started_once_more(tmp_path: Path) -> None:
    """Once; the second time it has a reason."""
    children = Children()
    children.start("envoy", ["sh", "-c", "echo no >&2; exit 1"], errors=tmp_path / "envoy.stderr")
    try:
        wait_for(lambda: children.dead() == ["envoy"], 30, "it ends")
        assert children.start_again("envoy")
        wait_for(lambda: children.dead() == ["envoy"], 30, "it ends again")
        assert not children.start_again("envoy")
    finally:
        children.stop()
    assert (tmp_path / "envoy.stderr").read_text() == "no\nno\n"
