"""The two pages of logging in. They load nothing and run nothing."""

from __future__ import annotations

import html

LOGIN_PATH = "/login"

STYLE = """
:root { color-scheme: light dark; --page: #f6f7f9; --card: #fff; --ink: #1d2733; --soft: #66727f;
  --line: #dfe4ea; --accent: #2b7a78; font: 15px/1.5 Inter, system-ui, sans-serif }
@media (prefers-color-scheme: dark) { :root { --page: #12161b; --card: #1a2028; --ink: #e6ebf0;
  --soft: #95a1ae; --line: #2c3540; --accent: #5fb3ab } }
body { background: var(--page); color: var(--ink); display: grid; place-items: center; min-height: 100vh;
  margin: 0 }
form { background: var(--card); border: 1px solid var(--line); border-radius: 12px; padding: 2rem;
  width: 22rem; box-sizing: border-box }
h1 { font-size: 1.15rem; font-weight: 600; margin: 0 0 .4rem } p { color: var(--soft); margin: 0 0 1.2rem }
input, button { font: inherit; width: 100%; box-sizing: border-box; padding: .55rem .7rem;
  border-radius: 8px; border: 1px solid var(--line); background: transparent; color: inherit }
button { background: var(--accent); border-color: var(--accent); color: #fff; margin-top: .8rem;
  cursor: pointer; font-weight: 600 }
[role=alert] { color: #c8553d }
"""


def login_page(fault: str = "") -> str:
    """The form that asks for a token."""
    alert = f'<p role="alert">{html.escape(fault)}</p>' if fault else ""
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Sidelight</title>'
        '<meta name="viewport" content="width=device-width">'
        f'<style>{STYLE}</style><form method="post" action="{LOGIN_PATH}"><h1>Sidelight</h1>'
        "<p>This server asks for a token. It is in the file it was started with "
        f"(<code>--token-file</code>).</p>{alert}"
        '<input type="password" name="token" aria-label="Token" placeholder="Token" required autofocus '
        'autocomplete="current-password"><button>Open</button></form>'
    )


def moved_page() -> str:
    """Goes on to the dashboard, from our own site."""
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Sidelight</title>'
        '<meta http-equiv="refresh" content="0;url=/"><a href="/">Go on to Sidelight</a>'
    )
