/* The graph on screen: cytoscape.js and what keeps it in step with the server's drawing.

   The server sends patches (dashboard/graph/elements.py says what they mean); this file applies them
   without a relayout, so positions, drags, pan, zoom and selection survive. What must stay true: text
   from telemetry is only ever canvas text or textContent; one patch is one batch and one repaint. */
(function () {
  "use strict";
  const sidelight = (window.sidelight = window.sidelight || {});
  const dash = () => window.dash_clientside;

  const FIT_PADDING = 36;
  const MAX_FIT_ZOOM = 1.15;
  const state = (sidelight.graph = { cy: null, have: null, moved: false, dragged: new Set(), view: {}, selection: null });

  // -- mounting -----------------------------------------------------------------------------------
  function mount() {
    const container = document.getElementById("cy");
    if (!container || state.cy) return state.cy;
    const cy = window.cytoscape({
      container,
      style: sidelight.graphStyle(3),
      layout: { name: "preset" },
      minZoom: 0.05,
      maxZoom: 3,
      textureOnViewport: true,
      boxSelectionEnabled: false,
      selectionType: "single",
      autounselectify: true,
    });
    state.cy = sidelight.cy = cy;
    listen(cy);
    sidelight.mountOverlay(cy, container);
    sidelight.mountKeys(cy, container);
    sidelight.mountTooltip(cy, container);
    let sized = container.clientWidth > 0;
    new ResizeObserver(() => {
      cy.resize();
      if (container.clientWidth === 0) return; // another page is shown: this one comes back as it was
      if (!sized || !state.moved) fit(false);
      sized = true;
    }).observe(container);
    return cy;
  }

  function listen(cy) {
    cy.on("tap", (event) => {
      if (event.target === cy) return pick(null);
      if (event.target.isParent && event.target.isParent()) return pick(null);
      pick({ kind: event.target.isNode() ? "node" : "edge", id: event.target.id() });
    });
    cy.on("dbltap", (event) => event.target === cy && fit(true));
    cy.on("dragfree", "node", (event) => {
      state.dragged.add(event.target.id());
      cy.batch(() => dock(cy));
    });
    cy.on("position", "node", (event) => state.applying || curve(event.target.connectedEdges()));
    cy.on("scrollzoom dragpan pinchzoom", () => (state.moved = true));
    cy.on("mouseover", "node:childless, edge", (event) => hover(event.target));
    cy.on("mouseout", "node:childless, edge", () => hover(null));
    cy.on("zoom", later(restyle, 60));
    cy.on("pan zoom position add remove", later(() => sidelight.declutter(cy), 90));
  }

  function later(work, ms) {
    let timer = 0;
    return () => {
      clearTimeout(timer);
      timer = setTimeout(work, ms);
    };
  }

  // -- patches ------------------------------------------------------------------------------------
  function apply(patch) {
    const cy = mount();
    if (!cy || !patch) return dash().no_update;
    if (!patch.full && (!state.have || state.have.key !== patch.key || state.have.serial !== patch.base)) {
      return dash().no_update; // made for a drawing that is not on screen: the next one will fit
    }
    const before = cy.nodes(":childless").length;
    const fresh = [];
    state.applying = true;
    cy.batch(() => {
      const put = Object.entries(patch.put);
      const leaving = patch.full ? cy.elements().filter((e) => !(e.id() in patch.put)) : cy.collection(patch.drop.map((id) => cy.getElementById(id)[0]).filter(Boolean));
      for (const [id, element] of put) upsert(cy, id, element, fresh);
      for (const [id, data] of Object.entries(patch.data)) cy.getElementById(id).data({ ...data });
      for (const [id, parent] of Object.entries(patch.parent)) cy.getElementById(id).move({ parent });
      for (const [id, at] of Object.entries(patch.at)) place(cy.getElementById(id), at);
      const boxes = leaving.filter("[kind = 'namespace'], [kind = 'app']").filter((e) => e.data("box"));
      leaving.not(boxes).remove();
      boxes.forEach((box) => box.isChildless() && box.remove());
    });
    state.applying = false;
    cy.nodes(":parent").panify().ungrabify();
    if (patch.full || fresh.length || patch.drop.length || Object.keys(patch.at).length || Object.keys(patch.put).length) {
      cy.batch(() => dock(cy));
      shown(cy);
    }
    state.have = { key: patch.key, serial: patch.serial };
    if (before === 0 || (!state.moved && fresh.length > 0)) fit(before > 0);
    mark();
    sidelight.declutter(cy);
    return state.have;
  }

  // In a batch cytoscape takes a box that was empty for one of no size, and remembers what moved into it as hidden.
  function shown(cy) {
    cy.nodes().dirtyCompoundBoundsCache();
    cy.nodes(":parent").forEach((box) => box.updateCompoundBounds(true));
    cy.nodes().dirtyStyleCache();
  }

  function upsert(cy, id, element, fresh) {
    const known = cy.getElementById(id);
    const box = element.group === "nodes" && element.at === null;
    const data = { ...element.data, id, box };
    if (known.length) {
      known.data({ ...element.data, box });
      if (element.group === "nodes" && (known.data("parent") || null) !== element.parent) known.move({ parent: element.parent });
      if (element.at) place(known, element.at);
      return;
    }
    if (element.parent) data.parent = element.parent;
    if (element.group === "edges") Object.assign(data, { distances: [0, 0], weights: [0.33, 0.67], leaves: 0, enters: 0, lx: 0, ly: 0 });
    const added = { group: element.group, data };
    if (element.group === "edges" && data.source === data.target) added.classes = "loop";
    if (element.at) added.position = { x: element.at[0], y: element.at[1] };
    cy.add(added);
    if (element.at) fresh.push(id);
  }

  function place(node, at) {
    if (node.length && !state.dragged.has(node.id())) node.position({ x: at[0], y: at[1] });
  }

  // Where edges touch a card: spread over its side, in the order of what is at their other end.
  const SPREAD = 9, ROOM = 26;
  function dock(cy) {
    const height = (edge, end) => edge[end]().position("y") + edge[end]().position("x") / 1e4;
    cy.nodes("[!box]").forEach((node) => {
      for (const [near, far, name] of [["source", "target", "leaves"], ["target", "source", "enters"]]) {
        const edges = node.connectedEdges().filter((e) => e[near]().same(node) && !e[far]().same(node)).sort((a, b) => height(a, far) - height(b, far));
        const step = edges.length > 1 ? Math.min(SPREAD, ROOM / (edges.length - 1)) : 0;
        edges.forEach((edge, i) => {
          const at = Math.round((i - (edges.length - 1) / 2) * step * 10) / 10;
          if (edge.data(name) !== at) edge.data(name, at);
        });
      }
    });
    curve(cy.edges());
  }

  // An edge leaves to the right and arrives from the left, in one S. The bend is two control points,
  // told to cytoscape relative to the straight line between the ends.
  function curve(edges) {
    edges.forEach((edge) => {
      const source = edge.source(), target = edge.target();
      if (source.same(target)) return;
      const from = source.position(), to = target.position();
      const dx = to.x - from.x - (source.width() + target.width()) / 2;
      const dy = to.y + edge.data("enters") - from.y - edge.data("leaves");
      const length2 = Math.max(dx * dx + dy * dy, 1), length = Math.sqrt(length2);
      const reach = dx > 80 ? Math.min(dx / 2, 130) : 40 + Math.min(Math.abs(dx), 260) * 0.35;
      const distances = [(-reach * dy) / length, (reach * dy) / length].map((v) => Math.round(v * 10) / 10);
      const weights = [(reach * dx) / length2, ((dx - reach) * dx + dy * dy) / length2].map((v) => Math.round(v * 1e4) / 1e4);
      if (String(edge.data("distances")) + edge.data("weights") !== String(distances) + weights) edge.data({ distances, weights });
    });
  }

  // -- what is marked -----------------------------------------------------------------------------
  function mark() {
    const cy = state.cy;
    if (!cy) return;
    const words = sidelight.sought();
    cy.batch(() => {
      cy.elements().removeClass("chosen beside found missed");
      if (words) {
        const found = cy.nodes(":childless").filter((node) => node.data("find").includes(words));
        found.addClass("found");
        cy.nodes(":childless").not(found).addClass("missed");
        cy.edges().not(found.edgesWith(found)).addClass("missed");
        state.found = found;
      }
      const chosen = state.selection ? cy.getElementById(state.selection.id) : cy.collection();
      chosen.addClass("chosen");
      chosen.connectedEdges().addClass("beside");
    });
  }

  sidelight.mark = mark;
  sidelight.showFound = function () {
    if (!state.found || !state.found.length) return;
    state.moved = true;
    fit(true, state.found);
  };

  function hover(element) {
    const cy = state.cy;
    cy.batch(() => {
      cy.elements().removeClass("faded");
      if (!element) return;
      const near = element.isNode() ? element.closedNeighborhood() : element.union(element.connectedNodes());
      cy.elements().not(near).not(":parent").addClass("faded");
    });
  }

  function pick(selection) {
    dash().set_props("picked", { data: selection ? { ...selection, at: Date.now() } : { kind: null, at: Date.now() } });
  }

  // -- the URL ------------------------------------------------------------------------------------
  let written = null;
  function write(search) {
    if (search === window.location.search) return;
    written = search;
    dash().set_props("url", { search }); // an Output would close a circle, which Dash refuses
  }
  function arrive(search) {
    const echo = search === written;
    written = null;
    return echo || typeof search !== "string" ? dash().no_update : { search, at: Date.now() };
  }

  // -- viewport -----------------------------------------------------------------------------------
  function fit(animated, elements) {
    const cy = state.cy;
    const what = elements && elements.length ? elements : cy && cy.elements();
    if (!cy || !what.length || cy.width() === 0) return;
    const box = what.boundingBox({ includeLabels: false, includeOverlays: false });
    const zoom = Math.min(MAX_FIT_ZOOM, (cy.width() - 2 * FIT_PADDING) / box.w, (cy.height() - 2 * FIT_PADDING) / box.h);
    const level = Math.max(cy.minZoom(), zoom);
    const pan = { x: (cy.width() - level * (box.x1 + box.x2)) / 2, y: (cy.height() - level * (box.y1 + box.y2)) / 2 };
    const calm = window.matchMedia("(prefers-reduced-motion: reduce)").matches;
    cy.stop();
    if (animated && !calm) cy.animate({ zoom: level, pan }, { duration: 220, easing: "ease-out" });
    else cy.viewport({ zoom: level, pan });
  }

  function zoomBy(factor) {
    const cy = state.cy;
    if (!cy) return;
    state.moved = true;
    cy.zoom({ level: cy.zoom() * factor, renderedPosition: { x: cy.width() / 2, y: cy.height() / 2 } });
  }

  let level = 3;
  function restyle(force) {
    const cy = state.cy;
    if (!cy) return;
    const z = cy.zoom(), now = z < 0.18 ? 0 : z < 0.4 ? 1 : z < 0.62 ? 2 : 3;
    if (now === level && force !== true) return;
    level = now;
    cy.style(sidelight.graphStyle(level));
  }

  Object.assign(sidelight, { pick, fit, zoomBy, restyle });
  window.dash_clientside = Object.assign({}, window.dash_clientside, {
    sidelightGraph: {
      draw: apply,
      write,
      arrive,
      seek(text) {
        sidelight.seek(text);
        return dash().no_update;
      },
      show(view, selection) {
        state.view = view || {};
        state.selection = selection;
        mark();
        sidelight.animateTraffic(Boolean(state.view.traffic) && state.view.live !== false);
        if (state.cy) state.cy.emit("render");
        return dash().no_update;
      },
      fit(_clicks) {
        state.moved = false;
        fit(true);
        return dash().no_update;
      },
      zoomIn(_clicks) {
        zoomBy(1.3);
        return dash().no_update;
      },
      zoomOut(_clicks) {
        zoomBy(1 / 1.3);
        return dash().no_update;
      },
      rearranged(_answer) {
        state.dragged.clear();
        state.moved = false;
        return dash().no_update;
      },
    },
  });
})();
