"""How the dashboard asks the store: never on the event loop, never more than a few at once.

Every query is synchronous and may take hundreds of milliseconds; on the event loop it would stall
every browser and every API answer. The pool is the limit: what does not fit waits its turn.
"""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar

from dashboard import query_times

AT_ONCE = 4

_POOL = ThreadPoolExecutor(max_workers=AT_ONCE, thread_name_prefix="query")

P = ParamSpec("P")
T = TypeVar("T")


async def ask(method: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Await ``method(*args)`` in the query pool: ``await ask(queries.trace, trace_id)``.

    Whatever ``method`` raises (``store.errors.BadQuery``) is raised here.
    """
    loop = asyncio.get_running_loop()
    call: Callable[[], Any] = functools.partial(_timed, method, *args, **kwargs)
    return await loop.run_in_executor(_POOL, call)


def _timed(method: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    began = time.perf_counter()
    try:
        return method(*args, **kwargs)
    finally:
        query_times.observe(getattr(method, "__name__", "other"), time.perf_counter() - began)
