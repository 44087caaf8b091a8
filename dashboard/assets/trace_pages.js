/* What the trace pages do in the browser: the search form and the URL, and when to ask for a trace again. */
(function () {
  "use strict";
  const sidelight = (window.sidelight = window.sidelight || {});
  const YOUNG_MS = 60000; // spans of a trace this recent may still be on their way
  const AGAIN_MS = 2000;
  const NAMES = ["service", "min_duration_ms", "errors", "window", "from", "to", "node", "edge"];
  const unchanged = () => window.dash_clientside.no_update;
  const page = { opened: null, asked: 0, id: null };

  function traceOf(path) {
    const match = /^\/traces\/([^/]+)\/?$/.exec(path || "");
    return match ? decodeURIComponent(match[1]).toLowerCase() : null;
  }

  function touched() {
    return window.dash_clientside.callback_context.triggered.map((each) => each.prop_id.split(".")[0]);
  }

  function young(held, tick) {
    if (!held || !held.time || !tick) return !held;
    return tick.at * 1000 - (Date.parse(held.time) + (held.duration_ms || 0)) < YOUNG_MS;
  }

  window.dash_clientside = Object.assign({}, window.dash_clientside, {
    sidelightTrace: {
      /* The trace to ask for: the path's, on arrival and on Reload, and every two seconds while it is young. */
      wanted(path, tick, _again, held) {
        const id = traceOf(path);
        if (!id) {
          page.id = null;
          return unchanged();
        }
        const now = Date.now();
        const opened = id !== page.id || touched().includes("trace-again");
        if (!opened && (now - page.asked < AGAIN_MS || !young(held && held.id === id ? held : null, tick))) return unchanged();
        page.id = id;
        page.asked = now;
        return { id, at: now };
      },
      draw(data, path) {
        const root = document.getElementById("trace-waterfall");
        if (!root) return unchanged();
        const fits = Boolean(data) && traceOf(path) === data.trace_id;
        root.hidden = !fits;
        if (fits && root.drawn !== data) {
          sidelight.waterfall.draw(root, data);
          root.drawn = data;
        }
        return unchanged();
      },
    },
    sidelightTraces: {
      /* URL → form on arrival; form → URL on a change. Both end in what to ask the server. */
      asked(_href, _search, _all, service, least, errors, span) {
        const none = Array(6).fill(unchanged());
        if (window.location.pathname !== "/traces") {
          page.opened = null;
          return none;
        }
        const url = new URL(window.location.href);
        const held = Object.fromEntries(NAMES.filter((name) => url.searchParams.get(name)).map((name) => [name, url.searchParams.get(name)]));
        const triggers = touched();
        if (page.opened !== url.href && (page.opened === null || triggers.includes("url"))) {
          page.opened = url.href;
          const asked = { window: "15m", ...held, at: Date.now() };
          const number = held.min_duration_ms === undefined ? null : Number(held.min_duration_ms);
          return [asked, held.service || "", Number.isFinite(number) ? number : null, held.errors === "1" ? ["1"] : [], asked.window, !(held.node || held.edge)];
        }
        if (triggers.length && triggers.every((id) => id === "url")) return none;
        const wanted = { ...held, service: service || "", min_duration_ms: least === null || least === undefined ? "" : String(least), errors: errors && errors.length ? "1" : "", window: span };
        if (triggers.includes("traces-window")) wanted.from = wanted.to = "";
        if (triggers.includes("traces-all")) wanted.node = wanted.edge = "";
        for (const name of NAMES) {
          if (wanted[name] && !(name === "window" && wanted[name] === "15m")) url.searchParams.set(name, wanted[name]);
          else url.searchParams.delete(name);
        }
        page.opened = url.href;
        window.history.replaceState(window.history.state, "", url.href);
        return [{ ...wanted, at: Date.now() }, ...none.slice(1, 5), !(wanted.node || wanted.edge)];
      },
      open(click) {
        const point = click && click.points && click.points[0];
        const id = point && point.customdata && point.customdata[0];
        return /^[0-9a-f]{32}$/.test(id || "") ? "/traces/" + id : unchanged();
      },
    },
  });
})();
