"""The waterfall in a real browser: rows, keys, folding, search, deep links, and text that stays text."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from dashboard.waterfall import waterfall_payload
from fixtures.traces import bookinfo_trace, large_trace

pytestmark = pytest.mark.browser

ASSETS = Path(__file__).parents[2] / "dashboard" / "assets"
HOSTILE = '<img src=x onerror="window.hurt=1"><script>window.hurt=1</script>'
URL = "http://waterfall.test/traces/22e0de5f11da5d4116946a0cfd73d453"
PATIENCE_MS = 240_000


def html() -> str:
    """The waterfall's scripts and styles alone: no Dash, no server."""
    styles = (ASSETS / "waterfall.css").read_text()
    scripts = "".join(f"<script>{path.read_text()}</script>" for path in sorted(ASSETS.glob("waterfall*.js")))
    return f"<!doctype html><meta charset=utf-8><style>{styles}</style><div id=here></div>{scripts}"


@pytest.fixture(scope="module")
def tab(browser: Browser) -> Iterator[tuple[Page, list[str]]]:
    """One tab for all tests (a new one costs a process each), and what went wrong on it."""
    opened = browser.new_page(viewport={"width": 1200, "height": 760}, device_scale_factor=2)
    opened.set_default_timeout(PATIENCE_MS)
    problems: list[str] = []
    opened.on("pageerror", lambda error: problems.append(str(error)))
    opened.on("console", lambda said: problems.append(said.text) if said.type == "error" else None)
    opened.route(
        "http://waterfall.test/**", lambda route: route.fulfill(body=html(), content_type="text/html")
    )
    yield opened, problems
    opened.close()


@pytest.fixture
def page(tab: tuple[Page, list[str]]) -> Iterator[Page]:
    """An empty page with the scripts loaded anew; an error on it fails the test."""
    opened, problems = tab
    problems.clear()
    opened.goto(URL)
    yield opened
    assert problems == []


def draw(page: Page, trace: dict[str, Any], *, search: str = "") -> None:
    """Open the page at ``?search`` and draw the trace."""
    if search:
        page.goto(URL + search)
    # As one text: Playwright takes a minute to wrap each value of a large trace.
    page.evaluate(
        "text => { window.hurt = 0;"
        " sidelight.waterfall.draw(document.getElementById('here'), JSON.parse(text)) }",
        json.dumps(waterfall_payload(trace)),
    )
    settle(page)


def settle(page: Page) -> None:
    """Wait until what was asked to be painted is."""
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")


def ask(page: Page, what: str) -> Any:
    """An expression over the waterfall ``w``."""
    return page.evaluate(f"() => {{ const w = document.getElementById('here').waterfall; return {what} }}")


def press(page: Page, *keys: str) -> None:
    page.locator(".wf-scroll").focus()
    for key in keys:
        page.keyboard.press(key)
    settle(page)


def selected(page: Page) -> str | None:
    name: str | None = ask(page, "w.selected < 0 ? null : w.model.spans[w.selected].span_id.slice(0, 2)")
    return name


def test_ten_thousand_spans_paint_only_what_is_on_screen(page: Page) -> None:
    """However long a trace is, the page holds few elements and paints one screen of rows."""
    draw(page, large_trace(10_000))
    assert ask(page, "w.model.rows.length") == 10_000
    assert ask(page, "w.painted") < 45
    assert page.evaluate("document.querySelectorAll('*').length") < 200
    press(page, "End")
    assert ask(page, "w.model.rowOf.get(w.selected)") == 9_999
    assert ask(page, "w.painted") < 45


def test_the_canvas_has_the_screens_pixels(page: Page) -> None:
    """On a screen of two pixels a point, the canvas is twice as wide, and its text sharp."""
    draw(page, bookinfo_trace())
    assert ask(page, "w.canvas.width / w.scroller.clientWidth") == 2


def test_keys_move_fold_open_and_close(page: Page) -> None:
    """Everything a pointer does to rows, keys do too."""
    draw(page, bookinfo_trace())
    press(page, "ArrowDown", "ArrowDown", "ArrowDown")
    assert selected(page) == "03"
    press(page, "ArrowLeft")
    assert ask(page, "w.model.rows.length") == 4
    press(page, "ArrowLeft")
    assert selected(page) == "02"
    press(page, "ArrowDown", "ArrowRight")
    assert ask(page, "w.model.rows.length") == 22
    press(page, "ArrowRight")
    assert selected(page) == "04"
    press(page, "Enter")
    assert page.locator(".wf-detail h2").inner_text() == "productpage"
    press(page, "ArrowDown")
    assert "bookinfo.Details/Get" in page.locator(".wf-name").inner_text()
    page.keyboard.press("Escape")
    assert page.locator(".wf-detail").is_hidden()


def test_a_click_shows_the_span_with_its_flags_in_words(page: Page) -> None:
    """The detail says how it ended: code, flag and meaning, attributes, ids."""
    draw(page, bookinfo_trace())
    page.locator(".wf-scroll").click(position={"x": 700, "y": 20 * 24 + 12})
    said = page.locator(".wf-detail").inner_text()
    for words in ("This span failed", "FI fault injected", "503", "proxy (Envoy)", "upstream_cluster"):
        assert words in said
    assert "span=219d449aeb7575b4" in page.url


def test_a_link_opens_its_span_even_where_it_was_folded_away(page: Page) -> None:
    """`?span=` selects, reveals and scrolls; closing takes it out of the URL."""
    draw(page, bookinfo_trace(), search="?window=5m&span=209d449aeb7575b4")
    assert selected(page) == "20"
    assert "SELECT ratings" in page.locator(".wf-detail").inner_text()
    page.locator(".wf-close").click()
    assert page.url.endswith("?window=5m")


def test_attempts_of_a_retried_call_are_numbered(page: Page) -> None:
    """Several answers below one call of a proxy are its attempts."""
    draw(page, bookinfo_trace())
    assert ask(page, "[...w.model.attempts.values()]") == [[1, 2], [2, 2]]
    assert "attempt 1 of 2" in ask(page, "w.model.outcome(15)")


def test_search_finds_attributes_and_steps_through(page: Page) -> None:
    """The box searches names, ids, codes and attributes; Enter goes on, and folded spans open."""
    draw(page, bookinfo_trace())
    page.get_by_text("Collapse all").click()
    assert ask(page, "w.model.rows.length") == 2
    page.locator(".wf-search").fill("ratings/<id>")
    assert page.locator(".wf-count").inner_text() == "1 of 2"
    assert selected(page) == "17"
    page.locator(".wf-search").press("Enter")
    assert selected(page) == "19"
    page.locator(".wf-search").fill("no such thing")
    assert page.locator(".wf-count").inner_text() == "0 found"


def test_late_spans_do_not_move_what_one_looks_at(page: Page) -> None:
    """The same trace drawn again with more spans keeps folding, selection and zoom."""
    whole = bookinfo_trace()
    draw(page, whole | {"spans": whole["spans"][:15]})
    press(page, "ArrowDown", "ArrowDown", "ArrowDown", "ArrowDown", "ArrowDown", "Enter", "ArrowLeft", "+")
    before = ask(page, "[w.model.spans[w.selected].span_id, w.model.collapsed.size, w.view]")
    draw(page, whole)
    assert ask(page, "[w.model.spans[w.selected].span_id, w.model.collapsed.size, w.view]") == before
    assert ask(page, "w.model.spans.length") == 22


def test_zoom_shows_a_part_and_0_shows_all(page: Page) -> None:
    """Plus and minus zoom in time, 0 shows the whole trace again."""
    draw(page, bookinfo_trace())
    whole = ask(page, "w.view")
    press(page, "+", "+")
    inner = ask(page, "w.view")
    assert inner[1] - inner[0] < 0.5 * (whole[1] - whole[0])
    press(page, "0")
    assert ask(page, "w.view") == whole


def test_hostile_spans_stay_text(page: Page) -> None:
    """Names, services, attributes, events, flags and warnings of a hostile sender run nothing."""
    trace = bookinfo_trace()
    for span in trace["spans"]:
        span |= {
            "name": HOSTILE,
            "service": HOSTILE,
            "status_message": HOSTILE,
            "response_flags": [HOSTILE],
            "attributes": {HOSTILE: HOSTILE, "long": "x" * 10_000, "rtl": "\u202eabc"},
            "resource": {HOSTILE: HOSTILE},
            "events": [{"offset_ms": 1, "name": HOSTILE, "attributes": {HOSTILE: HOSTILE}}],
            "links": [{"trace_id": HOSTILE, "span_id": HOSTILE, "attributes": {}}],
            "warnings": [HOSTILE],
        }
    draw(page, trace)
    page.locator(".wf-scroll").hover(position={"x": 700, "y": 60})
    press(page, "ArrowDown", "Enter")
    page.locator(".wf-table summary").click()
    settle(page)
    assert page.evaluate("window.hurt") == 0
    assert page.locator("#here img, #here script").count() == 0
    assert HOSTILE in page.locator(".wf-detail").inner_text()


def test_the_spans_are_also_a_table(page: Page) -> None:
    """What the canvas shows can be read by a screen reader and copied: the first 200 visible rows."""
    draw(page, large_trace(300))
    page.locator(".wf-table summary").click()
    expect(page.locator(".wf-spans tbody tr")).to_have_count(200)
    assert "first 200 of 300" in page.locator(".wf-spans caption").inner_text()
    press(page, "Home")
    assert "svc-00 (proxy)" in page.locator("[aria-live]").inner_text()


def test_colours_follow_the_theme(page: Page) -> None:
    """Switching the theme repaints with the other colours; nothing is asked of the server."""
    draw(page, bookinfo_trace())
    light = ask(page, "w.colours.ink")
    page.evaluate("document.documentElement.dataset.theme = 'dark'")
    page.wait_for_function(
        f"() => document.getElementById('here').waterfall.colours.ink !== {json.dumps(light)}"
    )
