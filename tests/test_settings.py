"""Settings of `serve`: defaults, file, environment and command line; every mistake is a sentence."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sidelight.settings import BadSettings, ServeSettings, load
from tests.running_server import run_cli

ROOT = Path(__file__).parent.parent

BAD = [
    ("fixtures/config/unknown_key.toml", "There is no setting 'grcp'"),
    ("fixtures/config/unknown_collector_key.toml", "no collector setting 'rotate_minutes'"),
    ("fixtures/config/unknown_store_key.toml", "no store setting 'memory_limits'"),
    ("fixtures/config/bad_address.toml", "expected HOST:PORT"),
    ("fixtures/config/open_address.toml", "--token-file or --client-ca"),
    ("fixtures/config/cert_without_key.toml", "come together"),
    ("fixtures/config/not_toml.toml", "is not TOML"),
    ("fixtures/config/follow_unknown_key.toml", "no setting 'glob' in entry 1"),
    ("fixtures/config/follow_bad_format_string.toml", "Entry 2: There is no %RESPONSE_CODE%"),
    ("fixtures/config/follow_bad_emitter.toml", "Entry 1, emitter: expected NS/POD"),
    ("fixtures/config/follow_no_list.toml", "list of paths"),
]


@pytest.mark.parametrize(("path", "words"), BAD)
def test_a_mistake_is_told_in_one_sentence(path: str, words: str) -> None:
    """A bad setting is refused before anything starts, and the sentence names it."""
    with pytest.raises(BadSettings, match=re.escape(words)) as told:
        load(ROOT / path)
    assert "\n" not in str(told.value)
    assert str(told.value).endswith(".")


def test_the_command_line_wins_over_environment_over_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Later sources win: file, then SIDELIGHT_*, then options."""
    config = tmp_path / "sidelight.toml"
    config.write_text('grpc = "127.0.0.1:1001"\nhttp = "127.0.0.1:1002"\nui = "127.0.0.1:1003"\n')
    monkeypatch.setenv("SIDELIGHT_HTTP", "127.0.0.1:2002")
    monkeypatch.setenv("SIDELIGHT_UI", "127.0.0.1:2003")
    settings = load(config, ui="127.0.0.1:3003")
    assert (settings.grpc, settings.http, settings.ui) == (
        "127.0.0.1:1001",
        "127.0.0.1:2002",
        "127.0.0.1:3003",
    )


def test_paths_to_follow_come_as_tables_as_a_list_or_by_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A path alone is enough; what it is relative to is settled before any process starts."""
    config = tmp_path / "sidelight.toml"
    config.write_text('[[follow]]\npath = "/logs/*.log"\nemitter = "shop/cart-0"\n')
    assert load(config).follow == [{"path": "/logs/*.log", "emitter": "shop/cart-0"}]
    assert load(config, follow=["/a.log"]).follow == [{"path": "/a.log"}]
    monkeypatch.setenv("SIDELIGHT_FOLLOW", "/a.log:/b/*.log")
    assert load(None).follow == [{"path": "/a.log"}, {"path": "/b/*.log"}]
    monkeypatch.chdir(tmp_path)
    plain = load(None, follow=["logs/*.log"]).as_supervisor_json()
    assert plain["follow"] == [{"path": str(tmp_path / "logs/*.log")}]


@pytest.mark.parametrize("address", ["0.0.0.0:4317", "10.0.0.1:4317", "[::]:4317", "mesh.example:4317"])
def test_an_address_others_can_reach_needs_a_lock_or_a_word(address: str, tmp_path: Path) -> None:
    """Telemetry ports open to the network only with tokens, client certificates or --allow-anonymous."""
    with pytest.raises(BadSettings, match="--token-file or --client-ca"):
        load(None, grpc=address)
    assert load(None, grpc=address, allow_anonymous=True).grpc == address
    tokens = tmp_path / "tokens"
    tokens.write_text("a-long-enough-token\n")
    assert load(None, grpc=address, token_file=tokens).token_file == tokens


def test_the_readme_lists_every_setting() -> None:
    """The README's table and the settings object name the same settings with the same defaults."""
    rows = re.findall(r"^\| (`[^|]*`) \|([^|]*)\|", (ROOT / "README.md").read_text(), re.M)
    table = {}
    for names, default in rows:
        table |= dict.fromkeys(re.findall(r"`(\w+)`", names), default.strip().strip("`"))
    rooms = {"collector", "store", "dashboard"}
    fields = {name: field for name, field in ServeSettings.model_fields.items() if name not in rooms}
    assert set(fields) <= set(table)
    for name in ("data", "grpc", "http", "ui"):
        assert table[name] == str(fields[name].default)


@pytest.mark.slow
def test_serve_refuses_in_one_line_with_status_1(tmp_path: Path) -> None:
    """A refused start: nothing on stdout, one line on stderr, exit status 1; wrong usage is status 2."""
    refused = run_cli("serve", "--data", str(tmp_path), "--grpc", "0.0.0.0:4317")
    assert refused.returncode == 1
    assert refused.stdout == ""
    assert len(refused.stderr.strip().splitlines()) == 1
    assert "--token-file" in refused.stderr
    assert run_cli("serve", "--no-such-option").returncode == 2


def test_the_settings_page_lists_every_room_setting() -> None:
    """docs/settings.md names each setting of the collector and the store with its default."""
    from dataclasses import MISSING, fields

    from collector.follow_targets import FollowTarget
    from collector.settings import CollectorSettings
    from store.settings import StoreSettings

    page = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    table = {
        name: default.strip().strip("`")
        for name, default in re.findall(r"^\| `(\w+)` \|([^|]*)\|", page, re.M)
    }
    shared = {
        "data",
        "name",
        "grpc",
        "http",
        "token_file",
        "tls_cert",
        "tls_key",
        "client_ca",
        "allow_anonymous",
    }
    defaults = {
        name: field.default for name, field in CollectorSettings.model_fields.items() if name not in shared
    } | {field.name: field.default for field in fields(StoreSettings) if field.default is not MISSING}
    assert set(FollowTarget.model_fields) <= set(table)
    assert {name: str(value).lower() for name, value in defaults.items()} == {
        name: value.lower() for name, value in table.items() if name in defaults
    }
