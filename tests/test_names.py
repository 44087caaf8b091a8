"""`--names FILE`: an address nobody names gets its name, in the past too; what is wrong is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from sidelight.names_file import BadNames, journal_names, read_names
from tests.store.journals import ask, batch, observation, open_store, write_journal


def written(folder: Path, text: str) -> Path:
    path = folder / "names.yaml"
    path.write_text(text)
    return path


def test_a_named_address_has_its_name_in_the_past_too(tmp_path: Path) -> None:
    """A VM that called before it was named is a workload of that name in every answer."""
    row = observation(reporter="destination", emitter="reviews-1.default", source_address="10.9.8.7:4000")
    write_journal(tmp_path / "journal", "c-1", [batch("1", observations=[row])])
    names = written(tmp_path, "10.9.8.7: {workload: billing-vm, namespace: legacy}\n10.9.8.8: orders\n")
    journal_names(names, tmp_path)
    journal_names(names, tmp_path)  # again, as at the next start: it says nothing new
    store = open_store(tmp_path)
    store.poll_once()
    known = ask(store, "SELECT address, workload, namespace, evidence FROM instances ORDER BY address")
    assert known == [("10.9.8.7", "billing-vm", "legacy", "names"), ("10.9.8.8", "orders", None, "names")]
    store.stop()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- 10.1.2.3", "expected lines like `10.1.2.3: billing-vm`"),
        ("billing: vm", "'billing' is not an IP address"),
        ("10.1.2.3:", "10.1.2.3 needs a name, or fields of workload, namespace"),
        ("10.1.2.3: {color: red}", "has a field 'color'; known are workload"),
        ("10.1.2.3: {version: 2}", "version is to be a text of at most 253 letters"),
        ("10.1.2.3: {", "is not YAML"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, text: str, said: str) -> None:
    """Which address and field, and what was expected."""
    with pytest.raises(BadNames, match=said.replace("{", r"\{")):
        read_names(written(tmp_path, text))
