/* One span in words: what it is, how it ended, every attribute, and ids to copy.
 *
 * Every string is put into the page as text (textContent), never as HTML: all of it comes from
 * whoever sends telemetry.
 */
(function () {
  "use strict";
  const sidelight = (window.sidelight = window.sidelight || {});

  /* An element with a class and either text or children. */
  function make(tag, name, content) {
    const element = document.createElement(tag);
    if (name) element.className = name;
    for (const part of [].concat(content === undefined || content === null ? [] : content)) {
      element.append(part); // a string becomes a text node
    }
    return element;
  }

  async function copyText(text) {
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch (_) {
      // No secure context (plain http on another host): the old way.
      const area = make("textarea", "wf-unseen");
      area.value = text;
      document.body.append(area);
      area.select();
      const done = document.execCommand("copy");
      area.remove();
      return done;
    }
  }

  function copyButton(text, label) {
    const button = make("button", "wf-copy", "copy");
    button.type = "button";
    button.setAttribute("aria-label", "copy " + label);
    button.addEventListener("click", async () => {
      button.textContent = (await copyText(text)) ? "copied" : "failed";
      setTimeout(() => (button.textContent = "copy"), 1200);
    });
    return button;
  }

  function facts(pairs) {
    const list = make("dl", "wf-facts");
    for (const [term, value] of pairs) {
      if (value === null || value === undefined || value === "") continue;
      list.append(make("dt", "", term), make("dd", "", value));
    }
    return list;
  }

  function section(title, content, open) {
    const box = make("details", "wf-section", [make("summary", "", title), content]);
    box.open = open !== false;
    return box;
  }

  function plain(value) {
    return typeof value === "string" ? value : JSON.stringify(value);
  }

  function attributeTable(attributes) {
    const keys = Object.keys(attributes).sort();
    if (!keys.length) return make("p", "wf-none", "none");
    const body = make("tbody");
    for (const key of keys) {
      const name = make("th", "", key);
      name.scope = "row";
      const value = make("td", "", plain(attributes[key]));
      value.dir = "auto";
      const tools = make("td", "wf-tools", copyButton(plain(attributes[key]), key));
      body.append(make("tr", "", [name, value, tools]));
    }
    return make("table", "wf-attributes", body);
  }

  function idRow(id, label) {
    return make("span", "wf-id", [make("code", "", id), copyButton(id, label)]);
  }

  function flagList(flags, meanings) {
    const list = make("ul", "wf-flags");
    for (const flag of flags) {
      const known = meanings[flag] || { title: "another flag", meaning: "" };
      list.append(make("li", "", [make("code", "", flag), " " + known.title + ". " + known.meaning]));
    }
    return list;
  }

  function eventList(events, milliseconds) {
    return make("div", "", events.map((event) =>
      make("div", "wf-event", [
        make("p", "", [make("span", "wf-offset", "+" + milliseconds(event.offset_ms)), " " + event.name]),
        attributeTable(event.attributes || {}),
      ])
    ));
  }

  function linkList(links) {
    return make("ul", "wf-links", links.map((link) => {
      const id = String(link.trace_id || "");
      if (!/^[0-9a-f]{32}$/.test(id)) return make("li", "", id);
      const anchor = make("a", "", id);
      const span = /^[0-9a-f]{16}$/.test(link.span_id || "") ? "?span=" + link.span_id : "";
      anchor.href = "/traces/" + id + span;
      return make("li", "", [anchor, attributeTable(link.attributes || {})]);
    }));
  }

  /* Fills `pane` with the span; `act` = {close(), goTo(spanId)}. */
  function showDetail(pane, model, index, act) {
    const { milliseconds, UNKNOWN } = sidelight.waterfallModel;
    const span = model.spans[index];
    const trace = model.trace;
    const close = make("button", "wf-close", "×");
    close.type = "button";
    close.setAttribute("aria-label", "close the span (Esc)");
    close.addEventListener("click", act.close);
    const name = make("p", "wf-name", span.name);
    name.dir = "auto";
    const head = make("header", "", [
      make("div", "", [make("h2", "", model.serviceName(span)), name]),
      close,
    ]);
    const code = span.status_code === 0 ? "0 (no response)" : span.status_code;
    const grpc = span.grpc_status === null || span.grpc_status === undefined ? null
      : (span.grpc_status + " " + ((trace.grpc_names || {})[span.grpc_status] || "")).trim();
    const whole = trace.duration_ms > 0 && span.duration_ms !== null
      ? " (" + Number(((100 * span.duration_ms) / trace.duration_ms).toPrecision(3)) + " % of the trace)" : "";
    const attempt = model.attempts.get(index);
    const parts = [
      head,
      span.error ? make("p", "wf-failed", "This span failed.") : null,
      facts([
        ["Reported by", span.is_proxy ? "proxy (Envoy)" : "application"],
        ["Kind", span.kind],
        ["Workload", [span.namespace, span.workload].filter(Boolean).join(" / ") || UNKNOWN],
        ["Version", span.version || UNKNOWN],
        ["Duration", milliseconds(span.duration_ms) + whole],
        ["Of its own", milliseconds(model.selfTime(index))],
        ["Starts at", "+" + milliseconds(span.start_ms)],
        ["Status", [span.status, span.status_message].filter(Boolean).join(": ")],
        ["HTTP code", code],
        ["gRPC status", grpc],
        ["Attempt", attempt ? attempt[0] + " of " + attempt[1] + " (the caller's proxy retried)" : null],
      ]),
    ];
    for (const warning of span.warnings) parts.push(make("p", "wf-warning", warning));
    if (span.response_flags.length) {
      parts.push(section("Response flags", flagList(span.response_flags, trace.flags)));
    }
    if (span.events.length) {
      parts.push(section("Events (" + span.events.length + ")", eventList(span.events, milliseconds)));
    }
    const count = Object.keys(span.attributes).length;
    parts.push(section("Attributes (" + count + ")", attributeTable(span.attributes)));
    parts.push(section("Resource", attributeTable(trace.resources[span.resource] || {}), false));
    if (span.links.length) parts.push(section("Links", linkList(span.links)));
    const parent = model.byId.has(span.parent_span_id) ? make("button", "wf-go", "show") : null;
    if (parent) {
      parent.type = "button";
      parent.addEventListener("click", () => act.goTo(span.parent_span_id));
    }
    parts.push(section("Ids", facts([
      ["Span", idRow(span.span_id, "span id")],
      ["Parent", span.parent_span_id
        ? make("span", "", [idRow(span.parent_span_id, "parent span id"), parent].filter(Boolean)) : "none: a root"],
      ["Trace", idRow(trace.trace_id, "trace id")],
    ])));
    const link = new URL(location.href);
    link.searchParams.set("span", span.span_id);
    const share = copyButton(link.href, "a link to this span");
    share.textContent = "copy";
    parts.push(make("p", "wf-share", ["Link to this span ", share]));
    pane.replaceChildren(...parts.filter(Boolean));
    pane.scrollTop = 0;
  }

  /* The first rows as a table, for screen readers and for copying. */
  function spanTable(model, limit) {
    const { milliseconds } = sidelight.waterfallModel;
    const rows = model.rows.slice(0, limit);
    const head = make("tr", "", ["Level", "Service", "Span", "Reported by", "Start", "Duration", "Outcome"].map((title) => {
      const cell = make("th", "", title);
      cell.scope = "col";
      return cell;
    }));
    const body = make("tbody", "", rows.map((index) => {
      const span = model.spans[index];
      const outcome = model.outcome(index).split(" · ").slice(1).join(" · ");
      return make("tr", "", [
        String(span.depth + 1), model.serviceName(span), String(span.name), span.is_proxy ? "proxy" : "application",
        "+" + milliseconds(span.start_ms), milliseconds(span.duration_ms),
        [span.error ? "failed" : "", outcome].filter(Boolean).join(" · ") || "–",
      ].map((text) => make("td", "", text)));
    }));
    const caption = make("caption", "", rows.length < model.rows.length
      ? "The first " + rows.length + " of " + model.rows.length.toLocaleString("en") + " visible spans"
      : "All " + rows.length + " visible spans");
    return make("table", "wf-spans", [caption, make("thead", "", head), body]);
  }

  sidelight.waterfallDetail = { make, showDetail, spanTable };
})();
