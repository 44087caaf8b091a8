"""Who owns the data folder: told by a held lock, never by a file that lies there."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from sidelight.data_folder import FolderInUse, FolderLock, find_running, local_token


def test_a_left_over_lock_file_is_no_running_server(tmp_path: Path) -> None:
    """After kill -9 the lock file is still there, but nobody holds it: no server runs."""
    (tmp_path / "lock").write_text(json.dumps({"pid": 1, "ui_url": "http://127.0.0.1:8050"}))
    assert find_running(tmp_path) is None


def test_the_holder_of_the_lock_is_found_with_its_address_and_token(tmp_path: Path) -> None:
    """A server announces where it answers; the token file beside it opens its API."""
    lock = FolderLock(tmp_path)
    token = local_token(tmp_path)
    lock.announce({"pid": os.getpid(), "ui_url": "http://127.0.0.1:8050"})
    found = find_running(tmp_path)
    assert found is not None
    assert (found.ui_url, found.token) == ("http://127.0.0.1:8050", token)
    lock.release()
    assert find_running(tmp_path) is None


def test_a_command_that_holds_the_folder_is_no_server(tmp_path: Path) -> None:
    """`sidelight import` at rest holds the lock without serving; others are told to wait."""
    lock = FolderLock(tmp_path)
    assert find_running(tmp_path) is None
    with pytest.raises(FolderInUse, match=rf"process {os.getpid()}"):
        FolderLock(tmp_path)
    lock.release()


def test_the_token_is_for_this_user_only(tmp_path: Path) -> None:
    """The token file has mode 0600 and keeps its token, also when somebody widened it."""
    token = local_token(tmp_path)
    path = tmp_path / "token"
    os.chmod(path, 0o644)
    assert local_token(tmp_path) == token
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_lock_dies_with_its_process(tmp_path: Path) -> None:
    """A killed owner leaves no lock behind: the next one can start."""
    code = "import sys, os; from pathlib import Path; from sidelight.data_folder import FolderLock; "
    code += "FolderLock(Path(sys.argv[1])); os.kill(os.getpid(), 9)"
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    FolderLock(tmp_path).release()
