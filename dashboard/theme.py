"""The colours, once, for light and dark; `stylesheet` gives them to the browser as variables.

Chosen calm and safe for the common kinds of colour blindness (teal, amber and vermilion differ in
lightness too), and never the only sign: numbers, dashes and borders say the same. What must stay true:
ink on page and on surface, and every health colour as text, contrast at least 4.5 to 1.
"""

from __future__ import annotations

LIGHT = {
    "page": "#f5f7f9",
    "surface": "#ffffff",
    "ink": "#1c2733",
    "muted": "#5b6875",
    "line": "#dfe5eb",
    "accent": "#2563a8",
    "accent-soft": "#e6eef8",
    "bad": "#b93a22",
    "box": "#eef2f5",
    "box-app": "#e6ecf1",
    "box-line": "#cbd5de",
    "edge": "#93a5b5",
    "edge-tcp": "#8f8bc4",
    "edge-degraded": "#d9a441",
    "edge-failing": "#cf5a3c",
    "healthy": "#1d8378",
    "degraded": "#8f5f00",
    "failing": "#b93a22",
    "idle": "#aeb8c2",
    "unknown": "#8795a3",
    "degraded-fill": "#fdf6e6",
    "failing-fill": "#fdeeea",
    "shadow": "0 1px 2px rgba(28, 39, 51, .06), 0 6px 20px rgba(28, 39, 51, .07)",
}

DARK = {
    "page": "#11161c",
    "surface": "#1a212a",
    "ink": "#e5ebf1",
    "muted": "#98a6b4",
    "line": "#2a343f",
    "accent": "#74aef0",
    "accent-soft": "#1d2d40",
    "bad": "#f08a6c",
    "box": "#161d24",
    "box-app": "#1c252e",
    "box-line": "#34414e",
    "edge": "#566676",
    "edge-tcp": "#7d79b8",
    "edge-degraded": "#a67c2c",
    "edge-failing": "#b85539",
    "healthy": "#4db8ab",
    "degraded": "#e0ac4b",
    "failing": "#f08a6c",
    "idle": "#465360",
    "unknown": "#7a8997",
    "degraded-fill": "#2b2517",
    "failing-fill": "#331f1a",
    "shadow": "0 1px 2px rgba(0, 0, 0, .3), 0 8px 24px rgba(0, 0, 0, .35)",
}


def stylesheet() -> str:
    """``/theme.css``: light, dark where the system says so, and each when the page is told to."""

    def rules(colours: dict[str, str]) -> str:
        return " ".join(f"--{name}: {value};" for name, value in colours.items())

    return (
        f":root {{ color-scheme: light; {rules(LIGHT)} }}\n"
        "@media (prefers-color-scheme: dark) { :root:not([data-theme=light]) "
        f"{{ color-scheme: dark; {rules(DARK)} }} }}\n"
        f":root[data-theme=dark] {{ color-scheme: dark; {rules(DARK)} }}\n"
    )
