"""Who may send: bearer tokens, compared in constant time. No token configured: everyone who can connect.

What must stay true: a refusal never says how close a wrong token was, and no token is ever logged.
"""

from __future__ import annotations

import hmac

from collector.errors import Unauthorized


def check_authorization(header: str | bytes | None, tokens: tuple[bytes, ...]) -> None:
    """Raise Unauthorized unless ``header`` is ``Bearer TOKEN`` with one of ours."""
    if not tokens:
        return
    raw = header.encode("utf-8", "replace") if isinstance(header, str) else header or b""
    scheme, _, given = raw.partition(b" ")
    given = given.strip()
    # Every token is compared, so that time does not tell which one was near.
    matches = [hmac.compare_digest(given, token) for token in tokens]
    if scheme.lower() != b"bearer" or not any(matches):
        raise Unauthorized(
            "This collector wants the header 'authorization: Bearer TOKEN' with a token it knows."
        )
