"""The JSON API's bytes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dashboard.json_answer import JsonAnswer


@pytest.mark.parametrize(
    "content",
    [
        {"id": 2**53 + 1, "rate": 0.1, "share": 1e-07, "none": None, "is": [True, False]},
        {"name": 'é ✓ \U0001f642 "\\\x00\x7f\u2028</script>', "codes": {"200": 1, "": 0}},
        {"request_bytes": 2 * (2**63 - 1), "below": -(2**63)},
        {"request_bytes": 3 * (2**63 - 1)},
    ],
)
def test_an_answer_reads_back_as_what_was_answered(content: dict[str, Any]) -> None:
    body = JsonAnswer(content).body
    assert json.loads(body) == content
    assert len(body) <= len(json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode())
