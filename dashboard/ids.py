"""The component ids that pages share.

A page's own ids stay in its module; an id listed here is a contract between modules. The stores
live in the shell (``dashboard/app.py``) and are always mounted, so a callback may read or write
them from any page. What must stay true: only the module named as the writer writes a store.
"""

from __future__ import annotations

# -- stores (dcc.Store in the shell) --------------------------------------------------------------
# {"kind": "node" | "edge", "id": "…"} or None. Written by the graph page (clicks, keys, URL) and by
# any "close" button.
SELECTION = "selection"
# The view state as `view_state.ViewState.to_json()` gives it. Written by the toolbar and the URL.
VIEW = "view"
# {"seq": int, "at": epoch seconds}: pushed by the server when data changed. Use it as the Input of
# whatever must stay live.
TICK = "tick"
# What the graph on screen knows about the selection: {"from", "to", "exact", "nodes": {id: node},
# "edges": {id: edge}} with nodes and edges exactly as /api/graph gives them: the selected element,
# the edges that touch it and the nodes at their ends (both empty without a selection; the whole graph
# would be hundreds of kilobytes a second). Written by the graph page whenever it changed.
GRAPH = "graph"

# -- the shell ------------------------------------------------------------------------------------
LOCATION = "url"  # dcc.Location, refresh="callback-nav": set its `href`/`pathname` to navigate
PAGE_GRAPH = "page-graph"
PAGE_TRACES = "page-traces"
PAGE_TRACE = "page-trace"
PAGE_STATUS = "page-status"

# -- slots another module fills -------------------------------------------------------------------
# html.Aside on the right of the graph; `pages/panel.py` gives its children by `layout(state)` and
# fills it by callbacks. The shell toggles `hidden` on it: shown while SELECTION is not None.
PANEL = "panel"
PANEL_CLOSE = "panel-close"  # a button inside the panel; the shell clears SELECTION when it is clicked
SUMMARY = "summary"
