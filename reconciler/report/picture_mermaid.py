"""A picture of the host as a Mermaid flowchart, which GitHub and GitLab draw in Markdown."""

from __future__ import annotations

from typing import Any

from reconciler.report.picture import Picture, Port, Status, compose, several, short

_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 .,:;-_/()!?+·–")
_CLASSES: dict[Status, str] = {
    "guest": "fill:#cfe2f7,stroke:#0063a8,color:#1b2027",
    "off": "fill:#eaf2fb,stroke:#0063a8,color:#1b2027,stroke-dasharray:4 3",
    "host": "fill:#fbdcc4,stroke:#b34700,color:#1b2027",
    "unknown": "fill:#efd9ea,stroke:#8a3f78,color:#1b2027",
    "free": "fill:#ffffff,stroke:#6b7785,color:#1b2027",
}


def render_mermaid(document: dict[str, Any]) -> str:
    """A ``reconciler-inventory/1`` document as a flowchart."""
    picture = compose(document)
    guests = {name: f"guest{number}" for number, name in enumerate(picture.guests)}
    without = f"without a VF: {several(picture.without)}" if picture.without else ""
    lines = ["flowchart LR", f"  host[{_label(picture.title, picture.summary, without, *picture.notes)}]"]
    lines += _sockets(picture)
    for name, node in guests.items():
        runs = picture.guests[name]
        lines.append(f"  {node}([{_label(name, '' if runs else 'off')}]):::{'guest' if runs else 'off'}")
    for number, pool in enumerate(picture.pools):
        label = _label(f"pool {pool.name}", pool.facts, pool.count, *pool.remarks)
        lines.append(f"  pool{number}[/{label}/]")
    lines += _edges(picture, guests)
    return "\n".join([*lines, *(f"  classDef {name} {style}" for name, style in _CLASSES.items()), ""])


def _sockets(picture: Picture) -> list[str]:
    lines, ports, cards = [], 0, 0
    for place, socket in enumerate(picture.sockets):
        lines.append(f"  subgraph socket{place}[{_label(socket.name)}]")
        for card in socket.cards:
            lines.append(f"    subgraph card{cards}[{_label(f'{card.name}, {card.address}')}]")
            cards += 1
            for port in card.ports:
                lines += [f"      {line}" for line in _port(port, ports)]
                ports += 1
            lines.append("    end")
        lines.append("  end")
    return lines


def _port(port: Port, number: int) -> list[str]:
    uses = f"the host uses it: {port.uses}" if port.uses else ""
    lines = [f"pf{number}[{_label(port.name, port.facts, port.count, uses)}]"]
    for run in port.runs:
        pools = f"pool {', '.join(run.pools)}" if run.pools else ""
        node = f"pf{number}v{run.vfs[0]['index']}"
        lines.append(f"pf{number} --- {node}[{_label(run.label, run.owner, pools)}]:::{run.status}")
    return lines


def _edges(picture: Picture, guests: dict[str, str]) -> list[str]:
    pools = {pool.name: f"pool{number}" for number, pool in enumerate(picture.pools)}
    lines = []
    for number, port in enumerate(picture.ports):
        for run in port.runs:
            node = f"pf{number}v{run.vfs[0]['index']}"
            for link in run.links:
                arrow = "---" if link.running else "-.-"
                told = f"|{_label(link.nic)}|" if link.nic else ""
                lines.append(f"  {node} {arrow}{told} {guests[link.guest]}")
        lines += [f"  pf{number} -.- {pools[name]}" for name in port.pools]
    return lines


def _label(*lines: str) -> str:
    """A text in quotes with a line each. What could mean something to Mermaid or HTML is written as ``#NUMBER;``."""
    escaped = ("".join(char if _is_plain(char) else f"#{ord(char)};" for char in short(line)) for line in lines if line)
    return '"' + "<br/>".join(escaped) + '"'


def _is_plain(char: str) -> bool:
    return char in _PLAIN or (ord(char) > 0x7F and char.isalnum())
