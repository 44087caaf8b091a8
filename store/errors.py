"""What can go wrong in the store, on one screen. Every message is a sentence with what to do.

StoreError
├── BadSetting       a setting that cannot work
├── BadQuery         the asker's fault; carries code, message and hint for the API's answer
├── StoreLocked      another process has the data folder's catalogue open
├── NewerStore       the folder was written by a newer Sidelight
├── OlderStore       the folder was written by an older one, whose columns are others
└── StoreFailed      DuckDB gave up (out of disk, invalidated); the process must restart
"""

from __future__ import annotations


class StoreError(Exception):
    """The root; ``str()`` of any of these may be shown to a user."""


class BadSetting(StoreError, ValueError):
    """A setting that cannot work; the message names it and says what would."""


class BadQuery(StoreError, ValueError):
    """The question cannot be answered as asked. ``code`` is a stable word, ``hint`` says what to change."""

    def __init__(self, code: str, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint

    def as_json(self) -> dict[str, dict[str, str]]:
        return {"error": {"code": self.code, "message": self.message, "hint": self.hint}}


class StoreLocked(StoreError):
    """Another process holds the catalogue; ask it, or stop it first."""


class NewerStore(StoreError):
    """The catalogue's schema version is above ours; opening it could lose what we cannot name."""

    def __init__(self, path: str, found: int, known: int) -> None:
        super().__init__(
            f"{path} was written by a newer Sidelight (schema {found}, this one knows {known}): "
            "upgrade Sidelight, or give it another data folder with --data"
        )


class OlderStore(StoreError):
    """The catalogue's schema version is below ours: its segments lack columns that every question names."""

    def __init__(self, path: str, found: int, known: int) -> None:
        super().__init__(
            f"{path} was written by an older Sidelight (schema {found}, this one knows {known}): "
            "read it with that one, or give this one another data folder with --data"
        )


class StoreFailed(StoreError):
    """DuckDB cannot go on in this process; nothing acknowledged is lost, a restart loads it again."""
