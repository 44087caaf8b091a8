"""The filters through which an Envoy's HTTP requests go, in Istio's order, and what routes tell them.

A filter that refuses does so in its own words (response code details); they are what Sidelight has to tell
apart, so nothing here is imitated by a direct response.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sidelight.mesh.certificates import spiffe_id
from sidelight.mesh.plan import Plan
from sidelight.mesh.service_rules import Denial, Fault, RateLimit
from sidelight.mesh.tokens import ISSUER, jwks_file
from sidelight.mesh.topology import Service

NUMBER_HEADER = "x-mesh-number"
_FILTERS = "type.googleapis.com/envoy.extensions.filters"
_FAULT, _RATE_LIMIT = "envoy.filters.http.fault", "envoy.filters.http.local_ratelimit"
_ALWAYS = {"numerator": 100, "denominator": "HUNDRED"}
_REFILL_SECONDS = 3600


def http_filters(own: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The whole chain: the `own` filters of a listener, then those that only act where a route says so."""
    return [
        *own,
        _filter(_FAULT, "http.fault.v3.HTTPFault", {}),
        _filter(_RATE_LIMIT, "http.local_ratelimit.v3.LocalRateLimit", {"stat_prefix": "mesh"}),
        _filter("envoy.filters.http.router", "http.router.v3.Router", {}),
    ]


def guards(plan: Plan, service: Service, certificates: Path) -> list[dict[str, Any]]:
    """What stands before a service's application: a token is asked for first, then who is refused."""
    found = []
    if service.rules.jwt:
        provider = {"issuer": ISSUER, "local_jwks": {"filename": str(jwks_file(certificates))}}
        rule = {"match": {"prefix": "/"}, "requires": {"provider_name": "mesh"}}
        config: dict[str, Any] = {"providers": {"mesh": provider}, "rules": [rule]}
        found.append(_filter("envoy.filters.http.jwt_authn", "http.jwt_authn.v3.JwtAuthentication", config))
    if service.rules.denials:
        found.append(_filter("envoy.filters.http.rbac", "http.rbac.v3.RBAC", _rbac(plan, service)))
    return found


def tcp_guards(plan: Plan, service: Service) -> list[dict[str, Any]]:
    """The same for connections: only who calls is known of them."""
    if not service.rules.denials:
        return []
    config = {"stat_prefix": "mesh.", **_rbac(plan, service)}
    return [_filter("envoy.filters.network.rbac", "network.rbac.v3.RBAC", config)]


def number_matcher(ends_with: tuple[str, ...]) -> dict[str, Any]:
    """Matches the header of those requests whose number ends with one of these digits."""
    pattern = f".*({'|'.join(ends_with)})"
    return {"name": NUMBER_HEADER, "string_match": {"safe_regex": {"regex": pattern}}}


def told_by_route(rule: Fault | RateLimit) -> dict[str, Any]:
    """What a route says to the filter that carries out a rule (`typed_per_filter_config`)."""
    return {_FAULT: _fault(rule)} if isinstance(rule, Fault) else {_RATE_LIMIT: _rate_limit(rule)}


def _fault(fault: Fault) -> dict[str, Any]:
    config: dict[str, Any] = {"@type": f"{_FILTERS}.http.fault.v3.HTTPFault"}
    if fault.delay_ms:
        config["delay"] = {"fixed_delay": f"{fault.delay_ms / 1000}s", "percentage": _ALWAYS}
    if fault.abort is not None:
        config["abort"] = {"http_status": fault.abort, "percentage": _ALWAYS}
    return config


def _rate_limit(limit: RateLimit) -> dict[str, Any]:
    return {
        "@type": f"{_FILTERS}.http.local_ratelimit.v3.LocalRateLimit",
        "stat_prefix": "mesh",
        "token_bucket": {"max_tokens": limit.tokens, "fill_interval": f"{_REFILL_SECONDS}s"},
        "filter_enabled": {"default_value": _ALWAYS},
        "filter_enforced": {"default_value": _ALWAYS},
    }


def _rbac(plan: Plan, service: Service) -> dict[str, Any]:
    """Istio names its policies like this; the name stands in the details of what is refused."""
    name = f"ns[{service.namespace}]-policy[{service.name}]-rule"
    policies = {
        f"{name}[{number}]": _policy(plan, denial) for number, denial in enumerate(service.rules.denials)
    }
    return {"rules": {"action": "DENY", "policies": policies}}


def _policy(plan: Plan, denial: Denial) -> dict[str, Any]:
    anyone, anything = {"any": True}, {"any": True}
    who = [
        {"authenticated": {"principal_name": {"exact": identity}}}
        for identity in sorted(
            {
                spiffe_id(plan.topology.trust_domain, pod.namespace, pod.account)
                for pod in plan.pods
                if pod.account == denial.account
            }
        )
    ]
    what = {"header": number_matcher(denial.ends_with)} if denial.ends_with else anything
    return {"principals": who or [anyone], "permissions": [what]}


def _filter(name: str, kind: str, config: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "typed_config": {"@type": f"{_FILTERS}.{kind}", **config}}
