"""The registry: what proxies and applications say of themselves → who was at which address, when.

What must stay true: learning the same thing twice changes nothing (after a crash the journals say
everything again); a better kind of evidence is never overwritten by a worse one; an address taken
over by another pod ends the former's interval and leaves its past alone.
"""

from __future__ import annotations

import pyarrow as pa

from store.database import Cursor, arrow_relations, one, to_arrow
from store.statements import sql

RESOLVED = ("instances", "address_history", "proxy_history")
"""The registry as readers meet it, each made of those before: small tables, written when something is learned."""


def learn(cursor: Cursor, identities: pa.Table) -> bool:
    """Fold ``identities`` rows into the hot registry, within the caller's transaction. True: it changed."""
    with arrow_relations(cursor, incoming=identities):
        told = to_arrow(cursor.execute(sql("load/identities_told")))
    with arrow_relations(cursor, told=told):
        if one(cursor.execute(sql("load/identities_news")))[0] == 0:
            return False
        cursor.execute(sql("load/identities_merge"))
        cursor.execute(sql("load/stints_merge"))
    refresh_instances(cursor)
    return True


def refresh_instances(cursor: Cursor) -> None:
    """Resolve facts and stints into the tables of ``RESOLVED`` anew."""
    resolved = {
        "instances": sql("load/instances", facts="hot.identity_facts", stints="hot.stints"),
        "address_history": sql("load/address_history", instances="hot.instances"),
        "proxy_history": sql(
            "load/proxy_history", instances="hot.instances", address_history="hot.address_history"
        ),
    }
    for name in RESOLVED:
        cursor.execute(f"CREATE OR REPLACE TABLE hot.{name} AS {resolved[name]}")


def save(cursor: Cursor) -> None:
    """Write facts and stints to the catalogue, where they differ, within the caller's transaction."""
    for table in ("identity_facts", "stints"):
        differs = one(
            cursor.execute(
                f"SELECT count(*) FROM ((FROM hot.{table} EXCEPT FROM catalogue.{table}) "
                f"UNION ALL (FROM catalogue.{table} EXCEPT FROM hot.{table}))"
            )
        )[0]
        if differs:
            cursor.execute(f"DELETE FROM catalogue.{table}")
            cursor.execute(f"INSERT INTO catalogue.{table} FROM hot.{table}")
