"""Colours that can be read: text contrast in both themes, and both themes complete."""

from __future__ import annotations

import pytest

from dashboard.theme import DARK, LIGHT, stylesheet


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(a: str, b: str) -> float:
    light, dark = sorted((luminance(a), luminance(b)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize("text", ["ink", "muted", "degraded", "failing", "accent"])
@pytest.mark.parametrize("ground", ["page", "surface", "box"])
def test_text_can_be_read(theme: dict[str, str], text: str, ground: str) -> None:
    """Every text colour has a contrast of at least 4.5 to 1 on every ground it stands on."""
    assert contrast(theme[text], theme[ground]) >= 4.5


def test_both_themes_are_complete() -> None:
    """Both themes name the same colours, and the stylesheet gives them all."""
    assert LIGHT.keys() == DARK.keys()
    assert all(stylesheet().count(f"--{name}: ") == 3 for name in LIGHT)
