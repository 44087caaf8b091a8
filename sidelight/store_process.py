"""The store's process: loader, queries, API and dashboard around one DuckDB.

What must stay true: SIGTERM ends it within two seconds, whatever browsers are connected; what was
not sealed stays in the journal and is loaded again.
"""

from __future__ import annotations

import gc
import os
import ssl
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from collector.settings import read_tokens
from dashboard.settings import DashboardSettings
from sidelight.data_folder import local_token
from store.settings import StoreSettings

if TYPE_CHECKING:
    from store.engine import Store


def store_settings(settings: dict[str, Any]) -> StoreSettings:
    return StoreSettings(data_dir=Path(settings["data"]), **settings["store"])


def dashboard_settings(settings: dict[str, Any], tokens: tuple[str, ...] = ()) -> DashboardSettings:
    return DashboardSettings(
        ui=settings["ui"],
        grpc=settings["grpc"],
        http=settings["http"],
        tls=settings["tls_cert"] is not None,
        data=Path(settings["data"]),
        tokens=tokens,
        **settings["dashboard"],
    )


def _leave_when_failed(store: Store) -> None:
    """DuckDB gave up for good: end, so that the supervisor starts a fresh process on the same files."""
    store.failed.wait()
    os._exit(1)


def run_store_process(settings: dict[str, Any]) -> int:
    import uvicorn

    from collector.quiet_server import QuietServer
    from dashboard.app import build_app
    from dashboard.metrics import everything
    from store.engine import Store
    from store.queries import Queries

    store = Store(store_settings(settings))
    store.open()
    store.start()
    threading.Thread(target=_leave_when_failed, args=(store,), name="failure-watch", daemon=True).start()
    try:
        tokens: tuple[str, ...] = ()
        if settings["token_file"]:
            shown = tuple(token.decode() for token in read_tokens(Path(settings["token_file"])))
            tokens = (*shown, local_token(Path(settings["data"])))
        shown_settings = dashboard_settings(settings, tokens)
        queries = Queries(store)
        app = build_app(queries, shown_settings)
        if shown_settings.own_metrics_to:
            from sidelight.own_metrics import OwnMetrics

            OwnMetrics(
                shown_settings.own_metrics_to,
                shown_settings.own_metrics_interval_s,
                lambda: everything(shown_settings.data, queries.status()),
            )
        host, _, port = settings["ui"].rpartition(":")
        config = uvicorn.Config(
            app,
            host=host.strip("[]"),
            port=int(port),
            log_level="warning",
            ws_ping_interval=20,
            timeout_graceful_shutdown=1,
            ssl_certfile=settings["tls_cert"],
            ssl_keyfile=settings["tls_key"],
            ssl_ca_certs=settings["client_ca"],
            ssl_cert_reqs=ssl.CERT_REQUIRED if settings["client_ca"] else ssl.CERT_NONE,
        )
        # What is here by now stays: every answer of a thousand edges made the collector walk all of it again.
        gc.collect()
        gc.freeze()
        QuietServer(config).run()
    finally:
        store.stop()
    return 0
