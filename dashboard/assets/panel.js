/* The side panel's part in the browser: what it is about, and lines that open a neighbour. */
(function () {
  "use strict";
  const sidelight = (window.sidelight = window.sidelight || {});

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
