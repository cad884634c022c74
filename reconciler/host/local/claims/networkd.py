"""systemd.link(5) and systemd.network(5): the first file that matches a card counts, and drop-ins are added to it. Only
.link files make VFs (systemd-udevd); .network files set those that there are (systemd-networkd)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from reconciler.host.local.claims.cards import Cards, Source, canonical_mac, fits, id_path, names_of, value_of, vf_index
from reconciler.host.local.claims.files import Files
from reconciler.host.local.claims.ini import Section, read_sections
from reconciler.host.model import Claim, Pf

_FOLDERS = tuple(f"{f}/systemd/network" for f in ("etc", "run", "usr/local/lib", "usr/lib", "lib"))
_GENERATED = "-netplan-"
"""netplan writes these anew at each boot; what they say is told by its own files."""
_ATTRIBUTES = {
    "VLANId": "vlan",
    "QualityOfService": "qos",
    "VLANProtocol": "vlan_proto",
    "MACSpoofCheck": "spoofchk",
    "QueryReceiveSideScaling": "query_rss",
    "Trust": "trust",
    "LinkState": "link_state",
    "MACAddress": "mac",
}
_POLICIES = {"up": "up", "always-up": "up", "down": "down", "always-down": "down"}

Placed = tuple[Path, list[Section]]
"""Sections, and the file that they stand in."""


def read_networkd(files: Files, cards: Cards) -> Iterator[Claim]:
    """What the files in force say."""
    for ending in (".link", ".network"):
        parts = [(path, _with_drop_ins(files, path)) for path in files.layered(_FOLDERS, ending)]
        for pf in cards.pfs:
            for path, placed in parts:
                files.at = path
                fit = _fits(pf, [section for _, sections in placed for section in sections], ending)
                if fit is not False and _GENERATED not in path.name:
                    yield from _claims(files, pf, placed, ending)
                if fit:
                    break


def _with_drop_ins(files: Files, path: Path) -> list[Placed]:
    drop_ins = files.layered([f"{folder}/{path.name}.d" for folder in _FOLDERS], ".conf")
    texts = [(part, files.text(part)) for part in (path, *drop_ins)]
    return [(part, read_sections(text)) for part, text in texts if text is not None]


def _fits(pf: Pf, sections: list[Section], ending: str) -> bool | None:
    """Whether the file is about this card; ``None``: that also depends on what can't be told here. A file without any
    condition is ignored by systemd."""
    conditions = [(key, value) for section in sections if section.name == "Match" for key, value, _ in section.entries]
    merged: dict[str, list[str]] = {}
    for key, value in conditions:
        merged[key] = [*merged.get(key, []), *value.split()] if value else []  # An empty one forgets those before.
    answers = [_condition(pf, key, values, ending) for key, values in merged.items() if values]
    if not answers or False in answers:
        return False
    return None if None in answers else True


def _condition(pf: Pf, key: str, values: list[str], ending: str) -> bool | None:
    inverted = values[0].startswith("!")
    patterns = [values[0].removeprefix("!"), *values[1:]]
    if key in ("MACAddress", "PermanentMACAddress"):
        found = any(canonical_mac(value) == pf.mac for value in patterns)
    elif key in ("Name", "OriginalName", "Path", "Driver", "Type"):
        of: dict[str, Sequence[str | None]] = {"Path": [id_path(pf)], "Driver": [pf.driver], "Type": ["ether"]}
        found = any(fits(pattern, of.get(key, names_of(pf))) for pattern in patterns)
        if not found and key == "OriginalName" and any(fits(pattern, ["eth0"]) for pattern in patterns):
            return None  # The kernel's own name for it, which udev has changed by now.
    elif key in ("Kind", "WLANInterfaceType", "SSID", "BSSID"):
        found = False
    else:
        return None
    return found != inverted


def _claims(files: Files, pf: Pf, placed: list[Placed], ending: str) -> Iterator[Claim]:
    """The last word counts, whichever of the files it stands in."""
    if any(_says(section, "Unmanaged") is True for _, sections in placed for section in sections):
        return
    said: dict[tuple[int | None, str], Claim] = {}
    most: list[Claim] = []
    for path, sections in placed:
        source = Source("systemd-networkd", files.shown(path))
        for section in sections:
            if section.name == "Link":
                _link(source, pf, section, ending)
            elif section.name == "SR-IOV":
                _vf(source, pf, section)
            number, vf = _number(section)
            if ending == ".link" and vf is not None:
                most.append(Claim(source.owner, source.path, number, pf.id, "vfs", vf + 1))
        said |= {(claim.vf, claim.field): claim for claim in source}
    if most and (None, "vfs") not in said:  # As many as it sets, without a count of its own.
        said[None, "vfs"] = max(most, key=lambda claim: int(claim.value))
    yield from said.values()


def _says(section: Section, key: str) -> object:
    found = section.last(key) if section.name == "Link" else None
    return value_of("trust", found[0]) if found is not None else None


def _link(source: Source, pf: Pf, section: Section, ending: str) -> None:
    for key, value, line in section.entries:
        if key == "MTUBytes":
            source.say(pf, "mtu", value, line)
        elif key == "SR-IOVVirtualFunctions" and ending == ".link":
            source.say(pf, "vfs", value, line)
        elif key == "ActivationPolicy" and value in _POLICIES:
            source.say(pf, "link", _POLICIES[value], line)


def _vf(source: Source, pf: Pf, section: Section) -> None:
    _, vf = _number(section)
    if vf is not None:
        values = [(_ATTRIBUTES[key], value, line) for key, value, line in section.entries if key in _ATTRIBUTES]
        source.say_all(pf, vf, values)


def _number(section: Section) -> tuple[int, int | None]:
    """Line and number of the VF that a section is about."""
    found = section.last("VirtualFunction") if section.name == "SR-IOV" else None
    return (found[1], vf_index(found[0])) if found is not None else (0, None)
