"""The command line. Each command is a few lines: read options, call its module, turn errors into sentences.

Exit status: 0, 1 (it failed; one line on stderr says why and what to do), 2 (wrong usage).
Heavy imports stay inside the commands: `sidelight --help` and the supervisor must be quick and small.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    name="sidelight",
    help="Observability backend and topology dashboard for service meshes.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

DataOption = Annotated[
    Path, typer.Option("--data", envvar="SIDELIGHT_DATA", help="The data folder.", show_default=True)
]
DEFAULT_DATA = Path("sidelight-data")

store_app = typer.Typer(
    help="Look after the data folder, with or without a running server.", no_args_is_help=True
)
app.add_typer(store_app, name="store")


class GraphType(StrEnum):
    version = "version"
    workload = "workload"
    app = "app"
    service = "service"
    instance = "instance"


class GraphFormat(StrEnum):
    table = "table"
    json = "json"
    dot = "dot"
    mermaid = "mermaid"


class SqlFormat(StrEnum):
    table = "table"
    csv = "csv"
    json = "json"
    arrow = "arrow"
    parquet = "parquet"


class TableFormat(StrEnum):
    table = "table"
    json = "json"


class ExportFormat(StrEnum):
    parquet = "parquet"
    duckdb = "duckdb"


def fail(sentence: str) -> typer.Exit:
    """Say why on stderr, in one line, and leave with status 1."""
    print("sidelight: " + " ".join(sentence.split()), file=sys.stderr)
    return typer.Exit(1)


@app.command()
def serve(
    data: DataOption = DEFAULT_DATA,
    grpc: Annotated[str | None, typer.Option(help="OTLP and Envoy ALS over gRPC [127.0.0.1:4317].")] = None,
    http: Annotated[str | None, typer.Option(help="OTLP over HTTP [127.0.0.1:4318].")] = None,
    ui: Annotated[str | None, typer.Option(help="Dashboard and API [127.0.0.1:8050].")] = None,
    config: Annotated[Path | None, typer.Option(help="A TOML file with these settings and more.")] = None,
    follow: Annotated[
        list[str] | None, typer.Option(help="Access-log files to read as they grow: a path or a glob.")
    ] = None,
    names: Annotated[Path | None, typer.Option(help="Names for addresses outside the mesh (YAML).")] = None,
    token_file: Annotated[Path | None, typer.Option(help="Tokens that senders and users must show.")] = None,
    tls_cert: Annotated[Path | None, typer.Option(help="Serve TLS on all three ports.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="The certificate's key.")] = None,
    client_ca: Annotated[Path | None, typer.Option(help="Ask for client certificates of this CA.")] = None,
    allow_anonymous: Annotated[
        bool, typer.Option("--allow-anonymous", help="Let anyone who can reach an address use it.")
    ] = False,
) -> None:
    """Receive telemetry, store it, and show it."""
    from sidelight.settings import BadSettings, load

    given = {
        "data": data if data != DEFAULT_DATA or "SIDELIGHT_DATA" in os.environ else None,
        "grpc": grpc,
        "http": http,
        "ui": ui,
        "follow": follow or None,
        "names": names,
        "token_file": token_file,
        "tls_cert": tls_cert,
        "tls_key": tls_key,
        "client_ca": client_ca,
        "allow_anonymous": allow_anonymous or None,
    }
    try:
        settings = load(config, **given)
    except BadSettings as error:
        raise fail(str(error)) from error
    if settings.names is not None:
        from sidelight.names_file import BadNames, journal_names

        try:
            journal_names(settings.names, settings.data)
        except BadNames as error:
            raise fail(str(error)) from error
    from sidelight.launch import become_supervisor

    become_supervisor(settings)


@app.command()
def demo(
    data: DataOption = DEFAULT_DATA,
    requests: Annotated[int, typer.Option(min=0, help="Stop sending after so many (0: never).")] = 0,
    rps: Annotated[float, typer.Option(min=0.1, help="Requests per second at the gateway.")] = 20.0,
    topology: Annotated[Path | None, typer.Option(help="Another mesh: see fixtures/mesh/.")] = None,
    discard: Annotated[bool, typer.Option("--discard", help="Delete the data at the end.")] = False,
) -> None:
    """Run a mesh of real Envoy sidecars, send traffic through it, and serve its telemetry."""
    from sidelight.demo import CannotRunDemo, run_demo

    try:
        raise typer.Exit(run_demo(data, requests=requests, rps=rps, topology=topology, discard=discard))
    except CannotRunDemo as error:
        raise fail(str(error)) from error


@app.command("import")
def import_(
    files: Annotated[list[str], typer.Argument(help="Access-log files, gzip or not; '-' is stdin.")],
    data: DataOption = DEFAULT_DATA,
    format: Annotated[str, typer.Option("--format", help="auto, istio, envoy, json or ztunnel.")] = "auto",
    format_string: Annotated[str | None, typer.Option(help="An Envoy format string of your own.")] = None,
    emitter: Annotated[str | None, typer.Option(help="NS/POD whose proxy wrote these lines.")] = None,
    names: Annotated[Path | None, typer.Option(help="Names for addresses outside the mesh (YAML).")] = None,
) -> None:
    """Import access-log files, each once."""
    from rich.console import Console

    from sidelight.import_command import run_import

    raise typer.Exit(
        run_import(
            files,
            format=format,
            format_string=format_string,
            emitter=emitter,
            data_dir=data,
            names=names,
            console=Console(stderr=True),
        )
    )


@app.command()
def graph(
    data: DataOption = DEFAULT_DATA,
    window: Annotated[str | None, typer.Option(help="The last so long: 30s, 5m, 24h [5m].")] = None,
    from_: Annotated[str | None, typer.Option("--from", help="RFC 3339 or epoch seconds.")] = None,
    to: Annotated[str | None, typer.Option(help="RFC 3339 or epoch seconds.")] = None,
    type: Annotated[GraphType, typer.Option("--type", help="What a node is.")] = GraphType.version,
    namespace: Annotated[list[str] | None, typer.Option(help="Only these namespaces.")] = None,
    success: Annotated[str, typer.Option(help="What counts as an error: 5xx or 4xx.")] = "5xx",
    format: Annotated[
        GraphFormat | None, typer.Option("--format", help="[table at a terminal, json in a pipe]")
    ] = None,
) -> None:
    """Who calls whom, how often, how well and how fast."""
    from sidelight.questions import CannotAnswer, ask_graph, print_graph

    params: dict[str, object] = {"type": type.value, "success": success}
    params |= {
        name: value
        for name, value in (("window", window), ("from", from_), ("to", to), ("namespace", namespace))
        if value
    }
    chosen = format or (GraphFormat.table if sys.stdout.isatty() else GraphFormat.json)
    try:
        print_graph(ask_graph(data, params), chosen.value)
    except CannotAnswer as error:
        raise fail(str(error)) from error


@app.command()
def sql(
    statement: Annotated[
        str | None, typer.Argument(help="One statement; none: an interactive prompt.")
    ] = None,
    data: DataOption = DEFAULT_DATA,
    format: Annotated[
        SqlFormat | None, typer.Option("--format", help="[table at a terminal, json in a pipe]")
    ] = None,
) -> None:
    """Ask anything in SQL, of everything stored, the last minute included."""
    from sidelight.questions import CannotAnswer
    from sidelight.sql_prompt import prompt, run_sql

    if statement is None and not sys.stdin.isatty():
        statement = sys.stdin.read()
    chosen = format or (SqlFormat.table if sys.stdout.isatty() else SqlFormat.json)
    try:
        if statement is None:
            prompt(data, (format or SqlFormat.table).value)
        else:
            run_sql(data, statement, chosen.value)
    except CannotAnswer as error:
        raise fail(str(error)) from error


@store_app.command("stats")
def store_stats(
    data: DataOption = DEFAULT_DATA,
    format: Annotated[
        TableFormat | None, typer.Option("--format", help="[table at a terminal, json in a pipe]")
    ] = None,
) -> None:
    """What is stored, how much of it, and how long it is kept."""
    from sidelight.store_command import print_stats

    chosen = format or (TableFormat.table if sys.stdout.isatty() else TableFormat.json)
    with _told():
        print_stats(data, chosen.value)


@store_app.command("compact")
def store_compact(data: DataOption = DEFAULT_DATA) -> None:
    """Seal everything at once, then merge small segments."""
    from sidelight.store_command import compact

    with _told():
        compact(data)


@store_app.command("verify")
def store_verify(data: DataOption = DEFAULT_DATA) -> None:
    """Read every segment whole and set aside what is broken."""
    from sidelight.store_command import verify

    with _told():
        if not verify(data):
            raise typer.Exit(1)


@app.command()
def backup(
    folder: Annotated[Path, typer.Argument(help="A new folder, or the one of the backup before.")],
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Copy the data folder as it is at one moment, while it is being used."""
    from sidelight.store_command import backup

    with _told():
        backup(data, folder)


@app.command()
def restore(
    folder: Annotated[Path, typer.Argument(help="What `sidelight backup` wrote.")],
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Make a new data folder of a backup."""
    from sidelight.store_command import restore

    with _told():
        restore(folder, data)


@app.command()
def export(
    out: Annotated[Path, typer.Argument(help="A new folder (parquet) or file (duckdb).")],
    data: DataOption = DEFAULT_DATA,
    window: Annotated[str | None, typer.Option(help="The last so long: 30s, 5m, 24h.")] = None,
    from_: Annotated[str | None, typer.Option("--from", help="RFC 3339 or epoch seconds.")] = None,
    to: Annotated[str | None, typer.Option(help="RFC 3339 or epoch seconds.")] = None,
    format: Annotated[
        ExportFormat, typer.Option("--format", help="Parquet files, or one DuckDB file.")
    ] = ExportFormat.parquet,
) -> None:
    """Write the rows of a time window to files of your own."""
    from sidelight.store_command import export

    given = (("window", window), ("from", from_), ("to", to))
    with _told():
        export(data, out, {name: value for name, value in given if value}, format.value)


@contextmanager
def _told() -> Iterator[None]:
    """What cannot be done is said in a sentence."""
    from sidelight.questions import CannotAnswer

    try:
        yield
    except CannotAnswer as error:
        raise fail(str(error)) from error


def main() -> None:
    """The console script."""
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        # The reader of our pipe has left; there is nobody to tell.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


if __name__ == "__main__":
    main()
