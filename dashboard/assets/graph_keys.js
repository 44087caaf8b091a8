/* The graph without a mouse, and what it says: arrow keys, Enter, Escape, a tooltip, hidden labels. */
(function () {
  "use strict";
  const sidelight = (window.sidelight = window.sidelight || {});

  const ARROWS = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

  sidelight.mountKeys = function (cy, container) {
    let focused = null;
    container.tabIndex = 0;
    container.setAttribute("role", "application");
    container.setAttribute("aria-label", "Service graph. Arrow keys move between workloads, Enter opens one, Escape closes it.");
    const say = (text) => (document.getElementById("graph-says").textContent = text);

    function focus(node) {
      cy.nodes().removeClass("focused");
      focused = node && node.length ? node : null;
      if (!focused) return;
      focused.addClass("focused");
      say(focused.data("says"));
      const p = focused.renderedPosition();
      if (p.x < 60 || p.y < 40 || p.x > cy.width() - 60 || p.y > cy.height() - 40) cy.center(focused);
    }

    // The nearest node in a direction: sideways distance counts double.
    function next([dx, dy]) {
      const nodes = cy.nodes(":childless");
      if (!focused || !focused.inside()) return nodes.sort((a, b) => a.position("x") - b.position("x"))[0];
      const at = focused.position();
      let best = null, least = Infinity;
      nodes.forEach((node) => {
        const x = node.position("x") - at.x, y = node.position("y") - at.y;
        const ahead = x * dx + y * dy, aside = Math.abs(x * dy + y * dx);
        const cost = ahead + 2 * aside;
        if (ahead > 5 && cost < least) [best, least] = [node, cost];
      });
      return best || focused;
    }

    container.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.key in ARROWS) focus(cy.collection(next(ARROWS[event.key])));
      else if (event.key === "Enter" && focused) sidelight.pick({ kind: "node", id: focused.id() });
      else if (event.key === "Escape") sidelight.pick(null);
      else if (event.key === "+" || event.key === "=") sidelight.zoomBy(1.3);
      else if (event.key === "-") sidelight.zoomBy(1 / 1.3);
      else if (event.key === "f") sidelight.fit(true);
      else return;
      event.preventDefault();
    });
    container.addEventListener("blur", () => cy.nodes().removeClass("focused"));
    document.addEventListener("keydown", (event) => {
      const typing = /^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName);
      if (event.key === "/" && !typing && container.clientWidth > 0) {
        const box = document.getElementById("find");
        if (box) box.focus();
        event.preventDefault();
      } else if (event.key === "Escape" && !typing && event.target !== container && container.clientWidth > 0) sidelight.pick(null);
    });
  };

  sidelight.mountTooltip = function (cy, container) {
    const tip = document.getElementById("graph-tip");
    const hide = () => (tip.hidden = true);
    cy.on("mouseover", "node:childless, edge", (event) => {
      tip.textContent = event.target.data("says");
      tip.hidden = false;
      container.style.cursor = "pointer";
    });
    cy.on("mousemove", "node:childless, edge", (event) => {
      const p = event.renderedPosition;
      tip.style.transform = `translate(${Math.min(p.x + 14, cy.width() - tip.offsetWidth - 8)}px, ${Math.min(p.y + 16, cy.height() - tip.offsetHeight - 8)}px)`;
    });
    cy.on("mouseout", "node:childless, edge", () => {
      hide();
      container.style.cursor = "";
    });
    cy.on("pan zoom", hide);
  };

  // Greedy: labels that matter first; one that would hit a node or a label already there is hidden.
  const CELL = 64;
  sidelight.declutter = function (cy) {
    const z = cy.zoom();
    if (z < 0.4 || cy.width() === 0) return;
    const size = z < 0.62 ? 15 : 11, field = z < 0.62 ? "short" : "label", view = cy.extent();
    const grid = new Map();
    const cells = (b) => {
      const found = [];
      for (let x = Math.floor(b[0] / CELL); x <= Math.floor(b[2] / CELL); x++) for (let y = Math.floor(b[1] / CELL); y <= Math.floor(b[3] / CELL); y++) found.push(x + ":" + y);
      return found;
    };
    const hits = (b) => cells(b).some((cell) => (grid.get(cell) || []).some((o) => b[0] < o[2] && o[0] < b[2] && b[1] < o[3] && o[1] < b[3]));
    const take = (b) => cells(b).forEach((cell) => grid.has(cell) ? grid.get(cell).push(b) : grid.set(cell, [b]));
    cy.nodes(":childless").forEach((node) => {
      const p = node.position();
      take([p.x - 78, p.y - 23, p.x + 78, p.y + 23]);
    });
    const weight = (e) => (e.hasClass("chosen") ? 1e9 : 0) + (e.data("split") ? 1e7 : 0) + (e.data("bad") > 0 ? 1e6 : 0) + e.data("rate");
    const edges = cy.edges().filter((e) => e.data(field)).sort((a, b) => weight(b) - weight(a));
    cy.batch(() => edges.forEach((edge) => {
      const p = sidelight.alongEdge(edge, 0.5);
      if (!p || p.x < view.x1 - 100 || p.x > view.x2 + 100 || p.y < view.y1 - 50 || p.y > view.y2 + 50) return;
      const w = edge.data(field).length * size * 0.29 + 3, h = size * 0.75;
      const box = [p.x - w, p.y - h, p.x + w, p.y + h];
      const crowded = hits(box);
      edge.toggleClass("crowded", crowded);
      if (!crowded) take(box);
    }));
  };
})();
