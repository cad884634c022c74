"""A picture of the host for Graphviz: ``dot -Tsvg``."""

from __future__ import annotations

from typing import Any

from reconciler.report.picture import Picture, Port, Run, Status, compose, several, short

_FILL: dict[Status, str] = {
    "guest": "#cfe2f7",
    "off": "#eaf2fb",
    "host": "#fbdcc4",
    "unknown": "#efd9ea",
    "free": "#ffffff",
}


def render_dot(document: dict[str, Any]) -> str:
    """A ``reconciler-inventory/1`` document in the DOT language."""
    picture = compose(document)
    guests = {name: f"guest{number}" for number, name in enumerate(picture.guests)}
    return "\n".join(
        [
            f"graph {_quoted(f'SR-IOV on {picture.title}')} {{",
            f"  graph [rankdir=LR, nodesep=0.1, ranksep=1.2, labelloc=t, label={_quoted(*_title(picture))}]",
            '  graph [fontname="sans-serif"]; node [fontname="sans-serif", fontsize=10, shape=box, style=filled]',
            '  node [fillcolor="#ffffff", color="#57606b"]; edge [color="#0063a8"]',
            *(line for line in _sockets(picture)),
            *(
                f"  {node} [label={_quoted(name, '' if picture.guests[name] else 'off')}, "
                f'shape=box, style="rounded{"" if picture.guests[name] else ",dashed"}"]'
                for name, node in guests.items()
            ),
            *(
                f"  pool{number} [label={_quoted(f'pool {pool.name}', pool.facts, pool.count, *pool.remarks)}, "
                "shape=folder]"
                for number, pool in enumerate(picture.pools)
            ),
            *_edges(picture, guests),
            "}",
            "",
        ]
    )


def _title(picture: Picture) -> list[str]:
    without = f"without a VF: {several(picture.without)}" if picture.without else ""
    return [picture.title, picture.summary, without, *picture.notes]


def _sockets(picture: Picture) -> list[str]:
    lines, number, cards = [], {id(port): n for n, port in enumerate(picture.ports)}, 0
    for place, socket in enumerate(picture.sockets):
        lines += [f"  subgraph cluster_socket{place} {{", f"    label={_quoted(socket.name)}"]
        for card in socket.cards:
            lines += [f"    subgraph cluster_card{cards} {{", f"      label={_quoted(card.name, card.address)}"]
            for port in card.ports:
                lines += [f"      {line}" for line in _port(port, number[id(port)])]
            lines.append("    }")
            cards += 1
        lines.append("  }")
    return lines


def _port(port: Port, number: int) -> list[str]:
    uses = f"the host uses it: {port.uses}" if port.uses else ""
    lines = [f'pf{number} [label={_quoted(port.name, port.facts, port.count, uses)}, fillcolor="#e4e8ee"]']
    for run in port.runs:
        node = f"pf{number}_{run.vfs[0]['index']}"
        lines.append(f'{node} [label={_quoted(run.label, _owner(run))}, fillcolor="{_FILL[run.status]}"]')
        lines.append(f'pf{number} -- {node} [color="#9aa4af"]')
    return lines


def _owner(run: Run) -> str:
    pools = f" (pool {', '.join(run.pools)})" if run.pools else ""
    return f"{run.owner}{pools}"


def _edges(picture: Picture, guests: dict[str, str]) -> list[str]:
    pools = {pool.name: f"pool{number}" for number, pool in enumerate(picture.pools)}
    lines = []
    for number, port in enumerate(picture.ports):
        for run in port.runs:
            node = f"pf{number}_{run.vfs[0]['index']}"
            for link in run.links:
                style = "solid" if link.running else "dashed"
                lines.append(f"  {node} -- {guests[link.guest]} [style={style}, label={_quoted(link.nic)}, fontsize=8]")
        lines += [f'  pf{number} -- {pools[name]} [style=dotted, color="#57606b"]' for name in port.pools]
    return lines


def _quoted(*lines: str) -> str:
    """A string of DOT with a line each. It knows HTML's entities, so ``&`` is written as one."""
    escaped = (short(line).replace("&", "&amp;").replace("\\", "\\\\").replace('"', '\\"') for line in lines if line)
    return '"' + "\\n".join(escaped) + '"'
