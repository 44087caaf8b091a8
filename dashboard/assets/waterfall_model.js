/* The rows of a trace: which spans are visible, what belongs to what, what a search finds.
 *
 * Pure: no DOM, no clock. Spans come depth-first with their depth, so the subtree of a span is the run of
 * deeper spans behind it. A value that is not known reads as a dash, never as 0.
 */
(function () {
  "use strict";
  const sidelight = (window.sidelight = window.sidelight || {});
  const UNKNOWN = "–";

  function milliseconds(value) {
    if (typeof value !== "number" || !isFinite(value)) return UNKNOWN;
    if (value < 0) return "−" + milliseconds(-value);
    if (value === 0) return "0 ms";
    if (value < 0.001) return Math.round(value * 1e6) + " ns";
    if (value < 1) return Math.round(value * 1000) + " µs";
    if (value < 999.5) return Number(value.toPrecision(3)) + " ms";
    if (value < 60000) return Number((value / 1000).toPrecision(3)) + " s";
    const seconds = Math.round(value / 1000);
    if (seconds < 3600) return Math.floor(seconds / 60) + " m " + (seconds % 60) + " s";
    return Math.floor(seconds / 3600) + " h " + (Math.floor(seconds / 60) % 60) + " m";
  }

  /* Round tick positions in [from, to], about `wanted` of them. */
  function ticks(from, to, wanted) {
    const width = to - from;
    if (!(width > 0)) return [from];
    const rough = width / Math.max(1, wanted);
    const power = Math.pow(10, Math.floor(Math.log10(rough)));
    const step = [1, 2, 5, 10].map((each) => each * power).find((each) => each >= rough);
    const found = [];
    for (let at = Math.ceil(from / step - 1e-9) * step; at <= to + step * 1e-9; at += step) {
      found.push(Math.abs(at) < step * 1e-6 ? 0 : at);
    }
    return found;
  }

  class Model {
    constructor(payload) {
      this.trace = payload;
      this.spans = payload.spans;
      const size = this.spans.length;
      this.parent = new Int32Array(size).fill(-1);
      this.end = new Int32Array(size); // first row behind the subtree
      this.byId = new Map();
      this.maxDepth = 0;
      const open = [];
      let first = 0;
      let last = typeof payload.duration_ms === "number" ? payload.duration_ms : 0;
      this.spans.forEach((span, index) => {
        while (open.length && this.spans[open[open.length - 1]].depth >= span.depth) {
          this.end[open.pop()] = index;
        }
        this.parent[index] = open.length ? open[open.length - 1] : -1;
        open.push(index);
        if (!this.byId.has(span.span_id)) this.byId.set(span.span_id, index);
        this.maxDepth = Math.max(this.maxDepth, span.depth);
        first = Math.min(first, span.start_ms);
        last = Math.max(last, span.start_ms + (span.duration_ms || 0));
      });
      while (open.length) this.end[open.pop()] = size;
      this.range = [first, last > first ? last : first + 1];
      this.collapsed = new Set();
      this.attempts = this.findAttempts();
      this.refresh();
    }

    hasChildren(index) {
      return this.end[index] > index + 1;
    }

    children(index) {
      const found = [];
      for (let at = index + 1; at < this.end[index]; at = this.end[at]) found.push(at);
      return found;
    }

    /* One CLIENT span of a proxy with several SERVER spans of one service below it: these are attempts. */
    findAttempts() {
      const found = new Map();
      this.spans.forEach((span, index) => {
        if (!span.is_proxy || span.kind !== "client") return;
        const groups = new Map();
        for (const child of this.children(index)) {
          const below = this.spans[child];
          if (!below.is_proxy || below.kind !== "server") continue;
          if (!groups.has(below.service_index)) groups.set(below.service_index, []);
          groups.get(below.service_index).push(child);
        }
        for (const group of groups.values()) {
          if (group.length < 2) continue;
          group.forEach((child, at) => found.set(child, [at + 1, group.length]));
        }
      });
      return found;
    }

    refresh() {
      const rows = [];
      for (let at = 0; at < this.spans.length; ) {
        rows.push(at);
        at = this.collapsed.has(at) ? this.end[at] : at + 1;
      }
      this.rows = rows;
      this.rowOf = new Map(rows.map((index, row) => [index, row]));
    }

    toggle(index, collapse) {
      if (!this.hasChildren(index)) return false;
      const wanted = collapse === undefined ? !this.collapsed.has(index) : collapse;
      if (wanted === this.collapsed.has(index)) return false;
      if (wanted) this.collapsed.add(index);
      else this.collapsed.delete(index);
      this.refresh();
      return true;
    }

    collapseAll() {
      this.spans.forEach((_, index) => this.hasChildren(index) && this.collapsed.add(index));
      this.refresh();
    }

    expandAll() {
      this.collapsed.clear();
      this.refresh();
    }

    /* Makes a span visible by opening everything above it. */
    reveal(index) {
      for (let at = this.parent[index]; at >= 0; at = this.parent[at]) this.collapsed.delete(at);
      this.refresh();
    }

    /* Time of a span in which none of its children ran, in ms. */
    selfTime(index) {
      const span = this.spans[index];
      const stop = span.start_ms + (span.duration_ms || 0);
      let busy = 0;
      let reached = span.start_ms;
      const below = this.children(index).map((child) => this.spans[child]);
      below.sort((one, other) => one.start_ms - other.start_ms);
      for (const child of below) {
        const from = Math.max(reached, child.start_ms);
        const to = Math.min(stop, child.start_ms + (child.duration_ms || 0));
        if (to > from) {
          busy += to - from;
          reached = to;
        }
      }
      return Math.max(0, (span.duration_ms || 0) - busy);
    }

    /* Spans in which the text occurs: names, ids, codes, flags, attributes. Rows in order. */
    search(text) {
      const wanted = text.trim().toLowerCase();
      if (!wanted) return [];
      if (!this.haystacks) {
        this.haystacks = this.spans.map((span) =>
          [
            span.span_id, span.name, this.serviceName(span), span.workload, span.version, span.kind,
            span.status, span.status_code, span.response_flags.join(" "),
            span.is_proxy ? "proxy" : "", span.error ? "error" : "",
            ...Object.entries(span.attributes).map(([key, value]) => key + "=" + value),
            ...span.events.map((event) => event.name),
          ].join("\n").toLowerCase()
        );
      }
      const found = [];
      this.haystacks.forEach((haystack, index) => haystack.includes(wanted) && found.push(index));
      return found;
    }

    serviceName(span) {
      const service = this.trace.services[span.service_index];
      return service ? service.name : UNKNOWN;
    }

    /* What stands behind the bar: duration, then what went wrong. */
    outcome(index) {
      const span = this.spans[index];
      const parts = [milliseconds(span.duration_ms)];
      if (span.error || (span.status_code !== null && span.status_code >= 400) || span.status_code === 0) {
        if (span.status_code === 0) parts.push("no response");
        else if (span.status_code !== null && span.status_code !== 200) parts.push(String(span.status_code));
      }
      if (span.grpc_status) parts.push("gRPC " + span.grpc_status);
      if (span.response_flags.length) parts.push(span.response_flags.join(",").slice(0, 40));
      const attempt = this.attempts.get(index);
      if (attempt) parts.push("attempt " + attempt[0] + " of " + attempt[1]);
      return parts.join(" · ");
    }

    /* One sentence for a screen reader and for the row's tooltip. */
    sentence(index) {
      const span = this.spans[index];
      return [
        this.serviceName(span) + (span.is_proxy ? " (proxy)" : ""),
        String(span.name).slice(0, 200),
        this.outcome(index),
        span.error ? "failed" : "",
        "level " + (span.depth + 1),
      ].filter(Boolean).join(", ");
    }
  }

  sidelight.waterfallModel = { Model, milliseconds, ticks, UNKNOWN };
})();
