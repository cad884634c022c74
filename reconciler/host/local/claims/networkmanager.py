"""NetworkManager: connection profiles (nm-settings-keyfile(5)), those of the older ifcfg format, and the defaults for
devices in its own configuration (NetworkManager.conf(5))."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence

from reconciler.host.local.claims.cards import Cards, Source, canonical_mac, fits, id_path, names_of, vf_index
from reconciler.host.local.claims.files import MOST_IN_A_LINE, Files
from reconciler.host.local.claims.ini import Section, read_sections
from reconciler.host.model import Claim, Pf

_PROFILES = tuple(f"{f}/NetworkManager/system-connections" for f in ("run", "etc", "usr/lib"))
_CONFIGURATION = tuple(f"{f}/NetworkManager/conf.d" for f in ("run", "etc", "usr/lib"))
_IFCFG = "etc/sysconfig/network-scripts"
_ETHERNET = ("ethernet", "802-3-ethernet")
_VF_KEYS = {
    "mac": "mac",
    "spoof-check": "spoofchk",
    "trust": "trust",
    "min-tx-rate": "min_tx_rate",
    "max-tx-rate": "max_tx_rate",
}
_VLAN = re.compile(r"(?P<id>\d+)(?:\.(?P<qos>\d+)(?:\.(?P<proto>q|ad))?)?")
_ASSIGNMENT = re.compile(r"\s*(?:export\s+)?([A-Z_][A-Z0-9_]*)=(.*)")


def read_networkmanager(files: Files, cards: Cards) -> Iterator[Claim]:
    """Profiles, then defaults, which count only where a profile says nothing."""
    for path in files.layered(_PROFILES, ""):
        text = files.text(path)
        if text is not None:
            yield from _profile(Source("NetworkManager", files.shown(path)), read_sections(text), cards)
    for path in files.folder(_IFCFG):
        text = files.text(path) if path.name.startswith("ifcfg-") else None
        if text is not None:
            yield from _ifcfg(Source("NetworkManager", files.shown(path)), text, cards)
    main = files.root / "etc/NetworkManager/NetworkManager.conf"
    for path in (main, *files.layered(_CONFIGURATION, ".conf")):
        text = files.text(path)
        if text is not None:
            yield from _defaults(Source("NetworkManager", files.shown(path)), read_sections(text), cards)


def _profile(source: Source, sections: list[Section], cards: Cards) -> Source:
    by_name = {section.name: section for section in sections}
    kind = _value(by_name, "connection", "type")
    if kind and kind not in _ETHERNET:
        return source
    sriov = by_name.get("sriov")
    for pf in cards.pfs:
        if not _is_for(by_name, pf):
            continue
        for name in _ETHERNET:
            mtu = by_name[name].last("mtu") if name in by_name else None
            if mtu is not None and mtu[0] not in ("0", "auto"):
                source.say(pf, "mtu", *mtu)
        if sriov is not None:
            # A profile with this section and no number enforces 0 (nm-settings(5), total-vfs).
            source.say(pf, "vfs", *(sriov.last("total-vfs") or ("0", sriov.line)))
            autoprobe = sriov.last("autoprobe-drivers")
            if autoprobe is not None and autoprobe[0] != "-1":
                source.say(pf, "autoprobe", *autoprobe)
            for key, value, line in sriov.entries:
                if key.startswith("vf.") and (vf := vf_index(key[3:])) is not None:
                    _vf(source, pf, vf, value, line)
    return source


def _value(by_name: dict[str, Section], section: str, key: str) -> str:
    found = by_name[section].last(key) if section in by_name else None
    return found[0] if found is not None else ""


def _is_for(by_name: dict[str, Section], pf: Pf) -> bool:
    """Whether a profile can be activated on this card; one without conditions can be on any."""
    name = _value(by_name, "connection", "interface-name")
    if name and name not in names_of(pf):
        return False
    macs = [mac for section in _ETHERNET if (mac := _value(by_name, section, "mac-address"))]
    if macs and canonical_mac(macs[0]) != pf.mac:
        return False
    known: dict[str, Sequence[str | None]] = {
        "interface-name": names_of(pf),
        "path": [id_path(pf)],
        "driver": [pf.driver],
    }
    return all(_matches(_value(by_name, "match", key), values) for key, values in known.items())


def _matches(listed: str, values: Sequence[str | None]) -> bool:
    """A list of patterns of nm-settings' match: with ``!`` none of these, with ``&`` all, else one of them."""
    patterns = [item for item in re.split(r"[;,]", listed) if item.strip()]
    answers: list[bool] = []
    for item in patterns:
        pattern = item.strip().lstrip("|")
        needed = pattern.startswith("&")
        pattern = pattern.removeprefix("&")
        if pattern.startswith("!"):
            if fits(pattern[1:], values):
                return False
        elif fits(pattern.removeprefix("\\"), values):
            answers.append(True)
        elif needed:
            return False
        else:
            answers.append(False)
    return not answers or any(answers)


def _vf(source: Source, pf: Pf, index: int, text: str, line: int) -> None:
    """``mac=… spoof-check=true vlans=10.2.ad;20``. One without vlans gets none."""
    vlan = ("0", "0", "")
    for word in text.replace(",", " ").split():
        key, _, value = word.partition("=")
        if key in _VF_KEYS:
            source.say(pf, _VF_KEYS[key], value, line, index)
        elif key == "vlans" and (match := _VLAN.match(value)) is not None:
            vlan = (match["id"], match["qos"] or "0", match["proto"] or "")
    source.say_all(pf, index, [("vlan", vlan[0], line), ("qos", vlan[1], line)])
    if vlan[2]:
        source.say(pf, "vlan_proto", vlan[2], line, index)


def _ifcfg(source: Source, text: str, cards: Cards) -> Source:
    """Assignments of a shell (ifcfg-rh)."""
    found: dict[str, tuple[str, int]] = {}
    for number, written in enumerate(text.splitlines(), 1):
        match = _ASSIGNMENT.match(written[:MOST_IN_A_LINE])
        if match is not None:
            found[match[1]] = (_unquoted(match[2]), number)
    name, mac = found.get("DEVICE", ("", 0))[0], found.get("HWADDR", ("", 0))[0]
    for pf in cards.named(name) if name else cards.with_mac(mac) if mac else []:
        if mac and canonical_mac(mac) != pf.mac:
            continue
        for key, field in (("MTU", "mtu"), ("SRIOV_TOTAL_VFS", "vfs"), ("SRIOV_AUTOPROBE_DRIVERS", "autoprobe")):
            if key in found:
                source.say(pf, field, *found[key])
        for key, (text_of, line) in found.items():
            if key.startswith("SRIOV_VF") and (vf := vf_index(key[8:])) is not None:
                _vf(source, pf, vf, text_of, line)
    return source


def _unquoted(text: str) -> str:
    try:
        words = shlex.split(text, comments=True)
    except ValueError:
        return text.strip()
    return words[0] if words else ""


def _defaults(source: Source, sections: list[Section], cards: Cards) -> Source:
    for section in sections:
        count = section.last("sriov-num-vfs")
        if count is None or not section.name.startswith("device"):
            continue
        wanted = section.last("match-device")
        for pf in cards.pfs:
            if wanted is None or _device_spec(wanted[0], pf):
                source.say(pf, "vfs", *count)
    return source


def _device_spec(text: str, pf: Pf) -> bool:
    """A device list of NetworkManager.conf(5), as far as it can be told."""
    fit = False
    for item in (part.strip() for part in re.split(r"[;,]", text) if part.strip()):
        spec = item.removeprefix("except:")
        kind, _, value = spec.partition(":")
        if kind == "interface-name":
            same = fits(value.removeprefix("=").removeprefix("~"), names_of(pf))
        elif kind == "driver":
            same = fits(value.split("/")[0], [pf.driver])
        elif kind == "type":
            same = value == "ethernet"
        elif kind == "mac" or spec.count(":") == 5:
            same = canonical_mac(value if kind == "mac" else spec) == pf.mac
        else:
            same = fits(spec, names_of(pf))
        if same and item != spec:
            return False
        fit = fit or same
    return fit
