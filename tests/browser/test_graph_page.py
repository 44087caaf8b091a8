"""The graph page in a real browser: live without reload, stable, clickable, and deaf to hostile names."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.pages import until
from tests.dashboard.bookinfo import edge, node
from tests.dashboard.fake_server import Answers, serving

pytestmark = pytest.mark.browser

Open = Callable[..., Page]
DRAWN = "window.sidelight?.cy?.edges().length"
PLACES = """Object.fromEntries(
    sidelight.cy.nodes('[!box]').map((n) => [n.id(), [n.position('x'), n.position('y')]]))"""
HOSTILE = '<img src=x onerror="window.hurt=1">"\'`${1}{{1}}😀\u202e' + "x" * 10_000


def opened(open_page: Open, url: str) -> Page:
    page = open_page(url)
    until(page, DRAWN)
    return page


def rendered(page: Page, ident: str) -> dict[str, float]:
    """Where an element is on the screen, once the page has settled: it fits the graph to what its size becomes."""
    return page.evaluate(
        """async (id) => {
            for (let before = "", still = 0; still < 20; ) {
                await new Promise(requestAnimationFrame);
                const { cy } = sidelight, now = JSON.stringify([cy.extent(), cy.width(), cy.height()]);
                still = now === before ? still + 1 : 0;
                before = now;
            }
            const element = sidelight.cy.getElementById(id);
            const at = element.isNode() ? element.renderedPosition() : element.renderedMidpoint();
            const box = document.getElementById("cy").getBoundingClientRect();
            return { x: at.x + box.x, y: at.y + box.y };
        }""",
        ident,
    )


def test_the_split_is_on_the_edges(open_page: Open, url: str, answers: Answers) -> None:
    """Each canary edge says its percent, and the header sums up."""
    page = opened(open_page, url)
    splits = page.evaluate("sidelight.cy.edges().map((e) => e.data('split')).filter(Boolean).sort()")
    assert splits == ["10 %", "10 %", "10 %", "80 %", "9 %", "90 %", "91 %"]
    expect(page.locator("#summary")).to_contain_text("97.4 %")
    expect(page.locator("#clock")).to_have_text("live")


def test_a_request_shows_without_reload(open_page: Open, url: str, answers: Answers) -> None:
    """New numbers and a new workload appear by themselves; nobody moves far, the viewport stays."""
    page = opened(open_page, url)
    page.evaluate("window.mark = 1; sidelight.zoomBy(1.2)")
    before, view = page.evaluate(PLACES), page.evaluate("[sidelight.cy.zoom(), sidelight.cy.pan()]")
    graph = copy.deepcopy(answers.graph_json)
    newcomer = node("newcomer-v1", health="healthy")
    page_node = next(n for n in graph["nodes"] if n["workload"] == "productpage-v1")
    graph["nodes"].append(newcomer)
    graph["edges"].append(edge(page_node, newcomer, 5))
    answers.graph_json = graph
    until(page, f"sidelight.cy.getElementById('{newcomer['id']}').length")
    after = page.evaluate(PLACES)
    moved = [i for i in before if max(abs(a - b) for a, b in zip(before[i], after[i], strict=True)) > 40]
    assert moved == []
    assert page.evaluate("window.mark") == 1
    assert page.evaluate("[sidelight.cy.zoom(), sidelight.cy.pan()]") == view


def test_a_dragged_node_stays(open_page: Open, url: str, answers: Answers) -> None:
    """What a user moved stays where it was put, through updates."""
    page = opened(open_page, url)
    ident = answers.graph_json["nodes"][3]["id"]
    start = rendered(page, ident)
    page.mouse.move(start["x"], start["y"])
    page.mouse.down()
    page.mouse.move(start["x"] + 40, start["y"] + 60, steps=5)
    page.mouse.up()
    put = page.evaluate(PLACES)[ident]
    serial = page.evaluate("sidelight.graph.have.serial")
    answers.graph_json = copy.deepcopy(answers.graph_json)
    answers.graph_json["edges"][0]["rate"] *= 3
    until(page, f"sidelight.graph.have.serial > {serial}")
    assert page.evaluate(PLACES)[ident] == put


def test_click_an_edge(open_page: Open, url: str, answers: Answers) -> None:
    """A click on an edge opens the panel and stands in the URL; Escape closes it."""
    page = opened(open_page, url)
    ident = answers.graph_json["edges"][0]["id"]
    at = rendered(page, ident)
    page.mouse.click(at["x"], at["y"])
    expect(page.locator("#panel")).to_be_visible()
    expect(page).to_have_url(re.compile(f"edge={ident}"))
    page.keyboard.press("Escape")
    expect(page.locator("#panel")).to_be_hidden()
    expect(page).not_to_have_url(re.compile("edge="))


def test_the_url_is_the_view(open_page: Open, url: str) -> None:
    """A link sets the controls; a control changes the link; going back goes back."""
    page = opened(open_page, f"{url}/?window=1m&label=p95&namespace=data&theme=dark")
    expect(page.locator("#window input[value='1m']")).to_be_checked()
    expect(page.locator("#label input[value='p95']")).to_be_checked()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    page.locator("#label input[value='p50']").check(force=True)
    expect(page).to_have_url(re.compile(r"label=p50"))
    expect(page).to_have_url(re.compile(r"namespace=data"))
    page.go_back()
    expect(page.locator("#label input[value='p95']")).to_be_checked()


def test_a_workload_whose_namespace_is_learned_moves_there(
    open_page: Open, url: str, answers: Answers
) -> None:
    """Its box is drawn anew around it, and it is still there to be seen and pointed at."""
    page = opened(open_page, url)
    graph = json.loads(json.dumps(answers.graph_json))
    moved = graph["nodes"][3]
    moved["namespace"], moved["app"] = "learned", "learned"
    answers.graph_json = graph
    until(page, f"sidelight.cy.getElementById('{moved['id']}').data('says').includes('learned')")
    until(page, f"sidelight.cy.getElementById('{moved['id']}').visible()", 20)
    at = rendered(page, moved["id"])
    page.mouse.move(at["x"], at["y"])
    expect(page.locator("#graph-tip")).to_contain_text("learned")


def test_probes_and_scrapes_show_when_they_are_wanted(open_page: Open) -> None:
    """They are hidden until the switch in the legend is on; it is in the link, and off again they are gone."""

    class Probed(Answers):
        def graph(self, query: Any) -> dict[str, Any]:
            told = super().graph(query)
            return told if query.background else {**told, "edges": told["edges"][:-1]}

    with serving(Probed()) as url:
        page = opened(open_page, url)
        assert page.evaluate("sidelight.cy.edges().length") == 14
        page.get_by_text("Legend").click()
        switch = page.get_by_text("Probes and scrapes")
        switch.click()
        until(page, "sidelight.cy.edges().length === 15")
        expect(page).to_have_url(re.compile("background=1"))
        switch.click()
        until(page, "sidelight.cy.edges().length === 14")
        expect(page).not_to_have_url(re.compile("background="))


def test_find(open_page: Open, url: str) -> None:
    """What is searched for is marked, the rest steps back, and it is in the link."""
    page = opened(open_page, url)
    page.locator("body").press("/")
    page.keyboard.type("reviews")
    until(page, "sidelight.cy.nodes('.found').length === 3 && sidelight.cy.nodes('.missed').length > 5")
    expect(page).to_have_url(re.compile("find=reviews"))


def test_typing_is_not_undone(open_page: Open, url: str) -> None:
    """Whoever types slowly, so that answers arrive between the letters, still writes one word."""
    page = opened(open_page, url)
    page.locator("#find-box").press_sequentially("productpage", delay=150)
    expect(page).to_have_url(re.compile("find=productpage"))
    expect(page.locator("#find-box")).to_have_value("productpage")


def test_pause(open_page: Open, url: str, answers: Answers) -> None:
    """A paused page keeps its picture; resumed it catches up."""
    page = opened(open_page, url)
    page.get_by_role("button", name="Pause").click()
    expect(page.locator("#clock")).to_have_text("paused")
    answers.graph_json = {**answers.graph_json, "edges": answers.graph_json["edges"][:3]}
    page.wait_for_timeout(2500)
    assert page.evaluate("sidelight.cy.edges().length") == 15
    page.get_by_role("button", name="Resume").click()
    until(page, "sidelight.cy.edges().length === 3")


def test_keyboard(open_page: Open, url: str) -> None:
    """Arrows walk from caller to callee and say where they are; Enter opens."""
    page = opened(open_page, url)
    page.locator("#cy").focus()
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    said = page.locator("#graph-says").inner_text()
    assert "in " in said
    page.keyboard.press("Enter")
    expect(page.locator("#panel")).to_be_visible()
    expect(page).to_have_url(re.compile("node="))


def test_the_graph_survives_other_pages(open_page: Open, url: str) -> None:
    """Going to the traces and back keeps zoom, pan and the canvas itself."""
    page = opened(open_page, url)
    page.evaluate("sidelight.zoomBy(1.4); sidelight.cy.mark = 1")
    zoom = page.evaluate("sidelight.cy.zoom()")
    page.get_by_role("link", name="Traces").click()
    expect(page.locator("#page-traces")).to_be_visible()
    expect(page.locator("#page-graph")).to_be_hidden()
    page.get_by_role("link", name="Graph").click()
    expect(page.locator("#cy")).to_be_visible()
    assert page.evaluate("[sidelight.cy.zoom(), sidelight.cy.mark]") == [zoom, 1]


def test_hostile_names(open_page: Open, url: str, answers: Answers) -> None:
    """A name that is markup, endless, or reversed is text everywhere: canvas, tooltip, panel, filter."""
    graph = json.loads(json.dumps(answers.graph_json))
    for one in graph["nodes"][3:6]:
        one["workload"] = one["app"] = one["namespace"] = one["service"] = HOSTILE + one["id"]
    answers.graph_json = graph
    page = opened(open_page, url)
    at = rendered(page, graph["nodes"][3]["id"])
    page.mouse.move(at["x"], at["y"])
    expect(page.locator("#graph-tip")).to_contain_text("<img")
    page.mouse.click(at["x"], at["y"])
    expect(page.locator("#panel")).to_be_visible()
    page.locator("#namespaces").click()
    page.wait_for_timeout(1000)
    assert page.evaluate("window.hurt") is None
    assert page.evaluate("document.querySelectorAll('img[src=x]').length") == 0


def test_the_first_page_teaches(open_page: Open) -> None:
    """With nothing stored the page says how to send telemetry here, until something arrives."""
    answers = Answers()
    full = answers.graph_json
    answers.graph_json = {**full, "nodes": [], "edges": []}
    with serving(answers) as url:
        page = open_page(url)
        card = page.locator("#empty-first")
        expect(card).to_be_visible()
        card.get_by_text("Envoy", exact=True).click()
        expect(card).to_contain_text("port_value: 4317")
        answers.graph_json = full
        until(page, DRAWN)
        expect(card).to_be_hidden()
