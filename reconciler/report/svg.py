"""A small writer of SVG. Colours stand twice: as attributes, which every viewer knows, in the light version; and in a
style sheet, which goes before them, in the dark one, for viewers that follow the reader's choice."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape

FONT = "system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', Verdana, sans-serif"
PAPER, PANEL, CARD, LINE, INK, DIM = "paper", "panel", "card", "line", "ink", "dim"
GUEST, OFF, HOST, UNKNOWN, FREE = "guest", "off", "host", "unknown", "free"

THEME: dict[str, tuple[str, str]] = {
    PAPER: ("#ffffff", "#0d1117"),
    PANEL: ("#f3f5f8", "#161b22"),
    CARD: ("#ffffff", "#0d1117"),
    LINE: ("#c4ccd6", "#3d444d"),
    INK: ("#1b2027", "#e8edf3"),
    DIM: ("#57606b", "#9aa4af"),
    GUEST: ("#0063a8", "#58a6ff"),
    OFF: ("#0063a8", "#58a6ff"),
    HOST: ("#b34700", "#f0883e"),
    UNKNOWN: ("#8a3f78", "#dc8fc5"),
    FREE: ("#6b7785", "#8b96a3"),
}
"""(Light, dark). Blue, orange and reddish purple keep apart for the colour-blind, and each has a shape of its own."""
_WIDE, _NARROW = frozenset("MWmw@%—<>&+=~"), frozenset("iIl.,:;'|!()[]/ ·-fjrt")


BOLD = 1.1
"""How much wider a bold text is."""


def width(text: str, size: float) -> float:
    """About how wide a text is, in pixels: on the safe side for the usual sans-serif fonts."""
    return sum(_em(char) for char in text) * size


def _em(char: str) -> float:
    if unicodedata.east_asian_width(char) in "WF":
        return 1.05
    if unicodedata.combining(char):
        return 0.0
    return 0.9 if char in _WIDE else 0.4 if char in _NARROW else 0.63


def fit(text: str, room: float, size: float) -> str:
    """The text, cut to so many pixels."""
    if width(text, size) <= room:
        return text
    left = room - width("…", size)
    kept = 0
    for char in text:
        left -= _em(char) * size
        if left < 0:
            break
        kept += 1
    return f"{text[:kept].rstrip()}…"


class Svg:
    """Collects elements in the order in which they are painted."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._depth = 1

    def add(self, name: str, title: str = "", content: str | None = None, /, **attributes: object) -> None:
        """An element; ``title`` is shown when the pointer rests on it. In names of attributes ``_`` stands for ``-``;
        ``fill`` and ``stroke`` are roles of the theme."""
        inner = f"<title>{escape(title, quote=False)}</title>" if title else ""
        inner += escape(content, quote=False) if content is not None else ""
        opening = f"{name}{_written(attributes)}"
        self._line(f"<{opening}>{inner}</{name}>" if inner else f"<{opening}/>")

    @contextmanager
    def group(self, title: str = "", **attributes: object) -> Iterator[None]:
        """What is added within belongs together."""
        self._line(f"<g{_written(attributes)}>" + (f"<title>{escape(title, quote=False)}</title>" if title else ""))
        self._depth += 1
        yield
        self._depth -= 1
        self._line("</g>")

    def text(
        self, x: float, y: float, text: str, *, room: float = 0, size: float = 11, fill: str = INK, **more: object
    ) -> None:
        """A text on its base line; cut to ``room`` pixels (0: as long as it is), and then whole in its title."""
        if not text:
            return
        shown = fit(text, room, size * BOLD if "font_weight" in more else size) if room else text
        self.add("text", text if shown != text else "", shown, x=x, y=y, font_size=size, fill=fill, **more)

    def box(self, x: float, y: float, wide: float, high: float, **attributes: object) -> None:
        """A rectangle."""
        self.add("rect", x=x, y=y, width=wide, height=high, **attributes)

    def render(self, wide: float, high: float, title: str, description: str) -> str:
        """The whole file, with a background."""
        sheet = "".join(
            f".f-{role}{{fill:{dark}}}.s-{role}{{stroke:{dark}}}" for role, (_, dark) in sorted(THEME.items())
        )
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{_number(wide)}" height="{_number(high)}" '
            f'viewBox="0 0 {_number(wide)} {_number(high)}" font-family="{escape(FONT)}" role="img" '
            'aria-labelledby="title description">'
        )
        return "\n".join(
            [
                '<?xml version="1.0" encoding="UTF-8"?>',
                head,
                f' <title id="title">{escape(title, quote=False)}</title>',
                f' <desc id="description">{escape(description, quote=False)}</desc>',
                f" <style>@media (prefers-color-scheme: dark){{{sheet}}}.link:hover{{stroke-width:3}}</style>",
                f' <rect width="100%" height="100%" fill="{THEME[PAPER][0]}" class="f-{PAPER}"/>',
                *self._lines,
                "</svg>",
                "",
            ]
        )

    def _line(self, text: str) -> None:
        self._lines.append(" " * self._depth + text)


def _written(attributes: dict[str, object]) -> str:
    roles = [str(attributes.pop("role"))] if "role" in attributes else []
    found: list[str] = []
    for name, value in attributes.items():
        if name in ("fill", "stroke") and value in THEME:
            roles.append(f"{name[0]}-{value}")
            value = THEME[str(value)][0]
        shown = _number(value) if isinstance(value, (int, float)) else str(value)
        found.append(f' {name.replace("_", "-")}="{escape(shown)}"')
    return "".join(found) + (f' class="{escape(" ".join(roles))}"' if roles else "")


def _number(value: float) -> str:
    return f"{value:.1f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
