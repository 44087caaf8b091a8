"""Followed files: every line once, as it comes, over rotation, compression and restarts."""

from __future__ import annotations

import gzip
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.collector.following import Following, append, ids, line, lines, stored


@pytest.fixture
def follow(tmp_path: Path) -> Iterator[Callable[..., Following]]:
    """A follower on a data folder of its own, started; stopped at the end."""
    begun: list[Following] = []

    def start(*paths: Path | str | dict[str, Any]) -> Following:
        begun.append(Following(tmp_path / "data", *paths))
        return begun[-1].start()

    yield start
    for one in begun:
        if one.follower is not None:
            one.stop()


Start = Callable[..., Following]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    folder = tmp_path / "logs"
    folder.mkdir()
    return folder / "access.log"


def test_lines_are_rows_as_they_come(follow: Start, log: Path) -> None:
    """What was there before, and what is written then."""
    append(log, lines(1, 3))
    following = follow(log)
    assert following.turn() == ids(1, 3)
    append(log, lines(4, 5))
    assert following.turn() == ids(1, 5)
    assert following.turn() == ids(1, 5)


def test_a_line_waits_for_its_newline(follow: Start, log: Path) -> None:
    """Half a line is no line, however long it stays half."""
    whole = line(2)
    append(log, line(1) + whole[:60])
    following = follow(log)
    assert following.turn() == ids(1, 1)
    assert following.turn(3600) == ids(1, 1)
    append(log, whole[60:])
    assert following.turn() == ids(1, 2)
    assert stored(following.data, "rejects") == []


def test_a_last_line_without_newline_counts_once_its_file_is_left(follow: Start, log: Path) -> None:
    """After a rotation nothing comes any more: the unfinished line is read a few seconds later."""
    append(log, lines(1, 2).removesuffix("\n"))
    following = follow(log)
    assert following.turn() == ["r-1"]
    log.rename(log.with_name("access.log.1"))
    append(log, line(3))
    assert following.turn() == ["r-1", "r-3"]
    assert following.turn(10) == ids(1, 3)
    assert following.turn(10) == ids(1, 3)


def test_a_restart_goes_on_where_it_was(follow: Start, log: Path) -> None:
    """Also with an unfinished line at the end, and with lines that came while nobody looked."""
    append(log, lines(1, 3) + line(4)[:50])
    following = follow(log)
    following.turn()
    following.stop()
    append(log, line(4)[50:] + lines(5, 6))
    assert following.start().turn() == ids(1, 6)
    assert following.again() == ids(1, 6)


def test_new_files_are_found_by_the_glob(follow: Start, log: Path) -> None:
    """A pod that starts later is followed from its first line; its path says who it is."""
    pods = log.parent / "pods"
    following = follow(pods / "*" / "istio-proxy" / "*.log")
    assert following.turn() == []
    first = (
        pods / "shop_cart-v2-7f9c4d8b6-x2x4z_5b1c8f0e-1111-2222-3333-444455556666" / "istio-proxy" / "0.log"
    )
    first.parent.mkdir(parents=True)
    append(first, f"2026-11-21T12:00:00.1Z stdout F {line(1)}")
    following.turn()
    append(first, f"2026-11-21T12:00:00.2Z stdout F {line(2)}")
    assert following.turn() == ids(1, 2)
    assert {row["emitter"] for row in stored(following.data)} == {"cart-v2-7f9c4d8b6-x2x4z.shop"}
    assert following.counted("sidelight_followed_files") == 1


def test_a_ztunnels_log_is_followed(follow: Start, log: Path) -> None:
    """Its connections are rows of the pods they belong to, whoever the path says wrote the file; across a restart."""
    folder = log.parent / "istio-system_ztunnel-8x2kp_5b1c8f0e-1111-2222-3333-444455556666" / "istio-proxy"
    folder.mkdir(parents=True)
    connection = (
        "2026-11-21T12:00:0{n}.3Z stdout F 2026-11-21T12:00:0{n}.200000Z\tinfo\taccess\tconnection complete\t"
        'src.addr=10.0.0.1:4000{n} src.workload="shop-{n}" src.namespace="default" dst.addr=10.0.0.2:8080 '
        'dst.workload="pay-0" dst.namespace="default" direction="outbound" bytes_sent=1 bytes_recv=2 duration="1ms"\n'
    )
    append(folder / "0.log", connection.format(n=1) + connection.format(n=2)[:90])
    following = follow(log.parent / "*" / "istio-proxy" / "*.log")
    following.turn()
    following.stop()
    append(folder / "0.log", connection.format(n=2)[90:])
    following.start().turn()
    assert [row["emitter"] for row in stored(following.data)] == ["shop-1.default", "shop-2.default"]
    assert stored(following.data, "rejects") == []


@pytest.mark.parametrize("restarted", [False, True], ids=["running", "meanwhile stopped"])
def test_rotation_by_rename(follow: Start, log: Path, restarted: bool) -> None:
    """The old file is read to its end under its new name, the new one from its beginning."""
    append(log, lines(1, 3))
    following = follow(log)
    following.turn()
    if restarted:
        following.stop()
    append(log, lines(4, 5))
    log.rename(log.with_name("access.log.1"))
    append(log, lines(6, 8))
    if restarted:
        following.start()
    assert following.turn() == ids(1, 8)
    append(log.with_name("access.log.1"), line(9))  # a writer that has not reopened its log yet
    append(log, line(10))
    assert following.turn() == ids(1, 10)
    assert following.again() == ids(1, 10)


def test_the_log_kept_its_name_and_the_pod_does_too(follow: Start, log: Path) -> None:
    """Rows after a rotation and after a restart are of the same writer, also where the lines named it first."""
    pod = log.with_name("reviews-v1-0.istio.log")
    told = line(1).replace("details.default.svc", "details.shop.svc").replace('"details:9080"', '"details"')
    append(pod, told)
    following = follow(pod)
    following.turn()
    pod.rename(pod.with_name("reviews-v1-0.istio.log.1"))
    append(pod, lines(2, 3))
    following.turn()
    append(pod, line(4))
    following.again()
    assert {row["emitter"] for row in stored(following.data)} == {"reviews-v1-0.shop"}
    assert {row["namespace"] for row in stored(following.data, "identities")} == {"shop"}


def test_a_namespace_that_shows_later_is_told_of_the_same_writer(follow: Start, log: Path) -> None:
    """The first lines do not say it: the rows' name stays, what is known of it grows."""
    pod = log.with_name("reviews-v1-0.istio.log")
    append(pod, line(1).replace('"details:9080"', '"details.default"'))
    following = follow(pod)
    following.turn()
    append(pod, line(2).replace('"details:9080"', '"details"').replace("details.default", "details.shop"))
    following.turn()
    assert {row["emitter"] for row in stored(following.data)} == {"reviews-v1-0"}
    assert [row["namespace"] for row in stored(following.data, "identities")][-1] == "shop"


def test_several_rotations_while_nobody_looked(follow: Start, log: Path) -> None:
    """Files that were begun and rotated away in between belong to the log; older ones do not."""
    append(log.with_name("access.log.1"), lines(100, 120))
    os.utime(log.with_name("access.log.1"), (1, 1))
    append(log, lines(1, 3))
    following = follow(log)
    assert following.turn() == ids(1, 3)
    following.stop()
    log.with_name("access.log.1").rename(log.with_name("access.log.4"))
    append(log, line(4))
    log.rename(log.with_name("access.log.3"))
    log.with_name("access.log.2.gz").write_bytes(gzip.compress(lines(5, 6).encode()))
    append(log.with_name("access.log.1"), lines(7, 8))
    append(log, lines(9, 10))
    assert following.start().turn() == ids(1, 10)
    assert following.again() == ids(1, 10)


@pytest.mark.parametrize("restarted", [False, True], ids=["running", "meanwhile stopped"])
def test_truncation_under_a_copy(follow: Start, log: Path, restarted: bool) -> None:
    """copytruncate: the rest is in the copy, the log begins anew."""
    append(log, lines(1, 3))
    following = follow(log)
    following.turn()
    if restarted:
        following.stop()
    append(log, lines(4, 5))
    shutil.copy(log, log.with_name("access.log.1"))
    os.truncate(log, 0)
    append(log, lines(6, 7))
    if restarted:
        following.start()
    following.turn()
    assert following.turn() == ids(1, 7)
    assert following.again() == ids(1, 7)


def test_a_log_that_was_truncated_and_has_grown_past_its_position(follow: Start, log: Path) -> None:
    """The size says nothing then; the bytes before the position do."""
    append(log, lines(1, 3))
    following = follow(log)
    following.turn()
    os.truncate(log, 0)
    append(log, lines(4, 30))
    following.turn()
    assert following.turn() == ids(1, 30)


def test_truncation_without_a_copy(follow: Start, log: Path) -> None:
    """`> access.log`: what had been read stays, the log begins anew."""
    append(log, lines(1, 5))
    following = follow(log)
    following.turn()
    log.write_text("")
    following.turn()
    append(log, lines(6, 7))
    assert following.turn() == ids(1, 7)
    assert following.again() == ids(1, 7)


def test_a_file_replaced_by_one_of_the_same_size(follow: Start, log: Path) -> None:
    """Neither name nor size tell; the content does."""
    append(log, lines(1, 3))
    following = follow(log)
    following.turn()
    other = log.with_name("new")
    append(other, lines(4, 6))
    assert other.stat().st_size == log.stat().st_size
    other.rename(log)
    assert following.turn() == ids(1, 6)
    following.stop()
    log.write_text(lines(7, 9))  # the same inode too
    assert following.start().turn() == ids(1, 9)


def test_a_rotated_file_that_is_compressed_is_not_read_twice(follow: Start, log: Path) -> None:
    """Though the glob names it: its content was read."""
    append(log, lines(1, 40))
    following = follow(log.with_name("access.log*"))
    following.turn()
    rotated = log.with_name("access.log.1")
    log.rename(rotated)
    append(log, line(41))
    following.turn()
    packed = gzip.compress(rotated.read_bytes())
    compressed = log.with_name("access.log.1.gz")
    compressed.write_bytes(packed[: len(packed) // 2])  # gzip is at work
    following.turn()
    compressed.write_bytes(packed)
    rotated.unlink()
    assert following.turn() == ids(1, 41)
    compressed.rename(log.with_name("access.log.2.gz"))
    assert following.turn(100) == ids(1, 41)
    assert following.again() == ids(1, 41)
    assert following.turn(100) == ids(1, 41)


def test_what_was_not_read_before_compression_is_read_after(follow: Start, log: Path) -> None:
    """Rotated and compressed while nobody looked: the rest comes out of the gzip file, also one not in the glob."""
    append(log, lines(1, 40))
    following = follow(log)
    following.turn()
    following.stop()
    append(log, lines(41, 50))
    log.with_name("access.log-20261121.gz").write_bytes(gzip.compress(log.read_bytes()))
    log.unlink()
    append(log, lines(51, 52))
    assert following.start().turn() == ids(1, 52)
    assert following.again() == ids(1, 52)


def test_compressed_files_in_the_glob_are_read_once(follow: Start, log: Path) -> None:
    """Old logs beside the present one."""
    log.with_name("access.log.2.gz").write_bytes(gzip.compress(lines(1, 5).encode()))
    append(log, lines(6, 7))
    following = follow(log.with_name("access.log*"))
    assert following.turn() == ids(1, 7)
    assert following.turn() == ids(1, 7)
    assert following.again() == ids(1, 7)


def test_a_gzip_file_that_breaks_off_is_told(follow: Start, log: Path) -> None:
    """What is there is rows; that more was meant to be there is a reject, once nothing more came for a while."""
    path = log.with_name("access.log.1.gz")
    packed = gzip.compress(lines(1, 400).encode())
    path.write_bytes(packed[: len(packed) // 2])
    following = follow(path)
    read = following.turn()
    assert 0 < len(read) < 400
    assert stored(following.data, "rejects") == []
    following.turn(100)
    (told,) = stored(following.data, "rejects")
    assert told["place"] == f"{path}:{len(read) + 1}"
    assert "cut or broken" in told["reason"]


def test_a_deleted_file_is_read_to_its_end(follow: Start, log: Path) -> None:
    """Its handle is open; it is let go when nothing comes any more."""
    append(log, line(1))
    following = follow(log)
    with log.open("a") as writer:
        following.turn()
        writer.write(lines(2, 3))
        log.unlink()
    assert following.turn() == ids(1, 3)
    following.turn(10)
    following.turn(100)
    assert following.counted("sidelight_followed_files") == 0


def test_two_names_of_one_file_are_one_log(follow: Start, log: Path) -> None:
    """/var/log/containers/*.log are links to /var/log/pods."""
    append(log, lines(1, 2))
    log.with_name("link.log").symlink_to(log)
    following = follow(log.with_name("*.log"))
    assert following.turn() == ids(1, 2)


def test_logs_of_two_writers_that_begin_alike_are_two(follow: Start, log: Path) -> None:
    """The same first line in two files is a coincidence, not a copy."""
    for name in ("a.log", "b.log"):
        append(log.with_name(name), line(1))
    following = follow(log.with_name("*.log"))
    assert following.turn() == ["r-1", "r-1"]


def test_bad_lines_are_named_by_their_number(follow: Start, log: Path) -> None:
    """FILE:N, counted over all that was read, and over a restart."""
    append(log, line(1) + "nonsense\n" + line(2))
    following = follow(log)
    following.turn()
    assert following.counted("sidelight_rejected_records_total") == 1
    assert following.counted("sidelight_accepted_records_total") == 2
    assert following.counted("sidelight_followed_lines_total") == 3
    append(log, "\n" + line(3) + "more nonsense\n")
    assert following.again() == ids(1, 3)
    assert [row["place"] for row in stored(following.data, "rejects")] == [f"{log}:2", f"{log}:6"]
    assert {row["source"] for row in stored(following.data, "rejects")} == {"istio_text"}


def test_a_line_without_end_costs_nothing_else(follow: Start, log: Path) -> None:
    """Passed over piece by piece, named once, and the lines after it keep their numbers."""
    append(log, line(1) + "x" * 5_000_000)
    following = follow(log)
    following.turn()
    append(log, "y" * 1000 + "\n" + line(2) + "nonsense\n")
    assert following.again() == ids(1, 2)
    places = [row["place"] for row in stored(following.data, "rejects")]
    assert places == [f"{log}:2", f"{log}:4"]


@pytest.mark.parametrize("runtime", ["cri", "docker"])
def test_parts_of_one_line_wait_for_its_end(follow: Start, log: Path, runtime: str) -> None:
    """Container runtimes cut long lines; the parts come one after the other."""
    text = line(1)
    if runtime == "cri":
        stamp = "2026-11-21T12:00:00.1Z stdout"
        parts = [f"{stamp} P {text[:50]}\n", f"{stamp} P {text[50:90]}\n", f"{stamp} F {text[90:]}"]
    else:
        cut = [text[:50], text[50:90], text[90:].replace("\n", "\\n")]
        parts = ['{"log":"' + part.replace('"', '\\"') + '","stream":"stdout"}\n' for part in cut]
    following = follow(log)
    for part in parts[:2]:
        append(log, part)
        assert following.turn() == []
    following.stop()
    append(log, parts[2])
    assert following.start().turn() == ids(1, 1)
    assert stored(following.data, "rejects") == []


def test_a_format_of_the_users_own_and_its_writer(follow: Start, log: Path) -> None:
    """Said in the settings, for one target."""
    append(log, "2026-11-21T12:00:40.242Z GET /a 200 3\n")
    form = "%START_TIME% %REQ(:METHOD)% %REQ(:PATH)% %RESPONSE_CODE% %DURATION%"
    following = follow({"path": str(log), "format_string": form, "emitter": "shop/cart-0"})
    following.turn()
    (row,) = stored(following.data)
    assert (row["path"], row["duration_us"], row["emitter"]) == ("/a", 3000, "cart-0.shop")


def test_lines_that_were_followed_are_not_read_again_from_a_moved_file(follow: Start, log: Path) -> None:
    """A rename within the glob is no new log."""
    append(log, lines(1, 3))
    following = follow(log.with_name("*"))
    following.turn()
    log.rename(log.with_name("other-name"))
    following.turn()
    append(log.with_name("other-name"), line(4))
    assert following.turn() == ids(1, 4)
    assert following.again() == ids(1, 4)
