"""A picture of the host as SVG: sockets with their cards on both sides, pools and guests between them, and a line from
each guest to its VFs. Pixels; y grows downwards."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from reconciler.report.picture import (
    WORDS,
    Card,
    Link,
    Picture,
    Pool,
    Port,
    Run,
    Socket,
    compose,
    describe,
    several,
    status_of,
)
from reconciler.report.svg import BOLD, CARD, DIM, FREE, GUEST, HOST, INK, LINE, OFF, PANEL, Svg, fit, width

_MARGIN, _GAP = 24, 14
_SIDE, _LANE, _MIDDLE = 440, 110, 330
"""Widths: a column of sockets, the lane for lines beside it, pools and guests."""
_INSET, _PAD = 10, 12
_ROW, _CELL, _PITCH = 19, 9, 12
_TOP = 112
_LEAST = 30
"""Pixels with less than which a text isn't begun."""
_IN_POOL, _TO_COME = ("free", "free, in a pool", True), ("unmade", "not made", False)
_UNMADE = 256
"""Places of VFs that could still be made are drawn up to so many."""


@dataclass(slots=True)
class _End:
    """Where a run's line begins."""

    x: float
    y: float
    right: bool
    """The guests are to the right of it."""
    port: Port
    run: Run
    link: Link


@dataclass(slots=True)
class _Box:
    """A guest."""

    name: str
    running: bool
    ends: list[_End]

    @property
    def height(self) -> float:
        return 20 if len(self.ends) == 1 else 26 + 15 * len(self.ends) + 3

    @property
    def wish(self) -> float:
        """Where it would best be, for its lines."""
        return sum(end.y for end in self.ends) / len(self.ends) - self.height / 2


def render_svg(document: dict[str, Any]) -> str:
    """A ``reconciler-inventory/1`` document as SVG, in light and, where the reader prefers it, in dark."""
    return _Drawing(compose(document)).render()


class _Drawing:
    def __init__(self, picture: Picture) -> None:
        self.picture = picture
        self.svg = Svg()
        self.ends: list[_End] = []
        left, right = picture.sockets[::2], picture.sockets[1::2]
        self.sides = [side for side in (left, right) if side]
        self.middle = bool(picture.guests or picture.pools)
        self.x_middle = _MARGIN + _SIDE + _LANE if left else _MARGIN
        wide = self.x_middle + (_MIDDLE if self.middle else -_LANE) + (_LANE + _SIDE if right else 0)
        self.wide = max(wide + _MARGIN, 860)

    def render(self) -> str:
        self._head()
        bottoms = [float(_TOP)]
        for number, sockets in enumerate(self.sides):
            x = _MARGIN if number == 0 else self.x_middle + (_MIDDLE + _LANE if self.middle else 0)
            bottoms.append(self._column(x, sockets, right=number == 0))
        bottoms.append(self._between())
        high = self._foot(max(bottoms))
        title = f"SR-IOV on {self.picture.title}"
        return self.svg.render(self.wide, high, title, f"{self.picture.summary}.".replace("..", "."))

    def _head(self) -> None:
        svg, room = self.svg, self.wide - 2 * _MARGIN
        svg.text(_MARGIN, 42, self.picture.title, room=room, size=22, font_weight=700)
        svg.text(_MARGIN, 64, self.picture.summary, room=room, size=13, fill=DIM)
        x = float(_MARGIN)
        for status, words, pooled in (*((status, words, False) for status, words in WORDS.items()), _IN_POOL, _TO_COME):
            self._glyph(x, 80, status, pooled=pooled)
            svg.text(x + 15, 89, words, size=11, fill=DIM)
            x += 15 + width(words, 11) + 12

    def _column(self, x: float, sockets: list[Socket], *, right: bool) -> float:
        y = float(_TOP)
        for socket in sockets:
            high = 32 + sum(_card_height(card) + _GAP for card in socket.cards)
            self.svg.box(x, y, _SIDE, high, rx=10, fill=PANEL, stroke=LINE)
            self.svg.text(x + _INSET + 2, y + 22, socket.name, size=13, font_weight=600)
            inner = y + 32
            for card in socket.cards:
                self._card(x + _INSET, inner, card, right=right)
                inner += _card_height(card) + _GAP
            y += high + _GAP
        return y - _GAP

    def _card(self, x: float, y: float, card: Card, *, right: bool) -> None:
        svg, wide = self.svg, _SIDE - 2 * _INSET
        svg.box(x, y, wide, _card_height(card), rx=7, fill=CARD, stroke=LINE)
        room = wide - 2 * _PAD
        address = fit(card.address, room / 2, 11)
        svg.text(x + wide - _PAD, y + 20, address, fill=DIM, text_anchor="end")
        svg.text(x + _PAD, y + 20, card.name, room=room - width(address, 11) - 10, size=12, font_weight=600)
        y += 30
        for port in card.ports:
            self.svg.add("path", d=f"M{x} {y:g}h{wide}", stroke=LINE, fill="none")
            self._port(x, y, port, right=right)
            y += _port_height(port)

    def _port(self, x: float, y: float, port: Port, *, right: bool) -> None:
        svg, wide = self.svg, _SIDE - 2 * _INSET
        room = wide - 2 * _PAD
        rest = room - width(port.count, 11) - 12
        svg.text(x + wide - _PAD, y + 22, port.count, text_anchor="end")
        svg.text(x + _PAD, y + 22, port.name, room=rest, size=14, font_weight=700)
        taken = min(width(port.name, 14 * BOLD), rest) + 8
        if port.pf["altnames"] and rest - taken > _LEAST:
            svg.text(x + _PAD + taken, y + 22, ", ".join(port.pf["altnames"]), room=rest - taken, fill=DIM)
        svg.text(x + _PAD, y + 38, port.facts, room=room, fill=DIM)
        y += 46
        if port.uses:
            svg.text(x + _PAD, y + 8, f"the host uses it: {port.uses}", room=room, fill=HOST)
            y += 16
        y = self._strip(x + _PAD, y + 4, port) + 5
        for run in port.runs:
            self._run(x, y, port, run, right=right)
            y += _ROW

    def _strip(self, x: float, y: float, port: Port) -> float:
        """All VFs as a grid, in the order of their numbers; those that could be made as dots."""
        across = _across()
        for place, vf in enumerate(port.pf["vfs"]):
            cell = x + place % across * _PITCH, y + place // across * _PITCH
            self._glyph(*cell, status_of(vf), describe(vf), pooled=bool(vf["pools"]))
        made, places = len(port.pf["vfs"]), _places(port)
        for place in range(made, places):
            self._glyph(x + place % across * _PITCH, y + place // across * _PITCH, "unmade")
        return y + _rows(places) * _PITCH

    def _run(self, x: float, y: float, port: Port, run: Run, *, right: bool) -> None:
        svg, wide = self.svg, _SIDE - 2 * _INSET
        self._glyph(x + _PAD, y + 5, run.status, pooled=bool(run.pools))
        svg.text(x + _PAD + 17, y + 13.5, run.label, room=80)
        end = x + wide - _PAD
        if run.pools:
            end = self._tag(end, y, ", ".join(run.pools)) - 8
        if run.details and run.status != "free":
            shown = fit(run.details, 130, 10)
            svg.text(end, y + 13.5, shown, size=10, fill=DIM, text_anchor="end")
            end -= width(shown, 10) + 8
        start = x + _PAD + 100
        fill = DIM if run.status == "free" else INK
        svg.text(start, y + 13.5, run.owner, room=max(end - start, 30), fill=fill)
        for one in run.links:
            edge = x + wide if right else x
            self.ends.append(_End(edge, y + _ROW / 2, right, port, run, one))

    def _tag(self, end: float, y: float, name: str) -> float:
        """The name of a pool, at the right; returns where it begins."""
        shown = fit(name, 110, 10)
        wide = width(shown, 10) + 12
        with self.svg.group(title=f"pool {name}"):
            self.svg.box(end - wide, y + 2, wide, 15, rx=7.5, fill=PANEL, stroke=LINE)
            self.svg.text(end - wide / 2, y + 13, shown, size=10, text_anchor="middle")
        return end - wide

    def _glyph(self, x: float, y: float, status: str, title: str = "", *, pooled: bool = False) -> None:
        """A VF: each status has a colour and a shape of its own."""
        svg, size = self.svg, _CELL
        frame = {"x": x + 0.5, "y": y + 0.5, "width": size - 1, "height": size - 1, "rx": 2}
        half = f"M{x + 1:g} {y + size - 1:g}V{y + 1:g}L{x + size - 1:g} {y + size - 1:g}Z"
        cross = f"M{x + 2.5:g} {y + 2.5:g}l4 4m0 -4l-4 4"
        middle = x + size / 2, y + size / 2
        with svg.group(title=title):
            match status:
                case "guest":
                    svg.box(x, y, size, size, rx=2, fill=GUEST)
                case "off":
                    svg.add("rect", **frame, fill=CARD, stroke=OFF)
                    svg.add("path", d=half, fill=OFF)
                case "host":
                    svg.box(x, y, size, size, rx=2, fill=HOST)
                    svg.add("path", d=cross, stroke=CARD, fill="none")
                case "unknown":
                    svg.add("rect", **frame, fill=CARD, stroke="unknown")
                    svg.add("path", d=cross, stroke="unknown", fill="none")
                case "unmade":
                    svg.add("circle", cx=middle[0], cy=middle[1], r=1.2, fill=FREE)
                case _:
                    svg.add("rect", **frame, fill=CARD, stroke=FREE)
                    if pooled:
                        svg.add("circle", cx=middle[0], cy=middle[1], r=1.5, fill=FREE)

    def _between(self) -> float:
        y = float(_TOP)
        for pool in self.picture.pools:
            y = self._pool(self.x_middle, y, pool) + _GAP
        boxes: dict[str, _Box] = {}
        for end in self.ends:
            name = end.link.guest
            boxes.setdefault(name, _Box(name, self.picture.guests[name], [])).ends.append(end)
        for box in sorted(boxes.values(), key=lambda box: box.wish):
            y = max(y, box.wish)
            self._guest(self.x_middle, y, box)
            y += box.height + 4
        return y

    def _pool(self, x: float, y: float, pool: Pool) -> float:
        svg, room = self.svg, _MIDDLE - 2 * _PAD
        high = 62 + 15 * len(pool.remarks)
        svg.box(x, y, _MIDDLE, high, rx=10, fill=PANEL, stroke=LINE)
        svg.text(x + _MIDDLE - _PAD, y + 21, pool.count, text_anchor="end")
        rest = room - width(pool.count, 11) - 10
        svg.text(x + _PAD, y + 21, f"pool {pool.name}", room=rest, size=13, font_weight=700)
        svg.text(x + _PAD, y + 37, pool.facts, room=room, fill=DIM)
        svg.box(x + _PAD, y + 46, room, 6, rx=3, fill=CARD, stroke=LINE)
        used, capacity = pool.pool["used"], pool.pool["capacity"]
        if used and capacity:
            svg.box(x + _PAD, y + 46, max(room * min(used / capacity, 1), 6), 6, rx=3, fill=GUEST)
        for number, remark in enumerate(pool.remarks):
            svg.text(x + _PAD, y + 68 + 15 * number, remark, room=room, fill=DIM)
        return y + high

    def _guest(self, x: float, y: float, box: _Box) -> None:
        svg = self.svg
        room: float = _MIDDLE - 2 * _PAD
        svg.box(
            x, y, _MIDDLE, box.height, rx=7, fill=CARD, stroke=GUEST, stroke_dasharray="none" if box.running else "4 3"
        )
        state = "" if box.running else "off"
        svg.text(x + _MIDDLE - _PAD, y + 14, state, fill=DIM, text_anchor="end")
        first, right = y + 14, x + _MIDDLE - _PAD
        one = len(box.ends) == 1
        name = room * 0.45 if one else room - 24
        svg.text(x + _PAD, first, box.name, room=name, size=12, font_weight=700)
        for number, end in enumerate(sorted(box.ends, key=lambda end: (not end.right, end.y))):
            line = first if one else y + 33 + 15 * number
            start = x + _PAD + (min(width(box.name, 12 * BOLD), name) + 12 if one else 0)
            told = f"{end.port.name} {end.run.label}"
            room = (right - 24 if one else right) - start
            svg.text(start, line, told, room=room * 0.6, fill=INK)
            nic = start + min(width(told, 11), room * 0.6) + 8
            svg.text(nic, line, end.link.nic, room=start + room - nic, fill=DIM)
            self._line(end, x if end.right else x + _MIDDLE, line - 4)

    def _line(self, end: _End, x: float, y: float) -> None:
        bend = (x - end.x) * 0.55
        self.svg.add(
            "path",
            f"{end.link.guest} · {end.port.name} {end.run.label} · {end.link.nic}",
            d=f"M{end.x:g} {end.y:g}C{end.x + bend:g} {end.y:g} {x - bend:g} {y:g} {x:g} {y:g}",
            stroke=GUEST,
            stroke_width=1.4,
            stroke_dasharray="none" if end.link.running else "4 3",
            fill="none",
            role="link",
        )

    def _foot(self, y: float) -> float:
        room = self.wide - 2 * _MARGIN
        lines = [(f"! {note}", HOST) for note in self.picture.notes]
        if self.picture.without:
            count = len(self.picture.without)
            verb = "guest has" if count == 1 else "guests have"
            lines.insert(0, (f"{count} {verb} no VF: {several(self.picture.without)}.", DIM))
        for number, (text, fill) in enumerate(lines):
            self.svg.text(_MARGIN, y + 26 + 17 * number, text, room=room, size=12, fill=fill)
        return y + 17 * len(lines) + 30


def _across() -> int:
    return int((_SIDE - 2 * _INSET - 2 * _PAD + _PITCH - _CELL) // _PITCH)


def _places(port: Port) -> int:
    made, total = len(port.pf["vfs"]), port.pf["total_vfs"] or 0
    return max(made, min(total, _UNMADE))


def _rows(places: int) -> int:
    return -(-places // _across())


def _port_height(port: Port) -> float:
    return 46 + (16 if port.uses else 0) + 4 + _rows(_places(port)) * _PITCH + 5 + _ROW * len(port.runs) + 6


def _card_height(card: Card) -> float:
    return 30 + sum(_port_height(port) for port in card.ports)
