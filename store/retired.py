"""Segment files that no list names any more, until nobody can be reading them.

What must stay true: a file is unlinked only after the catalogue's *file* says that it is not needed (its log may be
lost), and after whoever began to read it has had time to finish.
"""

from __future__ import annotations

from datetime import datetime

from store.catalogue import Segment
from store.database import Cursor, has_room_to_checkpoint
from store.settings import StoreSettings


def retire(cursor: Cursor, segments: list[Segment], now: datetime) -> None:
    """Take them off the list, in the caller's transaction."""
    for segment in segments:
        cursor.execute("DELETE FROM catalogue.segments WHERE path = ?", [segment.path])
        cursor.execute("INSERT INTO catalogue.retired VALUES (?, ?)", [segment.path, now])


def read_retired(cursor: Cursor) -> set[str]:
    """Paths of files that lie on the disk although nothing needs them."""
    return {path for (path,) in cursor.execute("SELECT path FROM catalogue.retired").fetchall()}


def unlink_retired(cursor: Cursor, settings: StoreSettings, before: datetime) -> int:
    """Unlink those that were retired before ``before``, and the folders they leave empty. Returns how many.

    None are where the disk has no room to write the catalogue's file.
    """
    found = cursor.execute("SELECT path FROM catalogue.retired WHERE retired_at <= ?", [before]).fetchall()
    if not found or not has_room_to_checkpoint(settings.catalogue):
        return 0
    cursor.execute("CHECKPOINT catalogue")
    for (path,) in found:
        (settings.data_dir / path).unlink(missing_ok=True)
        for folder in list((settings.data_dir / path).parents)[:2]:  # hour=, date=
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()
    cursor.execute("DELETE FROM catalogue.retired WHERE retired_at <= ?", [before])
    return len(found)
