/* The trace waterfall: a canvas with virtual rows, its tools, keys, tooltip and detail pane.
 *
 * `sidelight.waterfall.draw(element, payload)` draws or redraws; the same trace again (late spans) keeps what
 * is open, selected, zoomed and scrolled. `payload` is what dashboard/waterfall.py makes. What must stay
 * true: no string of a span is ever HTML, and only visible rows are painted. For tests and debugging the
 * view is at `element.waterfall`.
 */
(function () {
  "use strict";
  const sidelight = (window.sidelight = window.sidelight || {});
  const TABLE_ROWS = 200;
  const KEYS =
    "Up and down move, right and left open and close, Enter shows the span, slash searches, plus, minus and 0 zoom, Escape closes.";

  class Waterfall {
    constructor(root) {
      this.root = root;
      this.nameWidth = 380;
      this.hover = -1;
      this.selected = -1;
      this.found = [];
      this.foundSet = new Set();
      this.paints = 0;
      this.build();
      this.listen();
    }

    // -- the page ------------------------------------------------------------------------------
    build() {
      const { make } = sidelight.waterfallDetail;
      const button = (text, title, act) => {
        const element = make("button", "wf-button", text);
        element.type = "button";
        element.title = title;
        element.addEventListener("click", act);
        return element;
      };
      this.searchBox = make("input", "wf-search");
      Object.assign(this.searchBox, { type: "search", placeholder: "Find in this trace  ( / )", maxLength: 200 });
      this.searchBox.setAttribute("aria-label", "find in this trace");
      this.matchCount = make("output", "wf-count");
      this.legend = make("div", "wf-legend");
      this.resetButton = button("Whole trace", "show the whole time (0)", () => this.zoom(...this.model.range));
      this.toolbar = make("div", "wf-bar", [
        this.searchBox,
        button("↑", "previous match (Shift+Enter)", () => this.nextMatch(-1)),
        button("↓", "next match (Enter)", () => this.nextMatch(1)),
        this.matchCount,
        button("Collapse all", "collapse every span", () => this.fold(true)),
        button("Expand all", "expand every span", () => this.fold(false)),
        this.resetButton,
        this.legend,
      ]);
      this.head = make("canvas", "wf-head");
      this.canvas = make("canvas", "wf-canvas");
      this.spacer = make("div", "wf-spacer");
      this.scroller = make("div", "wf-scroll", [this.canvas, this.spacer]);
      this.scroller.tabIndex = 0;
      this.scroller.setAttribute("role", "application");
      this.scroller.setAttribute("aria-roledescription", "trace waterfall");
      this.scroller.setAttribute("aria-label", "Spans of the trace. " + KEYS);
      this.split = make("div", "wf-split");
      this.split.title = "drag to widen the names";
      this.tip = make("div", "wf-tip");
      this.tip.hidden = true;
      this.chart = make("div", "wf-chart", [this.head, this.scroller, this.split, this.tip]);
      this.detail = make("aside", "wf-detail");
      this.detail.hidden = true;
      this.detail.setAttribute("aria-label", "the selected span");
      this.stage = make("div", "wf-stage", [this.chart, this.detail]);
      this.table = make("details", "wf-table", make("summary", "", "Spans as a table"));
      this.live = make("div", "wf-unseen");
      this.live.setAttribute("aria-live", "polite");
      this.root.replaceChildren(this.toolbar, this.stage, this.table, this.live);
      this.root.classList.add("wf");
    }

    listen() {
      const on = (target, name, act, options) => target.addEventListener(name, act.bind(this), options);
      on(this.scroller, "scroll", () => this.repaint(), { passive: true });
      on(this.scroller, "pointermove", this.onMove);
      on(this.scroller, "pointerleave", () => this.setHover(-1));
      on(this.scroller, "click", this.onClick);
      on(this.scroller, "dblclick", this.onDoubleClick);
      on(this.scroller, "wheel", this.onWheel, { passive: false });
      on(this.root, "keydown", this.onKey);
      on(this.searchBox, "input", () => this.search(this.searchBox.value));
      on(this.table, "toggle", () => this.fillTable());
      on(this.head, "pointerdown", this.onHeadDown);
      on(this.head, "dblclick", () => this.zoom(...this.model.range));
      on(this.split, "pointerdown", this.onSplitDown);
      on(window, "popstate", () => this.fromUrl());
      on(window, "resize", () => this.resize());
      new ResizeObserver(() => this.resize()).observe(this.chart);
      const retint = () => this.retint();
      matchMedia("(prefers-color-scheme: dark)").addEventListener("change", retint);
      const watcher = new MutationObserver(retint);
      for (const element of [document.documentElement, document.body]) {
        watcher.observe(element, { attributes: true, attributeFilter: ["class", "data-theme", "style"] });
      }
    }

    // -- what is shown ---------------------------------------------------------------------------
    draw(payload) {
      const before = this.model;
      const again = before && before.trace.trace_id === payload.trace_id;
      this.model = new sidelight.waterfallModel.Model(payload);
      const idOf = (index) => (index >= 0 ? before.spans[index].span_id : null);
      const indexOf = (id) => (this.model.byId.has(id) ? this.model.byId.get(id) : -1);
      if (again) {
        const wasWhole = this.view[0] === before.range[0] && this.view[1] === before.range[1];
        for (const index of before.collapsed) this.model.toggle(indexOf(idOf(index)), true);
        this.selected = indexOf(idOf(this.selected));
        if (wasWhole) this.view = this.model.range.slice();
        this.search(this.searchBox.value, false);
      } else {
        this.view = this.model.range.slice();
        this.selected = -1;
        this.scroller.scrollTop = 0;
        this.detail.hidden = true;
        this.searchBox.value = "";
        this.search("");
      }
      this.hover = -1;
      this.retint();
      this.resize();
      this.fillTable();
      if (!again) this.fromUrl();
      else if (!this.detail.hidden && this.selected >= 0) this.showDetail();
    }

    retint() {
      if (!this.model) return;
      this.colours = sidelight.waterfallPaint.readColours(this.root);
      this.fillLegend();
      this.repaint(true);
    }

    resize() {
      if (!this.model || !this.root.clientWidth) return; // hidden: the observer calls again
      // As high as the page has room for, but not higher than the trace needs (or the detail beside it).
      const page = this.root.closest(".page") || document.documentElement;
      const top = this.stage.getBoundingClientRect().top - page.getBoundingClientRect().top + page.scrollTop;
      const room = (page === document.documentElement ? window.innerHeight : page.clientHeight) - top - 52;
      const { ROW, AXIS, OVERVIEW } = sidelight.waterfallPaint;
      const need = Math.max(560, OVERVIEW + AXIS + (this.model.spans.length + 1) * ROW);
      this.stage.style.height = Math.max(320, Math.min(room, need)) + "px";
      this.width = this.scroller.clientWidth;
      this.nameWidth = Math.round(Math.min(Math.max(180, this.nameWidth), Math.max(180, this.width * 0.6)));
      this.split.style.left = this.nameWidth - 3 + "px";
      this.fitRows();
      this.repaint(true);
    }

    fitRows() {
      this.height = this.scroller.clientHeight;
      const whole = this.model.rows.length * sidelight.waterfallPaint.ROW;
      this.spacer.style.height = Math.max(0, whole - this.height) + "px";
    }

    place() {
      return sidelight.waterfallPaint.geometry(this.model, this.width, this.nameWidth, this.view);
    }

    repaint(head) {
      this.headToo = this.headToo || Boolean(head);
      if (this.waiting || !this.model) return;
      this.waiting = true;
      requestAnimationFrame(() => this.paint());
    }

    paint() {
      this.waiting = false;
      if (!this.width || !this.colours) return;
      const paint = sidelight.waterfallPaint;
      const place = this.place();
      const state = {
        scrollTop: this.scroller.scrollTop, height: this.height, hover: this.hover,
        selected: this.selected, found: this.foundSet, drag: this.drag,
      };
      this.painted = paint.paintRows(this.canvas, this.model, place, state, this.colours);
      if (this.headToo) paint.paintHead(this.head, this.model, place, state, this.colours);
      this.headToo = false;
      this.paints += 1;
      this.resetButton.disabled = this.view[0] === this.model.range[0] && this.view[1] === this.model.range[1];
    }

    fillLegend() {
      const { make } = sidelight.waterfallDetail;
      const entry = (colour, proxy, text) => {
        const mark = make("canvas", "wf-mark");
        sidelight.waterfallPaint.paintGlyph(mark, colour, proxy);
        return make("span", "wf-entry", [mark, text]);
      };
      const services = this.model.trace.services;
      const shown = services.slice(0, 12).map((service) =>
        entry(this.colours.services[service.colour], false, String(service.name).slice(0, 60))
      );
      if (services.length > 12) shown.push(make("span", "wf-entry", "+" + (services.length - 12) + " more"));
      this.legend.replaceChildren(...shown, entry(this.colours.muted, true, "proxy span"));
    }

    fillTable() {
      if (!this.table.open || !this.model) return;
      const table = sidelight.waterfallDetail.spanTable(this.model, TABLE_ROWS);
      this.table.replaceChildren(this.table.firstElementChild, table);
    }

    // -- selecting, folding, searching, zooming ---------------------------------------------------
    select(index, options) {
      const { detail, url } = Object.assign({ detail: false, url: true }, options);
      this.selected = index;
      if (index >= 0) {
        if (!this.model.rowOf.has(index)) {
          this.model.reveal(index);
          this.rowsChanged();
        }
        this.scrollTo(index);
        this.live.textContent = this.model.sentence(index);
        if (detail || !this.detail.hidden) this.showDetail();
      }
      if (url) this.toUrl();
      this.repaint();
    }

    selectId(id) {
      if (!this.model.byId.has(id)) return false;
      this.select(this.model.byId.get(id), { detail: true });
      return true;
    }

    showDetail() {
      this.detail.hidden = false;
      sidelight.waterfallDetail.showDetail(this.detail, this.model, this.selected, {
        close: () => this.closeDetail(),
        goTo: (id) => this.selectId(id),
      });
    }

    closeDetail() {
      this.detail.hidden = true;
      this.selected = -1;
      this.toUrl();
      this.scroller.focus({ preventScroll: true });
      this.repaint();
    }

    scrollTo(index) {
      const ROW = sidelight.waterfallPaint.ROW;
      const top = this.model.rowOf.get(index) * ROW;
      const margin = Math.min(2 * ROW, this.height / 4);
      if (top < this.scroller.scrollTop + margin) this.scroller.scrollTop = top - margin;
      else if (top + ROW > this.scroller.scrollTop + this.height - margin) {
        this.scroller.scrollTop = top + ROW - this.height + margin;
      }
    }

    rowsChanged() {
      this.fitRows();
      this.fillTable();
      this.repaint(true);
    }

    toggle(index, collapse) {
      if (!this.model.toggle(index, collapse)) return false;
      // The selection never hides: it moves to what was folded over it.
      if (this.selected >= 0 && !this.model.rowOf.has(this.selected)) this.select(index);
      this.rowsChanged();
      return true;
    }

    fold(all) {
      if (all) this.model.collapseAll();
      else this.model.expandAll();
      if (this.selected >= 0 && !this.model.rowOf.has(this.selected)) {
        let top = this.selected;
        while (this.model.parent[top] >= 0) top = this.model.parent[top];
        this.select(top);
      }
      this.rowsChanged();
    }

    search(text, move) {
      this.found = this.model ? this.model.search(text) : [];
      this.foundSet = new Set(this.found);
      this.foundAt = -1;
      this.matchCount.textContent = text.trim() ? this.found.length + " found" : "";
      if (move !== false && this.found.length && !this.foundSet.has(this.selected)) this.nextMatch(1);
      this.repaint();
    }

    nextMatch(step) {
      if (!this.found.length) return;
      const at = this.foundAt < 0 && step < 0 ? 0 : this.foundAt;
      this.foundAt = (at + step + this.found.length) % this.found.length;
      this.matchCount.textContent = this.foundAt + 1 + " of " + this.found.length;
      this.select(this.found[this.foundAt]);
    }

    zoom(from, to) {
      const [first, last] = this.model.range;
      const least = Math.max((last - first) / 1e6, 0.001);
      const width = Math.min(last - first, Math.max(least, to - from));
      const start = Math.min(Math.max(first, from), last - width);
      this.view = width >= last - first ? [first, last] : [start, start + width];
      this.repaint(true);
    }

    zoomBy(factor, around) {
      const [from, to] = this.view;
      const centre = around === undefined ? (from + to) / 2 : around;
      this.zoom(centre - (centre - from) * factor, centre + (to - centre) * factor);
    }

    // -- the URL: ?span=ID ------------------------------------------------------------------------
    toUrl() {
      const url = new URL(location.href);
      if (this.selected >= 0) url.searchParams.set("span", this.model.spans[this.selected].span_id);
      else url.searchParams.delete("span");
      if (url.href !== location.href) history.replaceState(history.state, "", url.href);
    }

    fromUrl() {
      const wanted = new URLSearchParams(location.search).get("span");
      if (!this.model || !wanted || !this.model.byId.has(wanted)) return;
      this.select(this.model.byId.get(wanted), { detail: true, url: false });
    }
  }

  sidelight.waterfall = {
    draw(element, payload) {
      if (!Waterfall.prototype.onKey) Object.assign(Waterfall.prototype, sidelight.waterfallInput);
      if (!element.waterfall) element.waterfall = new Waterfall(element);
      element.waterfall.draw(payload);
      return payload.spans.length;
    },
  };
})();
