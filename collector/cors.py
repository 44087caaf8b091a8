"""Which web pages may send: OTLP from browsers (CORS). No page may unless `cors_origins` names its origin.

A browser asks first (OPTIONS) before it sends protobuf, JSON or a token to another origin; without our word
it sends nothing. What must stay true: an origin that is not named hears nothing of CORS at all.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

Send = Callable[[dict[str, Any]], Awaitable[None]]

ANY = "*"
ORIGIN = re.compile(r"https?://(?:[a-z0-9.-]+|\[[0-9a-f:]+\])(?::\d{1,5})?")
_METHODS, _HEADERS = b"POST", b"authorization, content-encoding, content-type"
_REMEMBER_S = b"7200"


class Origins:
    """The origins that may send."""

    def __init__(self, allowed: Sequence[str]) -> None:
        self._allowed = frozenset(one.encode() for one in allowed)

    def allows(self, origin: bytes | None) -> bool:
        return origin is not None and (origin.lower() in self._allowed or ANY.encode() in self._allowed)

    def telling(self, origin: bytes | None, send: Send) -> Send:
        """``send``, with the browser told that the page at ``origin`` may read the answer."""
        if origin is None or not self.allows(origin):
            return send

        async def tell(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                told = [(b"access-control-allow-origin", origin), (b"vary", b"origin")]
                message = message | {"headers": [*message["headers"], *told]}
            await send(message)

        return tell


PREFLIGHT: list[tuple[bytes, bytes]] = [
    (b"access-control-allow-methods", _METHODS),
    (b"access-control-allow-headers", _HEADERS),
    (b"access-control-max-age", _REMEMBER_S),
]
"""What a browser that asks is told, beside its origin."""
