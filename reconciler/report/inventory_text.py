"""The inventory as text: one table with a heading per PF and a row per VF, then pools and modules."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from reconciler.report.style import Style, clean, listed, paragraph, plural, table
from reconciler.report.values import human
from reconciler.report.verdict import host_name

_NONE, _UNKNOWN = "-", "?"
_ALWAYS = ("VF", "PCI address", "driver", "held by")
"""Columns that are shown even when all of it is ``-``."""


def render_inventory(document: dict[str, Any], *, color: bool, width: int = 0) -> str:
    """A ``reconciler-inventory/1`` document as text. ``-``: there is none, or the driver doesn't report it;
    ``?``: it could not be read, and a note at the end says why."""
    document, style = clean(document), Style(color)
    blocks = [
        [_headline(document, style)],
        *_pfs(document, style),
        _pools(document, style),
        _modules(document, style),
        _notes(document, style, width),
    ]
    return "\n\n".join("\n".join(block) for block in blocks if block) + "\n"


def _headline(document: dict[str, Any], style: Style) -> str:
    pfs = document["pfs"]
    if not pfs:
        text = f"{host_name(document)}: no PF was found (no network card whose driver can make VFs)."
    else:
        made, used = sum(len(pf["vfs"]) for pf in pfs), sum(pf["used_vfs"] for pf in pfs)
        text = f"{host_name(document)}: {plural(len(pfs), 'PF')}, {plural(made, 'VF')}, {used} in use."
    taken = f"  (observed {document['taken_at']})" if document.get("taken_at") else ""
    return style.paint(text, "bold") + style.paint(taken, "dim")


def _shown(value: Any, missing: str = _NONE) -> str:
    return missing if value is None else str(value)


def _pfs(document: dict[str, Any], style: Style) -> list[list[str]]:
    """A block per PF. All tables have the same columns, each as wide as its widest cell in any of them."""
    pfs = document["pfs"]
    rows = [_row(vf) for pf in pfs for vf in pf["vfs"]]
    if not document["libvirt"]["available"]:
        rows = [{**row, "pool": _UNKNOWN} for row in rows]
    shown = [name for name in _COLUMNS if name in _ALWAYS or any(row[name] != _NONE for row in rows)]
    lines = table([shown, *([row[name] for name in shown] for row in rows)], indent=2) if rows else []
    head, body = lines[:1], iter(lines[1:])
    blocks = []
    for pf in pfs:
        own = [next(body) for _ in pf["vfs"]]
        title = [style.paint(line, "dim") for line in head] if own else []
        blocks.append([*_pf_heading(pf, style), *title, *own])
    return blocks


def _pf_heading(pf: dict[str, Any], style: Style) -> list[str]:
    names = f" ({', '.join(pf['altnames'])})" if pf["altnames"] else ""
    vendor = f" [{pf['vendor']}:{_shown(pf['device_id'], _UNKNOWN)}]" if pf["vendor"] else ""
    total = _shown(pf["total_vfs"], "no limit")
    facts = [
        f"{pf['device']}{vendor}",
        *([pf["card"]] if pf.get("card") else []),
        _driver(pf),
        f"NUMA node {_shown(pf['numa_node'])}",
        _link(pf),
        f"MTU {_shown(pf['mtu'], _UNKNOWN)}",
        f"VFs {_shown(pf['num_vfs'], _UNKNOWN)} of {total}, {pf['used_vfs']} in use",
    ]
    if pf["autoprobe"] is not None:
        facts.append(f"autoprobe {human('autoprobe', pf['autoprobe'])}")
    lines = [style.paint(f"{pf['netdev']}{names}", "bold", "cyan") + "  " + ", ".join(facts)]
    if pf["uses"]:
        uses = ", ".join(_use(use) for use in pf["uses"])
        lines.append("  " + style.paint(f"used by the host: {uses}", "yellow"))
    return lines


def _use(use: dict[str, Any]) -> str:
    """``address 192.0.2.1/24``; the way to the operator is a sentence by itself."""
    return str(use["detail"]) if use["kind"] in ("default-route", "ssh") else f"{use['kind']} {use['detail']}".rstrip()


def _driver(pf: dict[str, Any]) -> str:
    """``ixgbe``, or ``ixgbe 5.19.6, out of tree``."""
    name = _shown(pf["driver"], "no driver")
    return f"{name} {_shown(pf.get('driver_version'), '')}".rstrip() + (
        ", out of tree" if pf.get("out_of_tree") else ""
    )


def _link(pf: dict[str, Any]) -> str:
    if pf["up"] is None:
        return "link ?"
    if not pf["up"]:
        return "down"
    if not pf["carrier"]:
        return "up, no carrier"
    return f"up, {pf['speed']} Mbit/s" if pf["speed"] else "up, speed ?"


def _row(vf: dict[str, Any]) -> dict[str, str]:
    return {name: tell(vf) for name, tell in _COLUMNS.items()}


def _attribute(name: str) -> Callable[[dict[str, Any]], str]:
    def tell(vf: dict[str, Any]) -> str:
        if vf["attributes"] is None:
            return _UNKNOWN
        value = vf["attributes"].get(name)
        return _NONE if value is None else human(name, value)

    return tell


def _vlan(vf: dict[str, Any]) -> str:
    """``100``, with what is unusual: ``100 qos 3 802.1ad``."""
    values = vf["attributes"]
    if values is None:
        return _UNKNOWN
    if not values.get("vlan") and not values.get("qos"):
        return _NONE
    qos = f" qos {values['qos']}" if values.get("qos") else ""
    proto = values.get("vlan_proto")
    return f"{values.get('vlan', 0)}{qos}{f' {proto}' if proto and proto != '802.1Q' else ''}"


def _rate(vf: dict[str, Any]) -> str:
    """Mbit/s: ``1000``, or ``100..1000`` with a minimum. ``-``: no limit."""
    values = vf["attributes"]
    if values is None:
        return _UNKNOWN
    least, most = values.get("min_tx_rate") or 0, values.get("max_tx_rate") or 0
    if least:
        return f"{least}..{most or ''}"
    return str(most) if most else _NONE


def _held_by(vf: dict[str, Any]) -> str:
    told = [_holder(holder) for holder in vf["holders"]]
    told += [f"(off) {claim['domain']}{_in_brackets(claim['nic'])}" for claim in vf["claims"]]
    return "; ".join(told) or _NONE


def _in_brackets(text: str) -> str:
    return f" ({text})" if text else ""


def _holder(holder: dict[str, Any]) -> str:
    match holder["kind"]:
        case "guest":
            names = dict.fromkeys(name for name in (holder["nic"], holder["mac"]) if name)
            return f"{holder['who']}{_in_brackets(', '.join(names))}"
        case "process":
            return f"process {holder['who']}"
        case "host":
            return f"the host: {holder['who']}"
        case _:
            return f"{_UNKNOWN} {holder['who']}"


_COLUMNS: dict[str, Callable[[dict[str, Any]], str]] = {
    "VF": lambda vf: str(vf["index"]),
    "PCI address": lambda vf: _shown(vf["address"]),
    "driver": lambda vf: _shown(vf["driver"]),
    "IOMMU": lambda vf: _shown(vf["iommu_group"]),
    "netdev": lambda vf: _shown(vf["netdev"]),
    "MAC": _attribute("mac"),
    "VLAN": _vlan,
    "Mbit/s": _rate,
    "spoofchk": _attribute("spoofchk"),
    "trust": _attribute("trust"),
    "link": _attribute("link_state"),
    "pool": lambda vf: ", ".join(vf["pools"]) or _NONE,
    "held by": _held_by,
}


def _pools(document: dict[str, Any], style: Style) -> list[str]:
    if not document["pools"]:
        return []
    head = ["pool", "state", "autostart", "VFs", "used", "NICs", "from"]
    rows, remarks = [], []
    for pool in document["pools"]:
        state = "active" if pool["active"] else "inactive"
        source = pool["pf_dev"] or "a list of VFs"
        counts = [str(pool[name]) for name in ("capacity", "used", "nics")]
        rows.append([pool["name"], state, human("autostart", pool["autostart"]), *counts, source])
        if pool["nics"] > pool["capacity"]:
            more = f"{plural(pool['nics'], 'NIC')} of guests for {plural(pool['capacity'], 'VF')}"
            remarks.append(f"  {style.paint('!', 'bold', 'red')} {pool['name']}: {more}: not all can run at once.")
        if pool["missing"]:
            remarks.append(f"  {style.paint('!', 'bold', 'red')} {pool['name']}: no VF at {listed(pool['missing'])}.")
    lines = table([head, *rows], indent=2)
    return [style.paint("Pools", "bold"), style.paint(lines[0], "dim"), *lines[1:], *remarks]


def _modules(document: dict[str, Any], style: Style) -> list[str]:
    modules = document["modules"]
    loaded = _UNKNOWN if modules["loaded"] is None else ", ".join(modules["loaded"]) or _NONE
    if modules["blacklist"] is None:
        listed_ = [_UNKNOWN]
    else:
        listed_ = [f"{entry['module']} ({_file(entry)})" for entry in modules["blacklist"]]
    listed_ += [f"{module} (by reconciler)" for module in modules["own"] or []]
    rows = [["loaded", loaded], ["blacklisted", ", ".join(listed_) or _NONE]]
    return [style.paint("VF modules", "bold"), *table(rows, indent=2)]


def _file(entry: dict[str, Any]) -> str:
    return f"{entry['file']}:{entry['line']}" if entry["line"] else entry["file"]


def _notes(document: dict[str, Any], style: Style, width: int) -> list[str]:
    notes = list(document["notes"])
    libvirt = document["libvirt"]
    if not libvirt["available"]:
        notes.insert(0, f"libvirt could not be asked, so guests and pools are not known. {libvirt['reason']}".rstrip())
    notes = list(dict.fromkeys(notes))
    lines = [line for note in notes for line in paragraph(f"- {note}", indent=2, hang=2, width=width)]
    return [style.paint("Notes", "bold"), *lines] if lines else []
