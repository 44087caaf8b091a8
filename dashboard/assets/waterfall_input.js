/* What pointer and keys do to the waterfall (assets/waterfall.js mixes these methods in).
 *
 * Hover, zoom and drag stay in the browser: no server hears of them. Every action that a pointer can do has
 * a key.
 */
(function () {
  "use strict";
  const sidelight = (window.sidelight = window.sidelight || {});

  sidelight.waterfallInput = {
    at(event) {
      const box = this.scroller.getBoundingClientRect();
      const x = event.clientX - box.left;
      const y = event.clientY - box.top + this.scroller.scrollTop;
      const row = Math.floor(y / sidelight.waterfallPaint.ROW);
      const index = row >= 0 && row < this.model.rows.length ? this.model.rows[row] : -1;
      return { x, row: index < 0 ? -1 : row, index };
    },

    onMove(event) {
      if (!this.model || event.buttons) return;
      const { x, row, index } = this.at(event);
      this.setHover(row);
      if (index < 0) return;
      const span = this.model.spans[index];
      const chevron = this.model.hasChildren(index) && Math.abs(x - this.place().nameX(span) + 1) < 9;
      this.scroller.style.cursor = chevron ? "pointer" : "default";
      this.showTip(event, index);
    },

    setHover(row) {
      if (row < 0) this.tip.hidden = true;
      if (row === this.hover) return;
      this.hover = row;
      this.repaint();
    },

    showTip(event, index) {
      const { make } = sidelight.waterfallDetail;
      const { milliseconds } = sidelight.waterfallModel;
      const span = this.model.spans[index];
      const flags = span.response_flags.map((flag) => {
        const known = this.model.trace.flags[flag];
        return make("p", "", flag + ": " + (known ? known.title : "another flag"));
      });
      this.tip.replaceChildren(
        make("p", "wf-tip-title", this.model.serviceName(span) + (span.is_proxy ? " · proxy" : "")),
        make("p", "wf-tip-name", String(span.name).slice(0, 160)),
        make("p", "", this.model.outcome(index)),
        make("p", "", "starts at +" + milliseconds(span.start_ms) + ", " + milliseconds(this.model.selfTime(index)) + " of its own"),
        ...flags,
        ...(span.error ? [make("p", "wf-tip-error", "failed")] : [])
      );
      this.tip.hidden = false;
      const box = this.chart.getBoundingClientRect();
      const x = event.clientX - box.left + 14;
      const y = event.clientY - box.top + 16;
      this.tip.style.left = Math.max(4, Math.min(x, box.width - this.tip.offsetWidth - 6)) + "px";
      this.tip.style.top = (y + this.tip.offsetHeight > box.height ? y - this.tip.offsetHeight - 26 : y) + "px";
    },

    onClick(event) {
      const { x, index } = this.at(event);
      this.tip.hidden = true;
      if (index < 0) return;
      const span = this.model.spans[index];
      if (Math.abs(x - this.place().nameX(span) + 1) < 9 && this.toggle(index)) return;
      this.select(index, { detail: true });
    },

    onDoubleClick(event) {
      const { x, index } = this.at(event);
      if (index < 0) return;
      if (x < this.nameWidth) return void this.toggle(index);
      const span = this.model.spans[index];
      const air = (span.duration_ms || 0.1) * 0.08;
      this.zoom(span.start_ms - air, span.start_ms + (span.duration_ms || 0.1) + air);
    },

    onWheel(event) {
      if (event.ctrlKey || event.metaKey || event.altKey) {
        event.preventDefault();
        this.zoomBy(Math.exp(event.deltaY * 0.0022), this.place().ms(this.at(event).x));
      } else if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
        const shift = ((event.deltaX || event.deltaY) * (this.view[1] - this.view[0])) / 900;
        if (this.view[0] === this.model.range[0] && this.view[1] === this.model.range[1]) return;
        event.preventDefault();
        this.zoom(this.view[0] + shift, this.view[1] + shift);
      }
    },

    drags(event, move, done) {
      event.preventDefault();
      const stop = () => {
        removeEventListener("pointermove", move);
        removeEventListener("pointerup", stop);
        if (done) done();
      };
      addEventListener("pointermove", move);
      addEventListener("pointerup", stop);
    },

    onSplitDown(event) {
      const left = this.chart.getBoundingClientRect().left;
      this.drags(event, (now) => {
        this.nameWidth = now.clientX - left;
        this.resize();
      });
    },

    onHeadDown(event) {
      const { geometry, OVERVIEW } = sidelight.waterfallPaint;
      const box = this.head.getBoundingClientRect();
      const overview = event.clientY - box.top < OVERVIEW;
      const scale = geometry(this.model, this.width, this.nameWidth, overview ? this.model.range : this.view);
      const msOf = (now) => scale.ms(Math.min(scale.right, Math.max(scale.left, now.clientX - box.left)));
      const start = msOf(event);
      if (event.clientX - box.left < this.nameWidth) return;
      this.drags(
        event,
        (now) => {
          this.drag = [start, msOf(now)].sort((one, other) => one - other);
          this.repaint(true);
        },
        () => {
          const drag = this.drag;
          this.drag = null;
          if (drag && (drag[1] - drag[0]) * scale.scale > 4) this.zoom(...drag);
          this.repaint(true);
        }
      );
    },

    onKey(event) {
      if (!this.model || event.altKey || event.ctrlKey || event.metaKey) return;
      if (event.key === "Escape") return void this.onEscape(event);
      if (event.target === this.searchBox) {
        if (event.key === "Enter") this.nextMatch(event.shiftKey ? -1 : 1);
        return;
      }
      if (event.key === "/" && event.target.tagName !== "INPUT") {
        event.preventDefault();
        this.searchBox.focus();
        return;
      }
      if (event.target === this.scroller && this.move(event.key)) event.preventDefault();
    },

    onEscape(event) {
      if (event.target === this.searchBox && this.searchBox.value) {
        this.searchBox.value = "";
        this.search("");
      } else if (!this.detail.hidden) this.closeDetail();
      else return;
      event.preventDefault();
      event.stopPropagation();
    },

    /* One key on the rows; true when it meant something. */
    move(key) {
      const model = this.model;
      const row = this.selected >= 0 ? model.rowOf.get(this.selected) : -1;
      const page = Math.max(1, Math.floor(this.height / sidelight.waterfallPaint.ROW) - 1);
      const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity };
      if (key in steps) {
        const wanted = row < 0 && Math.abs(steps[key]) === 1 ? 0 : row + steps[key];
        this.select(model.rows[Math.min(model.rows.length - 1, Math.max(0, wanted))]);
      } else if (key === "+" || key === "=") this.zoomBy(0.6);
      else if (key === "-") this.zoomBy(1 / 0.6);
      else if (key === "0") this.zoom(...model.range);
      else if (this.selected < 0) return false;
      else if (key === "ArrowRight") {
        if (!this.toggle(this.selected, false) && model.hasChildren(this.selected)) this.select(this.selected + 1);
      } else if (key === "ArrowLeft") {
        if (!this.toggle(this.selected, true) && model.parent[this.selected] >= 0) this.select(model.parent[this.selected]);
      } else if (key === "Enter" || key === " ") this.select(this.selected, { detail: true });
      else return false;
      return true;
    },
  };
})();
