/* The side panel's part in the browser: what it is about, and lines that open a neighbour. */
(function () {
  "use strict";
  const sidelight = (window.sidelight = window.sidelight || {});

  // One question at a time about one element; see ASKED in pages/panel.py.
  const WAIT_AT_MOST_MS = 60000;
  const asked = { key: null, span: null, at: 0, flying: false, next: null };
  function launch(what, key, span) {
    Object.assign(asked, { key, span, at: Date.now(), flying: true, next: null });
    return what;
  }

  window.dash_clientside = Object.assign({}, window.dash_clientside, {
    sidelightPanel: {
      /* Asks nothing of the server while nothing is selected or another page is shown. */
      subject(selection, graph, path) {
        const unchanged = window.dash_clientside.no_update;
        if (!selection || !graph || (path && path !== "/")) return unchanged;
        // The graph store is written after the selection: wait until it is about this one.
        const items = (selection.kind === "node" ? graph.nodes : graph.edges) || {};
        const now = items[selection.id] ? "there" : "gone";
        const asked = selection.kind + selection.id;
        if (now === "gone" && sidelight.panelAsked !== asked) {
          sidelight.panelAsked = asked;
          return unchanged;
        }
        sidelight.panelAsked = asked;
        return { selection, graph };
      },
      ask(subject, side, outcome, view) {
        const unchanged = window.dash_clientside.no_update;
        if (!subject) return unchanged;
        const { selection, graph } = subject;
        const item = ((selection.kind === "node" ? graph.nodes : graph.edges) || {})[selection.id];
        if (!item) return unchanged;
        const key = [selection.kind, selection.id, side, outcome, (view || {}).success].join(" ");
        const span = [graph.from, graph.to, item.requests, item.requests_in, item.requests_out].join(" ");
        const what = { ...subject, side, outcome };
        if (key === asked.key) {
          if (span === asked.span) return unchanged;
          if (asked.flying && Date.now() - asked.at < WAIT_AT_MOST_MS) {
            asked.next = () => launch(what, key, span);
            return unchanged;
          }
        }
        return launch(what, key, span);
      },
      answered(_rows) {
        asked.flying = false;
        if (asked.next) window.dash_clientside.set_props("panel-asked", { data: asked.next() });
      },
    },
  });

  // The graph's own Escape leaves fields alone; the panel's switches are fields, and Escape closes it there too.
  document.addEventListener("keydown", (event) => {
    const inside = event.key === "Escape" && event.target.closest && event.target.closest("#panel");
    if (inside && sidelight.pick) sidelight.pick(null);
  });

  document.addEventListener("click", (event) => {
    const line = event.target.closest && event.target.closest("[data-pick-edge]");
    if (line && sidelight.pick) sidelight.pick({ kind: "edge", id: line.dataset.pickEdge });
  });
})();
