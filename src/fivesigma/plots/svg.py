"""Figures as SVG text that can stand inside an HTML page, next to others, on light and on dark."""

from __future__ import annotations

import hashlib
import re
from html import escape
from io import StringIO

from matplotlib import rc_context
from matplotlib.figure import Figure

from fivesigma.plots.style import INK, STYLE

__all__ = ["to_svg"]


def _rounded(match: re.Match[str]) -> str:
    return match[1] + re.sub(r"-?\d+\.\d+", lambda n: f"{float(n[0]):.1f}", match[2]) + '"'


def _shorter(text: str) -> str:
    """Drop what a browser does not need: prolog, comments, metadata, and most digits."""
    text = text[text.index("<svg") :]
    # the <style> inside would hold for the whole page, so its one rule goes to the root element
    text = re.sub(
        r"<!--.*?-->|<metadata>.*?</metadata>|<style.*?</style>", "", text, flags=re.DOTALL
    )
    text = re.sub(r'( d=")([^"]*)"', _rounded, text)
    return re.sub(r">\s+<", "><", text)


def _own_ids(text: str, prefix: str) -> str:
    """Keep only the ids that something refers to, and make them the figure's own."""
    used = set(re.findall(r'(?:href="#|url\(#)([^")]+)', text))
    text = re.sub(
        r' id="([^"]+)"', lambda m: f' id="{prefix}{m[1]}"' if m[1] in used else "", text
    )
    return re.sub(r'(href="#|url\(#)', rf"\g<1>{prefix}", text)


def to_svg(figure: Figure, description: str = "", prefix: str = "") -> str:
    """An `<svg>` element, transparent, with text and axes in the page's text colour.

    Letters are drawn as outlines: the page looks the same on every machine, whatever its fonts.

    Args:
        figure: what to draw.
        description: what is seen, for those who cannot see it; becomes the accessible name.
        prefix: of all ids; default: a hash of the figure, so that different figures never share
            one.

    Returns:
        The element, without XML prolog, scaled by its `viewBox`.

    Raises:
        ValueError: not a matplotlib Figure.
    """
    if not isinstance(figure, Figure):
        message = f"expected a matplotlib Figure, got {type(figure).__name__}"
        raise ValueError(message)
    stream = StringIO()
    with rc_context(STYLE):
        figure.savefig(
            stream, format="svg", facecolor="none", edgecolor="none", metadata={"Date": None}
        )
    text = _shorter(stream.getvalue()).replace(INK, "currentColor")
    text = _own_ids(text, prefix or f"f{hashlib.sha256(text.encode()).hexdigest()[:8]}-")
    name = f'role="img" aria-label="{escape(description)}"' if description else 'role="img"'
    head = re.sub(r' (width|height)="[^"]*"', "", text[: text.index(">")])
    return f'{head} stroke-linejoin="round" {name}{text[text.index(">") :].rstrip()}'
