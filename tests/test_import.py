"""`sidelight import`: every line once, wherever the file comes from and however often it is given."""

from __future__ import annotations

import gzip
import io
import json
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from rich.console import Console

from collector import file_chunks
from sidelight.data_folder import RunningServer
from sidelight.import_command import run_import
from sidelight.import_targets import ServerTarget, StoreTarget
from store.frames import decode_frames, decode_header
from store.schema import TABLES
from tests.collector.access_log_goldens import CAPTURES, captured

ISTIO = captured("client.istio.log").splitlines(keepends=True)
TCP = (
    '[2026-11-21T12:01:00.379Z] "- - -" 0 - - - "-" {bytes} 100 {ms} - "-" "-" "-" "-" "127.0.0.1:21902" '
    "outbound|3306||mysqldb.default.svc.cluster.local 127.0.0.1:59688 127.0.0.1:21002 127.0.0.1:{port} - -\n"
)


class JournalTarget:
    """What a store knows: digests and rows of all whole frames in the folder's journals."""

    def __init__(self, folder: Path) -> None:
        self.journal_dir = folder / "journal"
        self.finished: list[list[str]] = []

    def _batches(self) -> Iterator[Any]:
        for path in sorted(self.journal_dir.glob("*.journal"), key=lambda one: one.stat().st_mtime_ns):
            data = path.read_bytes()
            for batch, _ in decode_frames(data, decode_header(data)[1]):
                yield batch

    def known_digests(self, digests: list[str]) -> set[str]:
        return {mark.digest for batch in self._batches() for mark in batch.exports}.intersection(digests)

    def make_room(self) -> None:
        raise AssertionError("the journal has no reason to be full")

    def finish(self, names: list[str], last_digest: str | None) -> None:
        self.finished.append(names)

    def close(self) -> None:
        pass

    def rows(self, table: str = "observations") -> list[dict[str, Any]]:
        pieces = [batch.tables[table] for batch in self._batches() if table in batch.tables]
        for piece in pieces:
            assert piece.schema.equals(TABLES[table])
        return pa.concat_tables([TABLES[table].empty_table(), *pieces]).to_pylist()


class Run:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.target = JournalTarget(folder)

    def __call__(self, *files: Path | str, **options: Any) -> tuple[int, str]:
        """(exit status, what the command said on stderr)"""
        said = io.StringIO()
        given: dict[str, Any] = {
            "format": "auto", "format_string": None, "emitter": None, "names": None, "target": self.target
        }  # fmt: skip
        status = run_import(
            [str(file) for file in files],
            data_dir=self.folder,
            console=Console(file=said, width=200),
            **(given | options),
        )
        return status, said.getvalue()


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path)


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_chunks, "CHUNK_BYTES", 3000)


def paths_of(target: JournalTarget) -> list[str]:
    return sorted(str(row["request_id"]) for row in target.rows())


def test_a_file_becomes_rows_and_says_so(run: Run, tmp_path: Path) -> None:
    """Rows, who wrote them, and exit status 0."""
    path = tmp_path / "reviews-v1-0.shop.istio.log"
    path.write_bytes(b"".join(ISTIO))
    status, said = run(path)
    assert status == 0
    assert "79 rows from 79 lines of istio; written by reviews-v1-0.shop" in said
    rows = run.target.rows()
    assert len(rows) == 79
    assert {row["signal"] for row in rows} == {"file"}
    assert {row["attempts"] for row in rows} == {None}
    (identity,) = run.target.rows("identities")
    assert (identity["workload"], identity["namespace"], identity["version"]) == ("reviews-v1", "shop", "v1")


@pytest.mark.parametrize("form", ["auto", "ztunnel"])
def test_a_ztunnels_log_speaks_for_all_pods_of_its_node(run: Run, tmp_path: Path, form: str) -> None:
    """Rows of each pod by its own name, who is at which address, opened connections apart, a bad line by number."""
    lines = [line for line in captured("ztunnel.txt").splitlines(keepends=True) if not line.startswith(b"#")]
    path = tmp_path / "ztunnel.log"
    path.write_bytes(
        b"".join(lines) + b"2026-11-21T12:00:40.242Z\tinfo\taccess\tconnection complete\tsrc.addr=?\n"
    )
    status, said = run(path, format=form)
    assert status == 0
    assert "37 rows from 40 lines of ztunnel" in said
    assert "which pod wrote it" not in said, "each line names the pod it speaks for"
    assert f"{path}:40" in said
    rows = run.target.rows()
    assert {row["signal"] for row in rows} == {"ztunnel"}
    assert {"productpage-v1-87d54dd59-c7jts.bookinfo", "mysqldb-v1-64bc584fdc-bb5vw.travel-agency"} <= {
        row["emitter"] for row in rows
    }
    waypoints = {row["emitter"] for row in run.target.rows("identities") if row["node_type"] == "waypoint"}
    assert waypoints == {"waypoint-5cb6c6977c-ln2h5.bookinfo"}
    status, said = run(path, format=form)
    assert "adds nothing" in said
    assert run.target.rows() == rows


def test_a_format_of_the_users_own_is_read_and_remembered(run: Run, tmp_path: Path) -> None:
    """Rows by --format-string, a line that does not fit is named, a second import adds nothing."""
    path = tmp_path / "own.log"
    path.write_text(
        "2026-11-21T12:00:40.242Z GET /a 200 3\nwhat is this\n2026-11-21T12:00:41.000Z PUT /b 503 -\n"
    )
    own = "%START_TIME% %REQ(:METHOD)% %REQ(:PATH)% %RESPONSE_CODE% %DURATION%"
    status, said = run(path, format_string=own, emitter="shop/cart-0")
    assert status == 0
    assert "2 rows from 3 lines of custom; written by cart-0.shop" in said
    assert f"{path}:2" in said
    rows = run.target.rows()
    assert [(row["path"], row["status_code"], row["duration_us"]) for row in rows] == [
        ("/a", 200, 3000),
        ("/b", 503, None),
    ]
    assert run(path, format_string=own, emitter="shop/cart-0")[0] == 0
    assert run.target.rows() == rows


@pytest.mark.parametrize("again", ["same", "renamed", "compressed"])
def test_a_second_import_adds_nothing_and_says_so(run: Run, tmp_path: Path, again: str) -> None:
    """The content counts, not the name or the compression."""
    first = tmp_path / "a.log"
    first.write_bytes(b"".join(ISTIO))
    assert run(first)[0] == 0
    second = {"same": first, "renamed": tmp_path / "b.log", "compressed": tmp_path / "a.log.1.gz"}[again]
    if again == "renamed":
        second.write_bytes(first.read_bytes())
    if again == "compressed":
        second.write_bytes(gzip.compress(first.read_bytes()))
    status, said = run(second)
    assert status == 0
    assert "already imported (79 lines): adds nothing" in said
    assert len(run.target.rows()) == 79


def test_a_file_named_twice_counts_once(run: Run, tmp_path: Path) -> None:
    """Also within one command."""
    path = tmp_path / "a.log"
    path.write_bytes(b"".join(ISTIO))
    status, said = run(path, path)
    assert (status, len(run.target.rows())) == (0, 79)
    assert "adds nothing" in said


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("cuts", [(1, 79), (10, 11, 40, 79), (3, 30, 31, 32, 33, 78, 79)])
def test_a_file_that_grew_adds_its_new_lines_only(run: Run, tmp_path: Path, cuts: tuple[int, ...]) -> None:
    """A live log imported again and again ends as the same rows as imported once."""
    path = tmp_path / "a.log"
    for cut in cuts:
        path.write_bytes(b"".join(ISTIO[:cut]))
        status, _ = run(path)
        assert status == 0
        assert len(run.target.rows()) == cut
    once = Run(tmp_path / "once")
    once(path)
    assert paths_of(run.target) == paths_of(once.target)


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("compressed", [False, True])
def test_bad_lines_are_named_by_their_number(run: Run, tmp_path: Path, compressed: bool) -> None:
    """FILE:N is exact across chunks, blank lines and gzip; the good lines around are rows."""
    lines = list(ISTIO)
    bad = {5: b"nonsense\n", 40: ISTIO[0][:90] + b"\n", 70: b"{}\n"}
    for number, text in bad.items():
        lines.insert(number - 1, text)
    lines.insert(0, b"\n")
    path = tmp_path / "a.log"
    data = b"".join(lines)
    path.write_bytes(gzip.compress(data) if compressed else data)
    status, said = run(path)
    assert status == 0
    places = [f"{path}:{number + 1}" for number in bad]
    assert [row["place"] for row in run.target.rows("rejects")] == places
    assert all(f"{place}: " in said for place in places)
    assert "3 lines could not be read" in said
    assert len(run.target.rows()) == 79


def test_many_bad_lines_are_counted_and_a_few_named(run: Run, tmp_path: Path) -> None:
    """A wrong line in a hundred does not fill the terminal, nor the table."""
    path = tmp_path / "a.log"
    path.write_bytes(b"".join(ISTIO) + b"nonsense\n" * 5000)
    status, said = run(path)
    assert status == 0
    assert said.count(": not an access-log line") == 10
    assert "4,990 more lines could not be read" in said
    assert len(run.target.rows("rejects")) == 1000


@pytest.mark.usefixtures("small_chunks")
def test_of_a_connection_only_its_last_record_is_a_row(run: Run, tmp_path: Path) -> None:
    """Periodic TCP records look like ends: the last of (peer, start) wins, however far apart they are."""
    path = tmp_path / "a.log"
    records = [TCP.format(bytes=number, ms=number, port=1000 + number % 2).encode() for number in range(100)]
    path.write_bytes(b"".join(one + two for one, two in zip(records, ISTIO[:1] * 100, strict=True)))
    assert run(path)[0] == 0
    rows = [row for row in run.target.rows() if row["protocol"] == "tcp"]
    assert sorted(row["request_bytes"] for row in rows) == [98, 99]
    assert run(path)[1].count("adds nothing") == 1


@pytest.mark.usefixtures("small_chunks")
def test_a_killed_import_loses_no_connection(run: Run, tmp_path: Path) -> None:
    """Connections wait for the file's end; what a killed run had not written comes with the next one."""
    path = tmp_path / "a.log"
    path.write_bytes(b"".join([TCP.format(bytes=1, ms=1, port=7).encode(), *ISTIO]))

    class Killed(JournalTarget):
        asked = 0

        def known_digests(self, digests: list[str]) -> set[str]:
            self.asked += 1
            if self.asked > 3:
                raise KeyboardInterrupt
            return super().known_digests(digests)

    with pytest.raises(KeyboardInterrupt):
        run(path, target=Killed(tmp_path))
    before = len(run.target.rows())
    assert 0 < before < 79
    assert run(path)[0] == 0
    rows = run.target.rows()
    assert len(rows) == 80
    assert [row["request_bytes"] for row in rows if row["protocol"] == "tcp"] == [1]


def test_standard_input_is_a_file(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """`kubectl logs ... | sidelight import - --emitter NS/POD`."""
    stdin = io.TextIOWrapper(io.BufferedReader(io.BytesIO(b"".join(ISTIO))))
    monkeypatch.setattr(sys, "stdin", stdin)
    status, _ = run("-", emitter="shop/cart-0")
    assert status == 0
    assert {row["emitter"] for row in run.target.rows()} == {"cart-0.shop"}


def test_nobody_named_is_said(run: Run, tmp_path: Path) -> None:
    """Without an emitter the rows are kept, and the command says what to pass."""
    path = tmp_path / "access.log"
    path.write_bytes(b"".join(ISTIO))
    status, said = run(path)
    assert status == 0
    assert "--emitter NS/POD" in said
    assert {row["emitter"] for row in run.target.rows()} == {None}


def test_envoys_default_format_gives_rows(run: Run, tmp_path: Path) -> None:
    """Rows; no caller's address is in that format, and none is made up."""
    status, said = run(CAPTURES / "client.default.log", emitter="default/productpage-v1-0")
    assert status == 0
    assert "lines of envoy" in said
    rows = run.target.rows()
    assert len(rows) == 79
    assert {row["source_address"] for row in rows} == {None}


@pytest.mark.parametrize(
    ("options", "status", "words"),
    [
        ({"format": "traefik"}, 2, "Traefik access logs cannot be imported yet"),
        ({"format": "nginx"}, 2, "There is no format 'nginx'"),
        ({"format_string": "%START_TIME%"}, 2, "no %RESPONSE_CODE%"),
        ({"format_string": "%START_TIME% %RESPONSE_CODE%", "format": "json"}, 2, "exclude each other"),
        ({"emitter": "cart"}, 2, "--emitter is NS/POD"),
        ({"format": "envoy"}, 1, "could not be read"),
    ],
)
def test_wrong_options_are_one_sentence(
    run: Run, tmp_path: Path, options: dict[str, Any], status: int, words: str
) -> None:
    """What is wrong and what would be right, and nothing is imported."""
    path = tmp_path / "a.log"
    path.write_bytes(b"".join(ISTIO))
    got, said = run(path, **options)
    assert got == status
    assert words in said
    assert run.target.rows() == []


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("missing.log", None, "does not exist"),
        ("folder", "folder", "is a folder"),
        ("empty.log", b"", "0 rows"),
        (
            "picture.png",
            b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 40,
            "no access-log lines of a known format",
        ),
        ("a.log.zst", b"\x28\xb5\x2f\xfd" + b"x" * 100, "zstd -dc"),
        (
            "spans.json",
            b'{"resourceSpans":[]}\n',
            "OTLP files cannot be imported yet; istio, envoy, json and ztunnel can",
        ),
        ("broken.gz", b"\x1f\x8b\x08\x00broken", "cannot be read further"),
    ],
)
def test_what_cannot_be_read_is_one_sentence(
    run: Run, tmp_path: Path, name: str, content: bytes | str | None, words: str
) -> None:
    """Exit status 1 if nothing could be read, with what to do; a good file beside it is imported."""
    path = tmp_path / name
    if content == "folder":
        path.mkdir()
    elif isinstance(content, bytes):
        path.write_bytes(content)
    status, said = run(path)
    assert status == 1
    assert words in said
    good = tmp_path / "good.log"
    good.write_bytes(b"".join(ISTIO))
    status, said = run(path, good)
    assert status == 0
    assert len(run.target.rows()) == 79


@pytest.mark.usefixtures("small_chunks")
def test_a_cut_gzip_file_gives_what_is_there(run: Run, tmp_path: Path) -> None:
    """A torn upload: lines before the tear are rows, the tear is named; the whole file adds the rest."""
    path = tmp_path / "a.log.gz"
    whole = gzip.compress(b"".join(ISTIO))
    path.write_bytes(whole[: len(whole) // 2])
    status, said = run(path)
    assert status == 0
    assert "cannot be read further" in said
    assert 0 < len(run.target.rows()) < 79
    path.write_bytes(whole)
    run(path)
    assert len(run.target.rows()) == 79


@pytest.mark.usefixtures("small_chunks")
def test_an_endless_line_is_passed_over(run: Run, tmp_path: Path) -> None:
    """Memory is bounded: a line longer than a chunk is refused by its number, the next lines are read."""
    path = tmp_path / "a.log"
    path.write_bytes(ISTIO[0] + b"x" * 20_000 + b"\n" + ISTIO[1])
    status, said = run(path)
    assert status == 0
    assert f"{path}:2: the line is longer than" in said
    assert len(run.target.rows()) == 2


@pytest.mark.usefixtures("small_chunks")
def test_cri_parts_at_the_end_of_a_chunk_stay_together(run: Run, tmp_path: Path) -> None:
    """A chunk is not cut between the parts of one line."""
    stamp = b"2026-11-21T12:00:00.1Z stdout "
    lines = [
        piece for line in ISTIO for piece in (stamp + b"P " + line[:30] + b"\n", stamp + b"F " + line[30:])
    ]
    path = tmp_path / "a.log"
    path.write_bytes(b"".join(lines))
    status, _ = run(path)
    assert (status, len(run.target.rows()), run.target.rows("rejects")) == (0, 79, [])


@pytest.mark.usefixtures("small_chunks")
def test_dockers_pieces_at_the_end_of_a_chunk_stay_together(run: Run, tmp_path: Path) -> None:
    """Nor between the pieces of one line in Docker's own log files."""
    pieces = [piece for line in ISTIO for piece in (line[:30].decode(), line[30:].decode("utf-8", "replace"))]
    path = tmp_path / "a.log"
    path.write_text("".join(json.dumps({"log": piece, "stream": "stdout"}) + "\n" for piece in pieces))
    status, _ = run(path)
    assert (status, len(run.target.rows()), run.target.rows("rejects")) == (0, 79, [])


def test_control_characters_never_reach_the_terminal(run: Run, tmp_path: Path) -> None:
    """A file's name or content cannot drive the terminal it is reported on."""
    path = tmp_path / "a\x1b[31m[red].log"
    path.write_bytes(b"\x1b]0;title\x07\n" + b"".join(ISTIO))
    _, said = run(path)
    assert "\x1b" not in said
    assert "[red]" in said


@pytest.mark.slow
def test_without_a_server_the_store_takes_it(tmp_path: Path) -> None:
    """At rest the folder is opened, rows are sealed, and the store itself knows a second import."""
    path = tmp_path / "reviews-v1-0.shop.istio.log"
    path.write_bytes(b"".join(ISTIO))
    data = tmp_path / "data"
    run = Run(data)
    assert run(path, target=None)[0] == 0
    assert not list((data / "journal").glob("*.journal"))
    assert list((data / "segments" / "observations").rglob("*.parquet"))
    assert "already imported (79 lines): adds nothing" in run(path, target=None)[1]


@pytest.mark.slow
def test_a_folder_in_use_is_one_sentence(tmp_path: Path) -> None:
    """Another command at work on the folder is named, not waited for."""
    holder = StoreTarget(tmp_path / "data")
    try:
        status, said = Run(tmp_path / "data")(CAPTURES / "client.istio.log", target=None)
    finally:
        holder.close()
    assert status == 1
    assert "in use" in said


def test_a_running_server_is_asked_over_its_api(tmp_path: Path) -> None:
    """With a server running, its API knows the digests and its journal folder takes the rows."""
    asked: list[tuple[str, str | None]] = []
    journal = JournalTarget(tmp_path)

    class Api(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            asked.append((self.path, self.headers["Authorization"]))
            answer = json.dumps({"known": sorted(journal.known_digests(body["digests"]))}).encode()
            self.send_response(200)
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Api)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        running = RunningServer(1, f"http://127.0.0.1:{server.server_port}", "secret", None)
        run = Run(tmp_path)
        path = CAPTURES / "client.istio.log"
        assert run(path, target=ServerTarget(running, tmp_path))[0] == 0
        assert "adds nothing" in run(path, target=ServerTarget(running, tmp_path))[1]
    finally:
        server.shutdown()
        server.server_close()  # refused, not left waiting
    assert set(asked) == {("/api/import/known", "Bearer secret")}
    assert len(journal.rows()) == 79
    status, said = run(path, target=ServerTarget(running, tmp_path))
    assert status == 1
    assert "did not answer" in said
