"""The real pages over the real mesh, in a real browser: the graph, the split, an edge, a trace; live; hostile names."""

from __future__ import annotations

import json
import re
import urllib.request
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.browser.pages import until
from tests.mesh.conftest import LivedMesh
from tests.payloads import proxy_pair
from tests.running_server import Server

pytestmark = [pytest.mark.mesh, pytest.mark.browser]

Open = Callable[..., Page]
HOSTILE = '<img src=x onerror="window.hurt=1">\'`"😀\u202eevil\u2066'
NAMED = "(window.sidelight?.cy?.nodes().map((n) => n).find((n) => (n.data('name') || '').includes(%s)))?.id()"
EDGE = "sidelight.cy.edges().filter((e) => e.target().data('name') === %s)"


def test_graph_split_edge_trace(lived: LivedMesh, open_page: Open) -> None:
    """The graph opens, shows the split that was answered, an edge tells its requests, one of them its trace."""
    page = open_page(lived.server.url("/", **lived.link))
    until(page, "window.sidelight?.cy?.edges().length")
    told = {edge["id"]: edge["share"] for edge in lived.graph["edges"] if edge["share"] not in (None, 1)}
    shown = page.evaluate(
        "Object.fromEntries(sidelight.cy.edges().filter((e) => e.data('split')).map((e) => [e.id(), e.data('split')]))"
    )
    assert {ident: f"{share * 100:.0f} %" for ident, share in told.items()} == shown
    assert "80 %" in shown.values()

    edge = page.evaluate(f"{EDGE % json.dumps('reviews-v1')}.map((e) => e.id())[0]")
    at = page.evaluate(
        """(id) => {
            const at = sidelight.cy.getElementById(id).renderedMidpoint();
            const box = document.getElementById("cy").getBoundingClientRect();
            return { x: at.x + box.x, y: at.y + box.y };
        }""",
        edge,
    )
    page.mouse.click(at["x"], at["y"])
    panel = page.locator("#panel")
    expect(panel).to_be_visible()
    expect(page).to_have_url(re.compile(f"edge={edge}"))
    (api,) = [one for one in lived.graph["edges"] if one["id"] == edge]
    expect(panel).to_contain_text(f"{api['requests']:,}")
    panel.get_by_role("link", name="trace", exact=True).first.click()
    expect(page).to_have_url(re.compile("/traces/[0-9a-f]{32}"))
    expect(page.locator(".trace-facts")).to_be_visible()
    until(page, "document.querySelector('.wf-scroll')")


def test_a_request_shows_without_reload(lived: LivedMesh, open_page: Open) -> None:
    """A workload that speaks for the first time appears on the open page by itself."""
    page = open_page(lived.server.url("/", window="15m"))
    until(page, "window.sidelight?.cy?.edges().length")
    page.evaluate("window.mark = 1")
    send(lived.server, proxy_pair(caller="newcomer", callee="reviews"))
    until(page, NAMED % json.dumps("newcomer"))
    assert page.evaluate("window.mark") == 1


def test_a_hostile_service_name_is_text_on_every_page(lived: LivedMesh, open_page: Open) -> None:
    """Markup, quotes, ten thousand letters, emoji and right-to-left marks, sent as a sidecar would send them."""
    for name in (HOSTILE, HOSTILE + "x" * 10_000):
        export = proxy_pair(caller=name, callee="victim")
        trace = export.resource_spans[0].scope_spans[0].spans[0].trace_id.hex()
        send(lived.server, export)
    page = open_page(lived.server.url("/", window="15m"))
    found = until(page, NAMED % json.dumps("<img"))
    page.evaluate(f"sidelight.pick({{ kind: 'node', id: {json.dumps(found)} }})")
    expect(page.locator("#panel")).to_be_visible()
    expect(page.locator("#panel")).to_contain_text("<img")
    unhurt(page)
    for path in (f"/traces/{trace}", "/traces"):
        page.goto(lived.server.url(path))
        until(page, "document.body.innerText.includes('<img')")
        unhurt(page)


def unhurt(page: Page) -> None:
    assert page.evaluate("window.hurt") is None
    assert page.evaluate("document.querySelectorAll('img[src=x]').length") == 0


def send(server: Server, export: object) -> None:
    request = urllib.request.Request(
        f"http://{server.http}/v1/traces",
        data=export.SerializeToString(),  # type: ignore[attr-defined]
        headers={"Content-Type": "application/x-protobuf"},
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert answer.status == 200
