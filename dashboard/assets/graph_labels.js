/* Where edge labels stand: beside a padlock, on their line, hitting no card and no other label.

   Greedy, those that matter first: each label tries a few places along its edge and is hidden when all
   are taken. A canary's split is tried near its own version, where the edges have parted. */
(function () {
  "use strict";
  const sidelight = (window.sidelight = window.sidelight || {});
  const CELL = 64;
  const MIDDLE = [0.5, 0.57, 0.43, 0.65, 0.35, 0.74, 0.27];
  const NEAR_TARGET = [0.64, 0.58, 0.7, 0.5, 0.42, 0.76, 0.33];
  const LOCK = 13;
  const ruler = document.createElement("canvas").getContext("2d");
  const widths = new Map();

  function measure(text, size, bold) {
    const key = size + (bold ? "b" : "n") + text;
    if (!widths.has(key)) {
      if (widths.size > 5000) widths.clear();
      ruler.font = `${bold ? 600 : 400} ${size}px ${sidelight.fontFamily}`;
      widths.set(key, ruler.measureText(text).width);
    }
    return widths.get(key);
  }

  // A grid of taken rectangles [x1, y1, x2, y2].
  function ground() {
    const grid = new Map();
    const cells = (b) => {
      const found = [];
      for (let x = Math.floor(b[0] / CELL); x <= Math.floor(b[2] / CELL); x++) {
        for (let y = Math.floor(b[1] / CELL); y <= Math.floor(b[3] / CELL); y++) found.push(x + ":" + y);
      }
      return found;
    };
    return {
      free: (b) => !cells(b).some((cell) => (grid.get(cell) || []).some((o) => b[0] < o[2] && o[0] < b[2] && b[1] < o[3] && o[1] < b[3])),
      take: (b) => cells(b).forEach((cell) => (grid.has(cell) ? grid.get(cell).push(b) : grid.set(cell, [b]))),
    };
  }

  sidelight.declutter = function (cy) {
    const z = cy.zoom();
    if (z < 0.4 || cy.width() === 0) return;
    const far = z < 0.62, size = far ? 15 : 11, field = far ? "short" : "label";
    const withLocks = !far && sidelight.graph.view.locks !== false;
    const view = cy.extent(), taken = ground();
    cy.nodes("[!box]").forEach((node) => {
      const p = node.position();
      taken.take([p.x - 73, p.y - 24, p.x + 73, p.y + 24]);
    });
    const weight = (e) => (e.hasClass("chosen") ? 1e9 : 0) + (e.data("split") ? 1e7 : 0) + (e.data("bad") > 0 ? 1e6 : 0) + e.data("rate");
    const edges = cy.edges().filter((e) => e.data(field) || (withLocks && e.data("lock")));
    cy.batch(() => {
      edges.sort((a, b) => weight(b) - weight(a)).forEach((edge) => {
        const a = edge.source().position(), b = edge.target().position();
        if (Math.max(a.x, b.x) < view.x1 || Math.min(a.x, b.x) > view.x2 || Math.max(a.y, b.y) < view.y1 || Math.min(a.y, b.y) > view.y2) return;
        const text = edge.data(field) || "", lock = withLocks && edge.data("lock") ? LOCK : 0;
        const half = (measure(text, size, Boolean(edge.data("split"))) + (text ? 6 : 0) + lock) / 2 + 1, tall = size * 0.72;
        let spot = null;
        for (const share of edge.data("split") ? NEAR_TARGET : MIDDLE) {
          const p = sidelight.alongEdge(edge, share);
          if (!p) break;
          const box = [p.x - half, p.y - tall, p.x + half, p.y + tall];
          if (!taken.free(box)) continue;
          taken.take(box);
          spot = { x: p.x, y: p.y, half, tall };
          break;
        }
        edge.scratch("_spot", spot);
        edge.toggleClass("crowded", !spot);
        if (!spot) return;
        const middle = edge.midpoint();
        const lx = Math.round((spot.x + lock / 2 - middle.x) * 10) / 10, ly = Math.round((spot.y - middle.y) * 10) / 10;
        if (Number.isFinite(lx) && (edge.data("lx") !== lx || edge.data("ly") !== ly)) edge.data({ lx, ly });
      });
    });
  };
})();
