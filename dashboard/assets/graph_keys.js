/* The graph without a mouse, and what it says: arrow keys, Enter, Escape, a tooltip. */
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
        const box = document.getElementById("find-box");
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
})();
