/* Paints the rows, the time axis and the overview of a trace on canvases.
 *
 * Only what is visible is painted, in CSS pixels scaled by devicePixelRatio. Colours come from the
 * stylesheet's variables. All text goes through fillText: nothing here can become HTML.
 */
(function () {
  "use strict";
  const sidelight = (window.sidelight = window.sidelight || {});
  const ROW = 24;
  const AXIS = 24;
  const OVERVIEW = 40;
  const FONT = '12px system-ui, -apple-system, "Segoe UI", "Noto Sans", "DejaVu Sans", sans-serif';
  const BOLD = "600 " + FONT;
  const SMALL = FONT.replace("12px", "10px");
  const LABEL = 78; // room for the duration of a bar that reaches the end of the trace
  const LONGEST = 240; // characters of a name that are ever measured

  function readColours(element) {
    const style = getComputedStyle(element);
    const read = (name) => style.getPropertyValue("--wf-" + name).trim();
    return {
      ink: read("ink"), muted: read("muted"), line: read("line"), surface: read("surface"),
      hover: read("hover"), select: read("select"), found: read("found"), error: read("error"),
      onError: read("on-error"), warn: read("warn"), accent: read("accent"),
      services: Array.from({ length: 10 }, (_, index) => read("service-" + index)),
    };
  }

  /* Sizes a canvas for the screen's pixels; returns its context in CSS pixels. */
  function prepare(canvas, width, height) {
    const ratio = window.devicePixelRatio || 1;
    const wide = Math.max(1, Math.round(width * ratio));
    const high = Math.max(1, Math.round(height * ratio));
    if (canvas.width !== wide || canvas.height !== high) {
      canvas.width = wide;
      canvas.height = high;
      canvas.style.width = width + "px";
      canvas.style.height = height + "px";
    }
    const context = canvas.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    return context;
  }

  const fitted = new Map();

  /* The text, cut with an ellipsis to at most `width` pixels. */
  function fit(context, text, width) {
    if (width < 8) return "";
    const whole = String(text).slice(0, LONGEST);
    const key = context.font + "|" + Math.round(width) + "|" + whole;
    const known = fitted.get(key);
    if (known !== undefined) return known;
    let result = whole;
    if (context.measureText(whole).width > width) {
      let low = 0;
      let high = whole.length;
      while (low < high) {
        const middle = (low + high + 1) >> 1;
        if (context.measureText(whole.slice(0, middle) + "…").width <= width) low = middle;
        else high = middle - 1;
      }
      result = low ? whole.slice(0, low) + "…" : "";
    }
    if (fitted.size > 4000) fitted.clear();
    fitted.set(key, result);
    return result;
  }

  function hexagon(context, x, y, radius) {
    context.beginPath();
    for (let corner = 0; corner < 6; corner++) {
      const angle = (Math.PI / 3) * corner + Math.PI / 6;
      context.lineTo(x + radius * Math.cos(angle), y + radius * Math.sin(angle));
    }
    context.closePath();
  }

  function glyph(context, x, y, colour, proxy) {
    context.fillStyle = context.strokeStyle = colour;
    context.lineWidth = 1.5;
    if (proxy) {
      hexagon(context, x, y, 5.5);
      context.globalAlpha = 0.22;
      context.fill();
      context.globalAlpha = 1;
      context.stroke();
    } else {
      context.beginPath();
      context.roundRect(x - 4.5, y - 4.5, 9, 9, 2.5);
      context.fill();
    }
  }

  function errorMark(context, x, y, colours) {
    context.fillStyle = colours.error;
    context.beginPath();
    context.arc(x, y, 6, 0, Math.PI * 2);
    context.fill();
    context.fillStyle = colours.onError;
    context.fillRect(x - 0.9, y - 3.6, 1.8, 4.4);
    context.fillRect(x - 0.9, y + 1.9, 1.8, 1.8);
  }

  function warningMark(context, x, y, colours) {
    context.strokeStyle = colours.warn;
    context.lineWidth = 1.5;
    context.lineJoin = "round";
    context.beginPath();
    context.moveTo(x, y - 5);
    context.lineTo(x + 5.5, y + 4.5);
    context.lineTo(x - 5.5, y + 4.5);
    context.closePath();
    context.stroke();
    context.fillStyle = colours.warn;
    context.fillRect(x - 0.75, y - 2, 1.5, 3);
    context.fillRect(x - 0.75, y + 2, 1.5, 1.5);
  }

  function chevron(context, x, y, open, colour) {
    context.strokeStyle = colour;
    context.lineWidth = 1.5;
    context.beginPath();
    if (open) {
      context.moveTo(x - 3.5, y - 1.5); context.lineTo(x, y + 2); context.lineTo(x + 3.5, y - 1.5);
    } else {
      context.moveTo(x - 1.5, y - 3.5); context.lineTo(x + 2, y); context.lineTo(x - 1.5, y + 3.5);
    }
    context.stroke();
  }

  /* Where things lie on the x axis; one object for painting and for hit tests. */
  function geometry(model, width, nameWidth, view) {
    const left = nameWidth + 10;
    const right = Math.max(left + 20, width - LABEL);
    const scale = (right - left) / (view[1] - view[0]);
    const indent = Math.max(3, Math.min(14, (nameWidth - 190) / Math.max(1, model.maxDepth)));
    return {
      width, nameWidth, left, right, scale, view,
      x: (ms) => left + (ms - view[0]) * scale,
      ms: (x) => view[0] + (x - left) / scale,
      nameX: (span) => 16 + span.depth * indent,
    };
  }

  function gridLines(context, model, place, top, bottom, colours) {
    context.strokeStyle = colours.line;
    context.lineWidth = 1;
    const marks = sidelight.waterfallModel.ticks(place.view[0], place.view[1], (place.right - place.left) / 80);
    context.beginPath();
    for (const at of marks) {
      const x = Math.round(place.x(at)) + 0.5;
      if (x < place.left - 1 || x > place.right + 1) continue;
      context.moveTo(x, top);
      context.lineTo(x, bottom);
    }
    context.stroke();
    return marks;
  }

  function paintName(context, model, index, y, place, colours) {
    const span = model.spans[index];
    const middle = y + ROW / 2;
    const x = place.nameX(span);
    const service = model.trace.services[span.service_index];
    const colour = colours.services[service.colour];
    if (model.hasChildren(index)) {
      chevron(context, x - 1, middle, !model.collapsed.has(index), colours.muted);
    }
    glyph(context, x + 14, middle, colour, span.is_proxy);
    let at = x + 26;
    if (span.error) {
      errorMark(context, at + 5, middle, colours);
      at += 17;
    }
    if (span.warnings.length) {
      warningMark(context, at + 5, middle, colours);
      at += 17;
    }
    let stop = place.nameWidth - 8;
    if (span.is_proxy) {
      context.font = SMALL;
      context.fillStyle = colours.muted;
      context.textAlign = "right";
      context.fillText("proxy", stop, middle + 0.5);
      context.textAlign = "left";
      stop -= 34;
    }
    if (model.collapsed.has(index)) {
      const hidden = "+" + (model.end[index] - index - 1).toLocaleString("en");
      context.font = SMALL;
      const wide = context.measureText(hidden).width + 8;
      context.strokeStyle = colours.muted;
      context.lineWidth = 1;
      context.beginPath();
      context.roundRect(stop - wide, middle - 7.5, wide, 15, 7);
      context.stroke();
      context.fillStyle = colours.muted;
      context.fillText(hidden, stop - wide + 4, middle + 0.5);
      stop -= wide + 6;
    }
    context.font = BOLD;
    context.fillStyle = colours.ink;
    const title = fit(context, service.name, Math.min(stop - at, Math.max(60, (stop - at) * 0.55)));
    context.fillText(title, at, middle + 0.5);
    at += context.measureText(title).width + 7;
    context.font = FONT;
    context.fillStyle = colours.muted;
    context.fillText(fit(context, span.name, stop - at), at, middle + 0.5);
  }

  function paintBar(context, model, index, y, place, colours) {
    const span = model.spans[index];
    const middle = y + ROW / 2;
    const service = model.trace.services[span.service_index];
    const colour = colours.services[service.colour];
    const from = place.x(span.start_ms);
    const to = place.x(span.start_ms + (span.duration_ms || 0));
    const visibleFrom = Math.max(place.left, from);
    const visibleTo = Math.min(place.right, Math.max(to, from + 2));
    const outside = visibleTo < place.left || visibleFrom > place.right || visibleTo < visibleFrom;
    if (!outside) {
      const wide = Math.max(2, visibleTo - visibleFrom);
      context.fillStyle = context.strokeStyle = colour;
      context.beginPath();
      context.roundRect(visibleFrom, middle - 6, wide, 12, Math.min(3, wide / 2));
      context.globalAlpha = span.is_proxy ? 0.24 : 0.92;
      context.fill();
      context.globalAlpha = 1;
      if (span.is_proxy && wide > 3) {
        context.lineWidth = 1;
        context.stroke();
      }
      if (span.error) {
        context.fillStyle = colours.error;
        context.fillRect(visibleFrom - 1, middle - 8, 3, 16);
        context.fillRect(visibleFrom, middle + 6, wide, 2);
      }
    }
    const text = model.outcome(index);
    context.font = FONT;
    const wide = context.measureText(text).width;
    context.fillStyle = span.error ? colours.error : colours.muted;
    if (outside) {
      const before = to < place.left;
      context.textAlign = before ? "left" : "right";
      context.fillText(before ? "‹ " + text : text + " ›", before ? place.left : place.right, middle + 0.5);
      context.textAlign = "left";
    } else if (visibleTo + 7 + wide <= place.width - 4) {
      context.fillText(text, visibleTo + 7, middle + 0.5);
    } else if (visibleFrom - 7 - wide >= place.left) {
      context.fillText(text, visibleFrom - 7 - wide, middle + 0.5);
    } else {
      // No room beside the bar: on it, on a plate of the page's colour.
      const x = visibleTo - 6 - wide;
      context.fillStyle = colours.surface;
      context.globalAlpha = 0.86;
      context.beginPath();
      context.roundRect(x - 4, middle - 8, wide + 8, 16, 3);
      context.fill();
      context.globalAlpha = 1;
      context.fillStyle = span.error ? colours.error : colours.ink;
      context.fillText(text, x, middle + 0.5);
    }
  }

  /* The visible rows. `state`: {scrollTop, height, hover, selected, found:Set}. */
  function paintRows(canvas, model, place, state, colours) {
    const context = prepare(canvas, place.width, state.height);
    context.textBaseline = "middle";
    context.direction = "ltr";
    const first = Math.max(0, Math.floor(state.scrollTop / ROW));
    const last = Math.min(model.rows.length, Math.ceil((state.scrollTop + state.height) / ROW));
    for (let row = first; row < last; row++) {
      const index = model.rows[row];
      const y = row * ROW - state.scrollTop;
      const ground =
        index === state.selected ? colours.select
        : state.found.has(index) ? colours.found
        : row === state.hover ? colours.hover : null;
      if (ground) {
        context.fillStyle = ground;
        context.fillRect(0, y, place.width, ROW);
      }
    }
    gridLines(context, model, place, 0, Math.min(state.height, model.rows.length * ROW - state.scrollTop), colours);
    for (let row = first; row < last; row++) {
      const index = model.rows[row];
      const y = row * ROW - state.scrollTop;
      if (model.spans[index].error) {
        context.fillStyle = colours.error;
        context.fillRect(0, y + 1, 3, ROW - 2);
      }
      if (index === state.selected) {
        context.strokeStyle = colours.accent;
        context.lineWidth = 1;
        context.strokeRect(0.5, y + 0.5, place.width - 1, ROW - 1);
      }
      paintName(context, model, index, y, place, colours);
      paintBar(context, model, index, y, place, colours);
    }
    context.strokeStyle = colours.line;
    context.lineWidth = 1;
    context.beginPath();
    context.moveTo(place.nameWidth + 0.5, 0);
    context.lineTo(place.nameWidth + 0.5, state.height);
    context.stroke();
    return last - first;
  }

  /* The axis and, above it, the whole trace in small with the part on screen marked. */
  function paintHead(canvas, model, place, state, colours) {
    const context = prepare(canvas, place.width, OVERVIEW + AXIS);
    const whole = geometry(model, place.width, place.nameWidth, model.range);
    const step = (OVERVIEW - 8) / Math.max(1, model.rows.length);
    const high = Math.max(1, Math.min(3, step - 0.5));
    // Thousands of rows share a few pixels: every n-th is enough to see the shape, failed ones always.
    const every = Math.max(1, Math.floor(model.rows.length / 1500));
    model.rows.forEach((index, row) => {
      const span = model.spans[index];
      if (row % every && !span.error) return;
      const service = model.trace.services[span.service_index];
      context.fillStyle = span.error ? colours.error : colours.services[service.colour];
      context.globalAlpha = span.is_proxy && !span.error ? 0.4 : 0.85;
      const x = whole.x(span.start_ms);
      context.fillRect(x, 4 + row * step, Math.max(1, (span.duration_ms || 0) * whole.scale), high);
    });
    context.globalAlpha = 1;
    const zoomed = place.view[0] > model.range[0] || place.view[1] < model.range[1];
    if (zoomed || state.drag) {
      const [from, to] = (state.drag || place.view).map((ms) =>
        Math.min(whole.right, Math.max(whole.left, whole.x(ms)))
      );
      context.fillStyle = colours.surface;
      context.globalAlpha = 0.72;
      context.fillRect(whole.left, 0, from - whole.left, OVERVIEW);
      context.fillRect(to, 0, whole.right - to, OVERVIEW);
      context.globalAlpha = 1;
      context.strokeStyle = colours.accent;
      context.lineWidth = 1;
      context.strokeRect(from + 0.5, 0.5, Math.max(1, to - from - 1), OVERVIEW - 1);
    }
    const marks = gridLines(context, model, place, OVERVIEW + 17, OVERVIEW + AXIS, colours);
    context.font = SMALL.replace("10px", "11px");
    context.textBaseline = "middle";
    context.fillStyle = colours.muted;
    context.fillText("Span", 16, OVERVIEW + 11);
    let free = -Infinity;
    for (const at of marks) {
      const text = sidelight.waterfallModel.milliseconds(at);
      const wide = context.measureText(text).width;
      const x = Math.min(place.right - wide, Math.max(place.left, place.x(at) - wide / 2));
      if (x < free) continue;
      context.fillText(text, x, OVERVIEW + 9);
      free = x + wide + 10;
    }
    context.strokeStyle = colours.line;
    context.beginPath();
    context.moveTo(0, OVERVIEW + AXIS - 0.5);
    context.lineTo(place.width, OVERVIEW + AXIS - 0.5);
    context.moveTo(0, OVERVIEW - 0.5);
    context.lineTo(place.width, OVERVIEW - 0.5);
    context.moveTo(place.nameWidth + 0.5, 0);
    context.lineTo(place.nameWidth + 0.5, OVERVIEW + AXIS);
    context.stroke();
  }

  sidelight.waterfallPaint = {
    ROW, AXIS, OVERVIEW, readColours, geometry, paintRows, paintHead,
    /* The glyph of the legend, the same as in the rows. */
    paintGlyph(canvas, colour, proxy) {
      glyph(prepare(canvas, 14, 14), 7, 7, colour, proxy);
    },
  };
})();
