"""Why a connection failed, as ztunnel says it, in the words the other proxies use (flags and details of Envoy).

ztunnel has no flags in its log, only ``error="..."``: the texts of its error type (istio/ztunnel, src/proxy.rs),
which change with its versions. What must stay true: only what the text settles becomes an error or a success;
of the rest (a reset in the middle, a drained ztunnel) nobody knows whether the caller had its answer, and
``UNSETTLED`` says so to the macro `outcome`.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

DENIED = "rbac_access_denied"
UNSETTLED = "connection_error"

_DENIALS = r"policy (?:rejection|change)|^http status: 40[13]\b"
_DENIED_BY = r"explicitly denied by: (?P<policy>[^\s\"]+)"
_NONE_ALLOWED = "none allowed"
# The first that fits. UH: nobody to call; NR: no way there; UF: no connection came about (nor its tunnel: TLS,
# identity, HTTP/2, a CONNECT that the other side refused); UC: the called side left early; DC: the caller did.
_FLAGS = (
    ("UH", r"no healthy upstream"),
    (
        "NR",
        r"^unknown (?:source|destination|waypoint)|no valid routing destination|^no (?:gateway|service)|"
        r"no ip addresses|no A/AAAA records|cannot resolve port|^dns",
    ),
    (
        "UF",
        r"^connection (?:failed|timed out)|^http status|^http2 handshake|^tls|^identity error|certificate|"
        r"Connection refused|deadline has elapsed|No route to host|unreachable",
    ),
    ("UC", r"^destination disconnected"),
    ("DC", r"^client disconnected"),
)


def flags_and_details(errors: pa.StringArray, never_began: pa.BooleanArray) -> tuple[pa.Array, pa.Array]:
    """(response_flags, response_code_details) for each error (null: there was none). ``never_began``: the line
    says that the connection failed, whatever the reason."""
    count = len(errors)
    if errors.null_count == count and not pc.any(never_began).as_py():
        return pa.repeat("", count), pa.nulls(count, pa.string())
    nothing = pa.scalar(None, pa.string())
    is_denied = pc.fill_null(pc.match_substring_regex(errors, _DENIALS), False)
    flags = pc.if_else(never_began, "UF", nothing)
    for flag, pattern in reversed(_FLAGS):
        flags = pc.if_else(pc.fill_null(pc.match_substring_regex(errors, pattern), False), flag, flags)
    flags = pc.if_else(is_denied, "", flags)
    is_unsettled = pc.and_(errors.is_valid(), flags.is_null())
    details = pc.if_else(is_denied, _denials(errors), pc.if_else(is_unsettled, UNSETTLED, nothing))
    return pc.fill_null(flags, ""), details


def _denials(errors: pa.StringArray) -> pa.StringArray:
    """``rbac_access_denied_matched_policy[NS/NAME]`` as Envoy writes it, where the policy is told."""
    policy = pc.struct_field(pc.extract_regex(errors, _DENIED_BY), "policy")
    none = pc.fill_null(pc.match_substring(errors, _NONE_ALLOWED), False)
    policy = pc.coalesce(policy, pc.if_else(none, "none", pa.scalar(None, pa.string())))
    told = pc.binary_join_element_wise(f"{DENIED}_matched_policy[", policy, "]", "")
    return pc.coalesce(told, pa.repeat(DENIED, len(errors)))
