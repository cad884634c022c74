"""Traffic of VFs per second as a table: a line for each VF that has a guest or traffic."""

from __future__ import annotations

from typing import Any

from reconciler.report.picture import status_of
from reconciler.report.style import Style, clean, plural, table
from reconciler.report.verdict import host_name

_COLUMNS = {
    "packets in": "rx_packets",
    "bytes in": "rx_bytes",
    "drops in": "rx_dropped",
    "packets out": "tx_packets",
    "bytes out": "tx_bytes",
    "drops out": "tx_dropped",
}
_NONE, _UNKNOWN = "-", "?"
_WORDS = {"guest": "", "process": "process ", "host": "the host: ", "unknown": "? "}


def render_rates(document: dict[str, Any], *, seconds: float, at: str, color: bool, height: int = 0) -> str:
    """What `reconciler.plan.rates` built, as text of at most so many lines (0: all). In and out are the VF's: what came
    to its guest, and what its guest sent. ``-``: the driver doesn't count it; ``?``: not known yet."""
    document, style = clean(document), Style(color)
    title = f"{host_name(document)}  {at}  per second, over {seconds:g} s"
    lines = [style.paint(title, "bold"), *_remarks(document, style)]
    told = [pf for pf in document["pfs"] if pf["source"] in ("rtnetlink", "ethtool")]
    rows = [(pf, vf) for pf in told for vf in pf["vfs"] if _matters(vf)]
    room = max(height - len(lines) - 4, 1) if height else len(rows)
    shown = sorted(sorted(rows, key=lambda row: -_traffic(row[1]))[:room], key=rows.index)
    if shown:
        head = ["PF", "VF", "held by", *_COLUMNS]
        rates = ([pf["netdev"], str(vf["index"]), _who(vf), *_cells(vf)] for pf, vf in shown)
        body = table(_to_the_right([head, *rates]))
        lines += ["", style.paint(body[0], "dim"), *body[1:]]
    if len(shown) < len(rows):
        lines.append(f"and {plural(len(rows) - len(shown), 'VF')} with less traffic: a higher terminal shows them")
    quiet = sum(len(pf["vfs"]) for pf in told) - len(rows)
    if quiet:
        lines.append(style.paint(f"{plural(quiet, 'VF')} that nobody has, without traffic", "dim"))
    return "\n".join(lines) + "\n"


def _remarks(document: dict[str, Any], style: Style) -> list[str]:
    """Of PFs that have no figures, and of libvirt."""
    told = []
    if not document["pfs"]:
        told.append("No PF was found (no network card whose driver can make VFs).")
    for pf in document["pfs"]:
        name, count = f"{pf['netdev']} ({pf['driver'] or 'no driver'})", plural(len(pf["vfs"]), "VF")
        if pf["source"] == "unknown":
            told.append(style.paint(f"{name}: the counters can't be read: {pf['problem']}", "yellow"))
        elif not pf["vfs"]:
            told.append(f"{name}: no VFs")
        elif pf["source"] == "none":
            told.append(f"{name}: this driver reports none ({count}, {pf['used_vfs']} in use)")
    if not document["libvirt"]["available"]:
        told.append(style.paint("libvirt could not be asked, so guests are not known.", "yellow"))
    return told


def _matters(vf: dict[str, Any]) -> bool:
    return status_of(vf) not in ("free", "off") or any(vf["rates"].values())


def _traffic(vf: dict[str, Any]) -> float:
    return float(sum(vf["rates"].get(name) or 0 for name in ("rx_bytes", "tx_bytes", "rx_packets", "tx_packets")))


def _who(vf: dict[str, Any]) -> str:
    told = [f"{_WORDS.get(holder['kind'], '')}{holder['who']}" for holder in vf["holders"]]
    return "; ".join(told) or _NONE


def _to_the_right(rows: list[list[str]]) -> list[list[str]]:
    """Rows with their figures one below the other."""
    first = len(rows[0]) - len(_COLUMNS)
    widths = [max(len(row[column]) for row in rows) for column in range(first, len(rows[0]))]
    return [row[:first] + [cell.rjust(wide) for cell, wide in zip(row[first:], widths, strict=True)] for row in rows]


def _cells(vf: dict[str, Any]) -> list[str]:
    rates = vf["rates"]
    if not rates:
        return [_UNKNOWN] * len(_COLUMNS)
    return [_NONE if name not in rates else per_second(rates[name]) for name in _COLUMNS.values()]


def per_second(value: float | None) -> str:
    """``0``, ``3.5``, ``812``, ``1.25 k``, ``48.3 M``."""
    if value is None:
        return _UNKNOWN
    for unit in ("", " k", " M", " G"):
        if value < 999.5 or unit == " G":
            break
        value /= 1000
    digits = 0 if value >= 99.95 else 1 if value >= 9.995 else 2
    text = f"{value:.{digits}f}"
    return f"{text.rstrip('0').rstrip('.') if '.' in text else text}{unit}"
