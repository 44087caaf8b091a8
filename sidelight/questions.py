"""Questions from the command line: asked of the running server, or of the folder at rest.

What must stay true: both ways give the same answer. At rest the folder's lock is held for the
length of one question.
"""

from __future__ import annotations

import json
import os
import ssl
import sys
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

from sidelight.data_folder import FolderInUse, FolderLock, RunningServer, find_running

_TIMEOUT_S = 60


class CannotAnswer(RuntimeError):
    """A sentence for the user: why there is no answer and what to do."""


def ask_graph(data_dir: Path, params: dict[str, Any]) -> dict[str, Any]:
    """The JSON of ``/api/graph`` for these parameters. Raises CannotAnswer."""
    server = find_running(data_dir)
    if server is not None:
        query = urllib.parse.urlencode(params, doseq=True)
        return json.loads(call_server(server, f"/api/graph?{query}"))
    if not data_dir.is_dir():
        raise CannotAnswer(
            f"There is no data folder {data_dir}. Start `sidelight serve` or `sidelight demo`, "
            "or name the folder with --data."
        )
    from store.engine import Store
    from store.errors import StoreError
    from store.queries import Queries
    from store.query_types import GraphQuery
    from store.settings import StoreSettings

    try:
        query_object = GraphQuery.from_params(params)
        lock = FolderLock(data_dir)
    except FolderInUse as error:
        raise CannotAnswer(str(error)) from error
    except StoreError as error:
        raise CannotAnswer(_with_hint(error)) from error
    try:
        store = Store(StoreSettings(data_dir=data_dir))
        store.open()
        try:
            store.poll_once()
            return Queries(store).graph(query_object)
        finally:
            store.stop()
    except StoreError as error:
        raise CannotAnswer(_with_hint(error)) from error
    finally:
        lock.release()


def call_server(
    server: RunningServer, path: str, body: bytes | None = None, accept: str = "application/json"
) -> bytes:
    """One request to the running server's API. Raises CannotAnswer with the server's own words."""
    request = urllib.request.Request(server.ui_url + path, data=body)  # noqa: S310 - our own http(s) address
    request.add_header("Accept", accept)
    if body is not None:
        request.add_header("Content-Type", "application/json")
    if server.token:
        request.add_header("Authorization", f"Bearer {server.token}")
    context = _trust(server) if server.ui_url.startswith("https") else None
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S, context=context) as answer:  # noqa: S310
            return answer.read()
    except urllib.error.HTTPError as error:
        raise CannotAnswer(_server_words(error.read())) from error
    except OSError as error:
        hint = "Try again in a moment."
        if context is not None:
            hint = (
                "Where it asks for client certificates, name yours in SIDELIGHT_CLIENT_CERT and "
                "SIDELIGHT_CLIENT_KEY."
            )
        raise CannotAnswer(
            f"The server at {server.ui_url} (process {server.pid}) did not answer: {error}. {hint}"
        ) from error


def _trust(server: RunningServer) -> ssl.SSLContext:
    """TLS to our own server: its very certificate and no other, and ours where one is named."""
    try:
        context = ssl.create_default_context(cafile=server.ca_file)
        # The certificate names the host others use; here it is this machine's loopback.
        context.check_hostname = False
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        if certificate := os.environ.get("SIDELIGHT_CLIENT_CERT"):
            context.load_cert_chain(certificate, os.environ.get("SIDELIGHT_CLIENT_KEY"))
    except (OSError, ssl.SSLError) as error:
        raise CannotAnswer(f"The certificates for {server.ui_url} cannot be read: {error}.") from error
    return context


def print_graph(answer: dict[str, Any], format: str) -> None:
    """Write the graph to stdout as a table, JSON, DOT or Mermaid."""
    if format == "json":
        json.dump(answer, sys.stdout, indent=2 if sys.stdout.isatty() else None)
        sys.stdout.write("\n")
        return
    import store.graph_formats as graph_formats

    if format == "table":
        from sidelight.tables import print_graph_table

        print_graph_table(answer)
    else:
        sys.stdout.write({"dot": graph_formats.to_dot, "mermaid": graph_formats.to_mermaid}[format](answer))


def _server_words(body: bytes) -> str:
    try:
        error = json.loads(body)["error"]
        return " ".join(part for part in (error["message"], error.get("hint")) if part)
    except (ValueError, KeyError, TypeError):
        return "The server answered with an error it did not explain; see its log."


def _with_hint(error: Exception) -> str:
    hint = getattr(error, "hint", None)
    return f"{error} {hint}" if hint and hint not in str(error) else str(error)
