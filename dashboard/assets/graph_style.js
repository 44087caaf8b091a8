/* The graph's stylesheet, made from the page's colour variables for one of four zoom levels.

   Far away a line must be wide and a card plain colour to be seen at all; near by, calm. Health is
   never told by colour alone: a failing edge is also dashed wide, an idle one dotted, and the numbers
   stand beside it. */
(function () {
  "use strict";
  const sidelight = (window.sidelight = window.sidelight || {});

  const FAMILY = "Inter, system-ui, -apple-system, \"Segoe UI\", \"Noto Sans\", \"DejaVu Sans\", sans-serif";
  const NAMES = ["page", "surface", "ink", "muted", "line", "accent", "box", "box-app", "box-line", "edge", "healthy", "degraded", "failing", "idle", "unknown", "degraded-fill", "failing-fill", "edge-degraded", "edge-failing", "edge-tcp"];

  sidelight.colours = function () {
    const style = getComputedStyle(document.documentElement);
    return Object.fromEntries(NAMES.map((name) => [name, style.getPropertyValue("--" + name).trim()]));
  };

  const BORDER = [9, 5, 2, 1];
  const LINE = [5, 2.4, 1.4, 1];
  const SHAPES = { workload: "round-rectangle", app: "round-rectangle", instance: "round-rectangle", gateway: "cut-rectangle", service: "round-rectangle", external: "round-tag", database: "barrel", queue: "barrel", unknown: "ellipse" };

  // Whether both ends stand in one namespace: then its colour is behind the edge.
  sidelight.sameBox = function (edge) {
    const a = edge.source().ancestors().last(), b = edge.target().ancestors().last();
    return a.length > 0 && a.same(b);
  };

  sidelight.graphStyle = function (level) {
    const c = (sidelight.palette = sidelight.colours());
    const near = level >= 2;
    const fill = (ele) => {
      const health = ele.data("health");
      if (!near) return c[health] || c.unknown;
      return health === "failing" ? c["failing-fill"] : health === "degraded" ? c["degraded-fill"] : c.surface;
    };
    const rim = (ele) => {
      const health = ele.data("health");
      return health === "failing" || health === "degraded" ? c[health] : near ? c["box-line"] : c[health] || c.unknown;
    };
    const line = (ele) => {
      const health = ele.data("health");
      if (health === "failing") return c["edge-failing"];
      if (health === "degraded") return c["edge-degraded"];
      if (health === "idle" || health === "unknown") return c.idle;
      return ele.data("protocol") === "tcp" ? c["edge-tcp"] : c.edge;
    };
    return [
      { selector: "node", style: { "font-family": FAMILY, color: c.ink, "overlay-opacity": 0, "z-index-compare": "manual", "z-index": 5 } },
      {
        selector: "node[!box]",
        style: {
          shape: (ele) => SHAPES[ele.data("kind")] || "round-rectangle",
          "corner-radius": (ele) => (ele.data("kind") === "service" ? 22 : 9),
          width: 142,
          height: 44,
          "background-color": fill,
          "border-color": rim,
          "border-width": BORDER[level],
          "border-style": (ele) => (["idle", "unknown"].includes(ele.data("health")) || ele.data("kind") === "unknown" ? "dashed" : "solid"),
          label: "data(name)",
          "font-size": level === 3 ? 11.5 : near ? 14.5 : 22,
          "font-weight": 600,
          color: near ? c.ink : c.page,
          "text-valign": "center",
          "text-halign": "center",
          "text-margin-y": (ele) => (ele.data("detail") && level === 3 ? -8 : 0),
          "min-zoomed-font-size": 6,
        },
      },
      {
        selector: "node[?box]",
        style: {
          shape: "round-rectangle",
          "corner-radius": 14,
          padding: (ele) => (ele.data("kind") === "app" ? 24 : 30),
          "compound-sizing-wrt-labels": "exclude",
          "background-color": (ele) => (ele.data("kind") === "app" ? c["box-app"] : c.box),
          "background-opacity": 1,
          "border-color": c["box-line"],
          "border-width": level === 0 ? 6 : level === 1 ? 3 : 1,
          "border-style": (ele) => (ele.data("kind") === "app" ? "dashed" : "solid"),
          "border-dash-pattern": [4, 3],
          "z-index": (ele) => (ele.data("kind") === "app" ? 2 : 1),
          events: "yes",
        },
      },
      {
        selector: "edge",
        style: {
          "curve-style": "unbundled-bezier",
          "edge-distances": "endpoints",
          "source-endpoint": (ele) => `50% ${ele.data("leaves")}px`,
          "target-endpoint": (ele) => `-50% ${ele.data("enters")}px`,
          "control-point-distances": "data(distances)",
          "control-point-weights": "data(weights)",
          width: (ele) => ele.data("width") * LINE[level],
          "line-color": line,
          "line-cap": "round",
          "line-style": (ele) => (ele.data("health") === "idle" ? "dashed" : "solid"),
          "target-arrow-shape": near ? "triangle" : "none",
          "target-arrow-color": line,
          "arrow-scale": (ele) => Math.max(0.55, 1.05 - ele.data("width") * 0.07),
          label: (ele) => (level < 2 ? "" : level === 2 ? ele.data("short") : ele.data("label")),
          "font-family": FAMILY,
          "font-size": level === 2 ? 15 : 11,
          "font-weight": (ele) => (ele.data("split") ? 600 : 400),
          color: (ele) => (ele.data("health") === "failing" ? c.failing : ele.data("health") === "degraded" ? c.degraded : c.ink),
          "text-margin-x": "data(lx)",
          "text-margin-y": "data(ly)",
          "text-background-color": (ele) => (sidelight.sameBox(ele) ? c.box : c.page),
          "text-background-opacity": 0.92,
          "text-background-padding": 2.5,
          "text-background-shape": "round-rectangle",
          "min-zoomed-font-size": 7,
          "overlay-opacity": 0,
          "z-index-compare": "manual",
          "z-index": (ele) => (ele.data("health") === "failing" ? 4 : ele.data("health") === "degraded" ? 3 : 2),
        },
      },
      { selector: "edge.loop", style: { "curve-style": "bezier", "source-endpoint": "outside-to-node", "target-endpoint": "outside-to-node", "edge-distances": "intersection" } },
      { selector: "edge.crowded", style: { "text-opacity": 0, "text-background-opacity": 0 } },
      { selector: ".missed", style: { opacity: 0.22 } },
      { selector: ".faded", style: { opacity: 0.2 } },
      { selector: "node.found", style: { "border-color": c.accent, "border-width": Math.max(2, BORDER[level]), "border-style": "solid" } },
      { selector: "node.focused", style: { "outline-color": c.accent, "outline-width": 2, "outline-offset": 3, "outline-style": "dashed" } },
      { selector: "node.chosen", style: { "outline-color": c.accent, "outline-width": 3, "outline-offset": 2, "outline-style": "solid", "outline-opacity": 0.9 } },
      { selector: "edge.chosen", style: { "underlay-color": c.accent, "underlay-opacity": 0.28, "underlay-padding": 6, "z-index": 6 } },
      { selector: "node:active, edge:active", style: { "overlay-opacity": 0 } },
    ];
  };
})();
