"""A user's own Envoy format string: what it is compiled to, what it reads, what it refuses."""

from __future__ import annotations

import json
from typing import Any

import pytest

from collector.decode.access_log import DecodedChunk, decode_chunk
from collector.decode.access_log_emitter import Emitter
from collector.decode.access_log_format import BadFormat, compile_format
from tests.collector.captures import CAPTURES

UNFIT = "the line does not fit --format-string"
ISTIO = (
    '[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %RESPONSE_CODE% '
    "%RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS% "
    '"%UPSTREAM_TRANSPORT_FAILURE_REASON%" %BYTES_RECEIVED% %BYTES_SENT% %DURATION% '
    '%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" "%REQ(X-REQUEST-ID)%" '
    '"%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%" %UPSTREAM_CLUSTER_RAW% %UPSTREAM_LOCAL_ADDRESS% '
    "%DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS% %REQUESTED_SERVER_NAME% %ROUTE_NAME%\\n"
)


def read(form: str, *lines: str) -> DecodedChunk:
    return decode_chunk("\n".join(lines).encode(), 1, compile_format(form), Emitter(None))


def row(form: str, line: str) -> dict[str, Any]:
    decoded = read(form, line)
    assert decoded.rejects == []
    (one,) = decoded.requests.to_pylist()
    return one


def test_istios_own_format_reads_real_lines_as_the_built_in_reader_does() -> None:
    """The default given as a format string makes the very rows the default's own reader makes."""
    for name in ("client.istio.log", "server.istio.log"):
        data = (CAPTURES / "access_logs" / name).read_bytes()
        usual = decode_chunk(data, 1, frozenset({"istio"}), Emitter(None))
        own = decode_chunk(data, 1, compile_format(ISTIO), Emitter(None))
        assert own.requests.num_rows == usual.requests.num_rows > 20
        assert own.requests.to_pylist() == usual.requests.to_pylist()
        assert own.rejects == usual.rejects == []


def test_operators_become_fields_and_what_is_no_field_an_attribute() -> None:
    """Alternatives, lengths, headers we have no column for, metadata with brackets in its name."""
    form = (
        "%START_TIME(%Y/%m/%dT%H:%M:%S%z)% %RESPONSE_CODE% %DURATION%ms %REQ(X-TENANT?X-TEAM):8% "
        "attempt=%UPSTREAM_REQUEST_ATTEMPT_COUNT% grpc=%GRPC_STATUS% %DYNAMIC_METADATA(istio.mixer:status)% 100%%"
    )
    one = row(form, "2026/11/21T13:00:40+0100 200 12ms blue attempt=3 grpc=Unavailable - 100%")
    assert one["time"].isoformat() == "2026-11-21T12:00:40"
    assert (one["status_code"], one["duration_us"], one["attempts"], one["grpc_status"]) == (
        200,
        12000,
        3,
        14,
    )
    assert one["attributes"] == [("x-tenant", "blue")]


@pytest.mark.parametrize(
    ("time", "written"),
    [
        ("%START_TIME%", "2026-11-21T12:00:40.242Z"),
        ("%START_TIME(%s.%3f)%", "1795262440.242"),
        ("%START_TIME(%FT%T.%6f)%", "2026-11-21T12:00:40.242000"),
        ("%START_TIME(%Y-%m-%d %H:%M:%S.%9f)%", "2026-11-21 12:00:40.242000000"),
        ("%START_TIME(%FT%T.%3f%z)%", "2026-11-21T07:00:40.242-0500"),
        ("%START_TIME(%FT%H:%M:%E3S%Ez)%", "2026-11-21T07:00:40.242-05:00"),
        ("%START_TIME(%d/%b/%Y:%H:%M:%S.%3f %z)%", "21/Nov/2026:12:00:40.242 +0000"),
        ("%START_TIME_LOCAL%", "2026-11-21T13:00:40.242+0100"),
    ],
)
def test_the_start_in_any_of_envoys_ways(time: str, written: str) -> None:
    """Date and clock, epoch seconds, fractions of 3, 6 and 9 digits, zones: the same moment."""
    one = row(f"{time}|%RESPONSE_CODE%|%REQ(:PATH)%", f"{written}|200|/a b|c")
    assert (one["time"].isoformat(), one["path"]) == ("2026-11-21T12:00:40.242000", "/a b|c")


@pytest.mark.parametrize(
    ("operator", "written", "column", "value"),
    [
        ("%REQ_WITHOUT_QUERY(X-ENVOY-ORIGINAL-PATH?:PATH):50%", "/a", "path", "/a"),
        ("%PATH(NQ:ORIG)%", "/a", "path", "/a"),
        ("%REQUEST_HEADER(:METHOD)%", "PUT", "method", "PUT"),
        ("%RESPONSE_TRAILER(GRPC-STATUS)%", "14", "grpc_status", 14),
        ("%GRPC_STATUS(SNAKE_STRING)%", "NOT_FOUND", "grpc_status", 5),
        ("%RESPONSE_FLAGS_LONG%", "UpstreamConnectionFailure,MY_FLAG", "response_flags", "UF,MY_FLAG"),
        ("%COMMON_DURATION(DS_RX_BEG:DS_TX_END:us)%", "8985", "duration_us", 8985),
        ("%COMMON_DURATION(DS_RX_BEG:US_RX_BEG:us)%", "700", "upstream_first_rx_us", 700),
        ("%RESPONSE_DURATION%", "8", "upstream_first_rx_us", 8000),
        ("%DOWNSTREAM_DIRECT_REMOTE_ADDRESS%", "10.0.0.9:55", "source_address", "10.0.0.9:55"),
        ("%UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%", "10.0.0.9", "upstream_address", "10.0.0.9"),
        ("%DOWNSTREAM_PEER_URI_SAN%", "spiffe://td/ns/a/sa/b,x", "source_principal", "spiffe://td/ns/a/sa/b"),
        (
            "%UPSTREAM_PEER_URI_SAN%",
            "spiffe://td/ns/a/sa/b",
            "destination_principal",
            "spiffe://td/ns/a/sa/b",
        ),
        ("%STREAM_ID%", "r-1", "request_id", "r-1"),
    ],
)
def test_less_usual_operators_have_their_columns(
    operator: str, written: str, column: str, value: object
) -> None:
    """Operators of newer Envoys, other units and other spellings end where the usual ones do, and only there."""
    one = row(
        f"%START_TIME% %RESPONSE_CODE% %REQ(:METHOD)% {operator}", f"2026-11-21T12:00:40.242Z 200 - {written}"
    )
    assert one[column] == value
    assert one["attributes"] == []


@pytest.mark.parametrize(
    ("operator", "attribute"),
    [
        (
            "%CEL(request.headers['x'].contains(string(size('(a)')) + '%'))%",
            "cel.request.headers['x'].contains(string(size('(a)')) + '%')",
        ),
        ("%METADATA(ROUTE:com.test:k:z):10%", "metadata.ROUTE:com.test:k:z"),
        ("%DYNAMIC_METADATA(com.test:k)%", "dynamic_metadata.com.test:k"),
        ("%FILTER_STATE(upstream_peer_obj:FIELD:workload)%", "filter_state.upstream_peer_obj:FIELD:workload"),
        ("%ENVIRONMENT(POD_NAME)%", "environment.POD_NAME"),
        ("%QUERY_PARAM(a):5%", "query_param.a"),
        ('%COALESCE({"operators":["HOSTNAME"]})%', 'coalesce.{"operators":["HOSTNAME"]}'),
        ("%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%", "downstream_remote_address_without_port"),
    ],
)
def test_any_operator_is_read_and_kept(operator: str, attribute: str) -> None:
    """Arguments with brackets, percent signs, colons and quotes; what has no column is an attribute."""
    one = row(f"%START_TIME% {operator} %RESPONSE_CODE%", "2026-11-21T12:00:40.242Z abc 200")
    assert one["attributes"] == [(attribute, "abc")]


def test_the_direct_peer_stands_before_the_forwarded_one() -> None:
    """Behind a gateway the peer is the direct address; the other is what X-Forwarded-For named."""
    form = "%START_TIME% %RESPONSE_CODE% %DOWNSTREAM_REMOTE_ADDRESS% %DOWNSTREAM_DIRECT_REMOTE_ADDRESS%"
    one = row(form, "2026-11-21T12:00:40.242Z 200 203.0.113.8:0 10.0.0.9:55")
    assert (one["source_address"], one["forwarded_for"]) == ("10.0.0.9:55", "203.0.113.8")


def test_quoting_of_the_configuration_is_taken_off() -> None:
    """A format pasted from a quoted YAML or JSON text: backslash, quote, tab and the newline at its end."""
    form = '%START_TIME%\\t\\"%REQ(:PATH)%\\" %RESPONSE_CODE%\\n'
    assert row(form, '2026-11-21T12:00:40.242Z\t"/x" 200')["path"] == "/x"


JSON_FORM = json.dumps(
    {
        "ts": "%START_TIME(%s.%3f)%",
        "http": {"verb": "%REQ(:METHOD)%", "status": "%RESPONSE_CODE%", "took": {"ms": "%DURATION%"}},
        "from": "%DOWNSTREAM_REMOTE_ADDRESS%",
        "tenant": "%REQ(X-TENANT)%",
        "line": "%REQ(:METHOD)% %PROTOCOL%",
        "kind": "access",
    }
)
JSON_LINE = {
    "ts": "1795262440.242",
    "http": {"verb": "GET", "status": 503, "took": {"ms": 12}},
    "from": "10.0.0.1:5",
    "tenant": "blue",
    "line": "GET HTTP/1.1",
    "kind": "access",
    "later": {"a": 1},
}


@pytest.mark.parametrize("count", [1, 100], ids=["alone", "among others"])
def test_a_json_format_gives_keys_their_meaning(count: int) -> None:
    """Whatever the keys are called and however deep they stand; the others are attributes under their own names."""
    decoded = read(JSON_FORM, *[json.dumps(JSON_LINE)] * count)
    assert decoded.rejects == []
    assert decoded.requests.num_rows == count
    one = decoded.requests.to_pylist()[-1]
    assert one["time"].isoformat() == "2026-11-21T12:00:40.242000"
    assert (one["status_code"], one["duration_us"], one["method"], one["source_address"]) == (
        503,
        12000,
        "GET",
        "10.0.0.1:5",
    )
    assert dict(one["attributes"]) == {
        "tenant": "blue",
        "line": "GET HTTP/1.1",
        "kind": "access",
        "later": '{"a": 1}',
    }


def test_lines_a_json_format_does_not_fit_are_told() -> None:
    """Each by its number; behind a container's prefix the others are read."""
    good = "2026-11-21T12:00:41Z stdout F " + json.dumps(JSON_LINE)
    decoded = read(JSON_FORM, good, "nonsense", good, json.dumps(JSON_LINE | {"ts": "soon"}), '{"ts":')
    assert decoded.requests.num_rows == 2
    assert [one.line for one in decoded.rejects] == [2, 4, 5]


def test_quoted_texts_may_hold_quotes() -> None:
    """Nothing is escaped: the first end that lets the rest of the line fit is the end."""
    form = '%START_TIME% "%REQ(USER-AGENT)%" %RESPONSE_CODE%'
    assert row(form, '2026-11-21T12:00:40.242Z "a "quoted" b" 200')["user_agent"] == 'a "quoted" b'


def test_lines_that_do_not_fit_are_told_and_the_others_kept() -> None:
    """Number and sample of the line, also for a date that is none."""
    form = "%START_TIME(%F %T)% %RESPONSE_CODE%"
    decoded = read(
        form, "2026-11-21 12:00:40 200", "nonsense", "2026-13-41 12:00:40 200", "2026-11-21 12:00:41 503"
    )
    assert [one["status_code"] for one in decoded.requests.to_pylist()] == [200, 503]
    assert [(one.line, one.reason) for one in decoded.rejects] == [
        (2, f"{UNFIT}: expected %START_TIME(%F %T)% after what comes before it there"),
        (3, "the time cannot be read"),
    ]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("12:00", "expected %START_TIME%"),
        ("2026-11-21T12:00:40Z OK 12ms", "expected %RESPONSE_CODE%"),
        ("2026-11-21T12:00:40Z 200 soon", "expected %DURATION%"),
        ("2026-11-21T12:00:40Z 200 12ms more", "more after its end"),
    ],
)
def test_a_line_that_does_not_fit_is_told_where(line: str, reason: str) -> None:
    """The first operator the line has no place for is named; of a long chunk only some lines are looked at."""
    form = "%START_TIME% %RESPONSE_CODE% %DURATION%ms"
    decoded = read(form, *[line] * 30)
    assert [one.line for one in decoded.rejects] == list(range(1, 31))
    assert reason in decoded.rejects[0].reason
    assert all(one.reason.startswith(UNFIT) for one in decoded.rejects)


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ("%RESPONSE_CODE%", "no %START_TIME%"),
        ("%START_TIME% x", "no %RESPONSE_CODE%"),
        ("%START_TIME% %RESPONSE_CODE% %nope", "character 30: '%nope' is no operator"),
        ("%START_TIME(%A)% %RESPONSE_CODE%", "%A in START_TIME is not read"),
        ("%START_TIME(%H)% %RESPONSE_CODE%", "date and time to the second"),
        ('{"start_time": "%START_TIME%"}', "no %RESPONSE_CODE%"),
        ('{"start_time": %START_TIME%}', "begins like JSON and is none"),
        ('{"a":' * 9 + '"%START_TIME%"' + "}" * 9, "deeper than 8 objects"),
        ("%START_TIME_LOCAL(%F %T)% %RESPONSE_CODE%", "START_TIME_LOCAL needs %z"),
        ("%START_TIME%\n%RESPONSE_CODE%", "a newline within it"),
        ("%START_TIME% %RESPONSE_CODE%" + " %DURATION%" * 200, "more than 100 operators"),
        ("x" * 20_000, "20000 characters"),
    ],
)
def test_a_format_that_cannot_be_read_is_refused_with_a_sentence(form: str, said: str) -> None:
    """Which operator is missing, or where the format stops making sense."""
    with pytest.raises(BadFormat) as error:
        compile_format(form)
    assert said in str(error.value)


def test_literals_are_no_expressions() -> None:
    """Dots, stars and brackets of the format stand for themselves."""
    form = "(a+)*.[%START_TIME%] %RESPONSE_CODE%$^"
    assert row(form, "(a+)*.[2026-11-21T12:00:40.242Z] 200$^")["status_code"] == 200
    assert read(form, "aaX[2026-11-21T12:00:40.242Z] 200$^").requests.num_rows == 0
    assert json.dumps(form)
