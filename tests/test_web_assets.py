"""What the status page brings along."""

import re
from typing import Final

import pytest

from exporter.web.assets import POLICY, SCRIPT, STYLE

_COLOR: Final = r"--([a-z]+): (#[0-9a-f]{6});"
_DARK: Final = "@media (prefers-color-scheme: dark)"
TEXTS: Final = (*("text", "muted", "link", "running", "waiting", "good", "bad", "warn", "off"),)


def palettes() -> dict[str, dict[str, str]]:
    light, dark = STYLE.split(_DARK, 1)
    return {
        "light": dict(re.findall(_COLOR, light)),
        "dark": dict(re.findall(_COLOR, dark.split("}", 1)[0])),
    }


def luminance(color: str) -> float:
    """Give the relative luminance as WCAG 2.2 defines it."""
    channels = (int(color[at : at + 2], 16) / 255 for at in (1, 3, 5))
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(part * weight for part, weight in zip(linear, (0.2126, 0.7152, 0.0722), strict=True))


def contrast(one: str, other: str) -> float:
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def test_contrast_is_what_wcag_says() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("ground", ["page", "card", "hover"])
@pytest.mark.parametrize("name", TEXTS)
def test_text_can_be_read(scheme: str, ground: str, name: str) -> None:
    colors = palettes()[scheme]
    assert contrast(colors[name], colors[ground]) >= 4.5


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_edges_focus_and_bars_can_be_seen(scheme: str) -> None:
    colors = palettes()[scheme]
    assert contrast(colors["text"], colors["notice"]) >= 4.5
    for name in ("edge", "focus"):
        assert min(contrast(colors[name], colors[ground]) for ground in ("page", "card")) >= 3
    for name in ("running", "good", "bad", "off"):
        assert contrast(colors[name], colors["track"]) >= 3


def test_both_schemes_have_every_color_and_no_other_is_used() -> None:
    light, dark = palettes().values()
    assert light.keys() == dark.keys()
    assert set(re.findall(r"var\(--([a-z]+)\)", STYLE)) == light.keys()
    assert len(re.findall("#[0-9a-f]{6}", STYLE)) == 2 * len(light)


def test_neither_could_end_its_element_early() -> None:
    assert not re.search("</|<!--|<script", SCRIPT + STYLE, re.IGNORECASE)


def test_the_policy_allows_no_inline_code_but_its_own() -> None:
    directives = dict(part.split(" ", 1) for part in POLICY.split("; "))
    assert directives["default-src"] == "'none'"
    for name in ("script-src", "style-src"):
        assert re.fullmatch(r"'sha256-[A-Za-z0-9+/]{43}='", directives[name])
    assert "unsafe" not in POLICY
    assert not {"http:", "https:", "*"} & set(POLICY.split())
