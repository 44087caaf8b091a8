/* What is painted over the graph: box titles, the second line of cards, locks, traffic.

   A second canvas, repainted with every frame of the graph; it never catches the mouse. Animating
   traffic here costs a fifth of what cytoscape's own dashes do. What must stay true: only fillText. */
(function () {
  "use strict";
  const sidelight = (window.sidelight = window.sidelight || {});
  const FAMILY = sidelight.fontFamily = "Inter, system-ui, -apple-system, \"Segoe UI\", \"Noto Sans\", \"DejaVu Sans\", sans-serif";
  const FRAME_MS = 33;
  const overlay = { cy: null, canvas: null, ink: null, running: false, last: 0, paths: new Map() };

  sidelight.mountOverlay = function (cy, container) {
    const canvas = document.createElement("canvas");
    canvas.className = "overlay";
    canvas.setAttribute("aria-hidden", "true");
    container.parentElement.appendChild(canvas);
    Object.assign(overlay, { cy, canvas, ink: canvas.getContext("2d") });
    cy.on("render", () => !overlay.running && paint(0));
    cy.on("position add remove data", () => overlay.paths.clear());
  };

  function paint(now) {
    const { cy, canvas, ink } = overlay;
    const ratio = window.devicePixelRatio || 1, width = cy.width(), height = cy.height();
    if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
      canvas.style.width = width + "px";
      canvas.style.height = height + "px";
    }
    const c = sidelight.palette, z = cy.zoom(), pan = cy.pan();
    ink.setTransform(ratio, 0, 0, ratio, 0, 0);
    ink.clearRect(0, 0, width, height);
    ink.setTransform(ratio * z, 0, 0, ratio * z, ratio * pan.x, ratio * pan.y);
    const view = cy.extent();
    titles(ink, cy, c, z, view);
    if (z >= 0.62) details(ink, cy, c, view);
    if (z >= 0.62 && sidelight.graph.view.locks !== false) locks(ink, cy, c, view);
    if (overlay.running) traffic(ink, cy, c, view, now, z);
  }

  function titles(ink, cy, c, z, view) {
    const size = Math.min(64, Math.max(11, 10.5 / z));
    ink.textBaseline = "alphabetic";
    ink.textAlign = "left";
    cy.nodes(":parent").forEach((box) => {
      const inner = box.data("kind") === "app";
      if (inner && z < 0.55) return;
      const b = box.boundingBox({ includeLabels: false, includeOverlays: false, includeUnderlays: false });
      if (b.x2 < view.x1 || b.x1 > view.x2 || b.y2 < view.y1 || b.y1 > view.y2) return;
      const px = inner ? 11 : size;
      ink.font = `${inner ? 500 : 600} ${px}px ${FAMILY}`;
      ink.fillStyle = c.muted;
      ink.globalAlpha = box.hasClass("faded") ? 0.3 : 1;
      ink.fillText(cut(ink, box.data("name"), b.w - 20), b.x1 + (inner ? 11 : 4), inner ? b.y1 + px + 4 : b.y1 - 6);
    });
    ink.globalAlpha = 1;
  }

  function cut(ink, text, room) {
    if (ink.measureText(text).width <= room) return text;
    let end = text.length;
    while (end > 1 && ink.measureText(text.slice(0, end) + "…").width > room) end -= 1;
    return text.slice(0, end) + "…";
  }

  function details(ink, cy, c, view) {
    ink.font = `400 11px ${FAMILY}`;
    ink.textBaseline = "middle";
    cy.nodes(":childless").forEach((node) => {
      const p = node.position(), text = node.data("detail");
      if (!text || p.x < view.x1 - 80 || p.x > view.x2 + 80 || p.y < view.y1 - 30 || p.y > view.y2 + 30) return;
      ink.globalAlpha = node.hasClass("faded") || node.hasClass("missed") ? 0.2 : 1;
      const width = ink.measureText(text).width, left = p.x - (width + 10) / 2;
      ink.fillStyle = c[node.data("health")] || c.unknown;
      ink.beginPath();
      ink.arc(left + 2.5, p.y + 9, 3, 0, 7);
      ink.fill();
      ink.fillStyle = c.muted;
      ink.textAlign = "left";
      ink.fillText(text, left + 10, p.y + 9.5);
    });
    ink.globalAlpha = 1;
  }

  // -- along an edge ------------------------------------------------------------------------------
  // Points at even steps of an edge, kept until something moves.
  function path(edge) {
    let points = overlay.paths.get(edge.id());
    if (points) return points;
    const from = edge.sourceEndpoint(), to = edge.targetEndpoint(), bends = edge.controlPoints() || [];
    if (!from || !to || Number.isNaN(from.x)) return null;
    const joints = [from];
    for (let i = 0; i + 1 < bends.length; i++) joints.push({ x: (bends[i].x + bends[i + 1].x) / 2, y: (bends[i].y + bends[i + 1].y) / 2 });
    joints.push(to);
    points = [from];
    if (bends.length === 0) points.push(to);
    bends.forEach((bend, i) => {
      for (let s = 1; s <= 12; s++) {
        const t = s / 12, u = 1 - t, a = joints[i], b = joints[i + 1];
        points.push({ x: u * u * a.x + 2 * u * t * bend.x + t * t * b.x, y: u * u * a.y + 2 * u * t * bend.y + t * t * b.y });
      }
    });
    let length = 0;
    points[0].d = 0;
    for (let i = 1; i < points.length; i++) {
      length += Math.hypot(points[i].x - points[i - 1].x, points[i].y - points[i - 1].y);
      points[i].d = length;
    }
    points.length_px = length;
    overlay.paths.set(edge.id(), points);
    return points;
  }

  function along(points, distance) {
    let i = 1;
    while (i < points.length - 1 && points[i].d < distance) i += 1;
    const a = points[i - 1], b = points[i], t = (distance - a.d) / Math.max(b.d - a.d, 1e-6);
    return { x: a.x + (b.x - a.x) * t, y: a.y + (b.y - a.y) * t };
  }
  sidelight.alongEdge = (edge, share) => {
    const points = path(edge);
    return points ? along(points, points.length_px * share) : null;
  };

  function seen(edge, view) {
    const a = edge.source().position(), b = edge.target().position();
    return Math.max(a.x, b.x) > view.x1 && Math.min(a.x, b.x) < view.x2 && Math.max(a.y, b.y) > view.y1 - 30 && Math.min(a.y, b.y) < view.y2 + 30;
  }

  // A closed padlock beside the label where all requests were under mutual TLS; hollow: only some.
  function locks(ink, cy, c, view) {
    cy.edges("[lock = 'all'], [lock = 'some']").forEach((edge) => {
      const spot = edge.scratch("_spot");
      if (!spot || spot.x < view.x1 - 50 || spot.x > view.x2 + 50 || spot.y < view.y1 - 20 || spot.y > view.y2 + 20) return;
      const x = spot.x - spot.half + 7, y = spot.y;
      ink.globalAlpha = edge.hasClass("faded") || edge.hasClass("missed") ? 0.2 : 1;
      ink.fillStyle = sidelight.sameBox(edge) ? c.box : c.page;
      ink.beginPath();
      ink.roundRect(x - 7, y - spot.tall, 14, spot.tall * 2, 3);
      ink.fill();
      ink.strokeStyle = ink.fillStyle = c.muted;
      ink.lineWidth = 1.2;
      ink.beginPath();
      ink.arc(x, y - 1.3, 2.2, Math.PI, 0);
      ink.stroke();
      ink.beginPath();
      ink.roundRect(x - 3.4, y - 1.2, 6.8, 5, 0.8);
      if (edge.data("lock") === "all") ink.fill();
      else ink.stroke();
    });
    ink.globalAlpha = 1;
  }

  // -- traffic: a dot is a request (at most 14 on an edge), a hollow diamond a failed one -----------
  function traffic(ink, cy, c, view, now, z) {
    const far = z < 0.4 ? 1.8 : 1;
    cy.edges().forEach((edge) => {
      const rate = edge.data("rate");
      if (!rate || !seen(edge, view) || edge.hasClass("missed") || edge.hasClass("faded")) return;
      const points = path(edge);
      if (!points) return;
      const dots = Math.min(14, Math.max(1, Math.round(1 + 2.2 * Math.log2(1 + rate))));
      const speed = 26 + 60 / (1 + edge.data("ms") / 60); // graph px a second: slow answers travel slowly
      const gap = points.length_px / dots, bad = edge.data("bad");
      for (let i = 0; i < dots; i++) {
        const p = along(points, ((now / 1000) * speed + i * gap) % points.length_px);
        const failed = bad > 0 && i < Math.max(1, Math.round(bad * dots));
        ink.beginPath();
        if (failed) {
          ink.fillStyle = c.failing;
          ink.rect(p.x - 3 * far, p.y - 3 * far, 6 * far, 6 * far);
        } else {
          ink.fillStyle = edge.data("protocol") === "tcp" ? c["edge-tcp"] : c.healthy;
          ink.arc(p.x, p.y, 2.6 * far, 0, 7);
        }
        ink.fill();
      }
    });
  }

  function frame(now) {
    if (!overlay.running) return;
    requestAnimationFrame(frame);
    if (document.hidden || now - overlay.last < FRAME_MS || overlay.cy.width() === 0) return;
    overlay.last = now;
    paint(now);
  }

  sidelight.animateTraffic = function (on) {
    const wanted = on && overlay.cy && !window.matchMedia("(prefers-reduced-motion: reduce)").matches;
    if (Boolean(wanted) === overlay.running) return;
    overlay.running = Boolean(wanted);
    if (wanted) requestAnimationFrame(frame);
    else if (overlay.cy) paint(0);
  };
})();
