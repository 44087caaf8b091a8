/* The shell: theme, navigation, how old the page is, and bringing a silent connection back.

   Dash gives its websocket up after about three minutes without an answer and says nothing. So the
   page watches the clock itself: no tick for a while → ask the server whether it lives; if it does, run
   a callback (that revives the socket); if that does not help, load the page again. */
(function () {
  "use strict";
  const sidelight = (window.sidelight = window.sidelight || {});
  const SILENT_MS = 7000;
  const RELOAD_MS = 60000;
  const RELOAD_TRIES = 5;
  const watch = { tick: Date.now(), live: true, tries: 0, asking: false };
  const dash = () => window.dash_clientside;

  function applyTheme(theme) {
    const root = document.documentElement;
    const before = root.dataset.theme || "auto";
    if (theme === "light" || theme === "dark") root.dataset.theme = theme;
    else delete root.dataset.theme;
    if (before !== (root.dataset.theme || "auto")) repaint();
  }
  function repaint() {
    if (sidelight.restyle) sidelight.restyle(true);
  }
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", repaint);
  const first = new URLSearchParams(window.location.search).get("theme");
  if (first) applyTheme(first);

  async function revive() {
    if (watch.asking) return;
    watch.asking = true;
    try {
      const answer = await fetch("/healthz", { cache: "no-store" });
      if (answer.ok) {
        watch.tries += 1;
        dash().set_props("revive", { data: Date.now() });
        if (watch.tries >= RELOAD_TRIES && Date.now() - watch.tick > RELOAD_MS) window.location.reload();
      }
    } catch (_error) {
      watch.tries = 0; // not there: the clock says so
    } finally {
      setTimeout(() => (watch.asking = false), 5000);
    }
  }

  setInterval(() => {
    const clock = document.getElementById("clock");
    if (!clock || document.hidden) return;
    const age = Date.now() - watch.tick, seconds = Math.round(age / 1000);
    const silent = age > SILENT_MS;
    clock.dataset.state = silent ? "silent" : watch.live ? "live" : "paused";
    clock.textContent = silent ? `no news for ${seconds} s` : watch.live ? (seconds < 3 ? "live" : `${seconds} s ago`) : "paused";
    if (silent) revive();
  }, 1000);
  // A page that slept in a background tab is not silent, it was not looking.
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden && Date.now() - watch.tick > SILENT_MS) watch.tick = Date.now() - SILENT_MS + 2500;
  });

  window.dash_clientside = Object.assign({}, window.dash_clientside, {
    sidelightShell: {
      ticked(_tick) {
        watch.tick = Date.now();
        watch.tries = 0;
        fetchPlotlyWhenIdle();
        return dash().no_update;
      },
      // Which page the path names: hidden flags of graph, traces, one trace, status, and link classes.
      route(path) {
        const name = path === "/traces" ? "traces" : (path || "").startsWith("/traces/") ? "trace" : path === "/status" ? "status" : "graph";
        const hidden = ["graph", "traces", "trace", "status"].map((page) => page !== name);
        const links = [name === "graph", name === "traces" || name === "trace", name === "status"].map((on) => "nav-link" + (on ? " is-here" : ""));
        return [...hidden, ...links];
      },
      show(view, _path) {
        const v = view || {};
        watch.live = v.live !== false;
        applyTheme(v.theme || "auto");
        const dark = v.theme === "dark" || (v.theme !== "light" && window.matchMedia("(prefers-color-scheme: dark)").matches);
        return [watch.live ? "Pause" : "Resume", "button live-toggle" + (watch.live ? "" : " is-paused"), dark ? "Light" : "Dark", !v.start, backToGraph(), !(v.node || v.edge)];
      },
    },
  });

  // Dash fetches plotly with the first figure and gives up after 30 s, which a busy laptop can need for 5 MB of
  // script. So `Plotly`, until it is there, is a promise without a limit, and whoever asks for it starts it:
  // Dash, or this page as soon as it is live and has nothing else to do.
  let plotly = null;
  function fetchPlotly() {
    if (plotly || !window._dashPlotlyJSURL) return plotly;
    plotly = new Promise((done, failed) => {
      const script = document.createElement("script");
      script.src = window._dashPlotlyJSURL;
      script.onload = done;
      script.onerror = () => {
        plotly = null; // the next figure tries again
        failed(new Error("plotly.js did not load"));
      };
      document.body.appendChild(script);
    });
    return plotly;
  }
  Object.defineProperty(window, "Plotly", {
    configurable: true,
    get: fetchPlotly,
    set: (loaded) => Object.defineProperty(window, "Plotly", { value: loaded, writable: true }),
  });
  let isIdleAwaited = false;
  function fetchPlotlyWhenIdle() {
    if (isIdleAwaited) return;
    isIdleAwaited = true;
    (window.requestIdleCallback || window.setTimeout)(() => Promise.resolve(window.Plotly).catch(() => {}));
  }

  // The link back to the graph as it was: where the browser left it.
  let left = "";
  function backToGraph() {
    if (window.location.pathname === "/") left = window.location.search;
    return "/" + left;
  }
})();
