"""udev(7): rules that write to a card's files in sysfs, or run a shell that does."""

from __future__ import annotations

import re
from collections.abc import Iterator

from reconciler.host.local.claims.cards import Cards, Source, fits, id_path, names_of
from reconciler.host.local.claims.files import MOST_IN_A_LINE, Files
from reconciler.host.local.claims.shell import read_lines
from reconciler.host.model import Claim, Pf

_FOLDERS = tuple(f"{f}/udev/rules.d" for f in ("etc", "run", "usr/local/lib", "usr/lib", "lib"))
_TOKEN = re.compile(
    r"(?<![A-Z_])(?P<key>[A-Z_]++)(?:\{(?P<attribute>[^{}]*)\})?\s*(?P<op>==|!=|\+=|-=|:=|=)\s*[ei]*\"(?P<value>(?:[^\"\\]|\\.)*)\""
)
_DOES = ("ATTR{", "RUN", "PROGRAM")
"""What stands in a rule that does something to a card."""
_SETS = {
    "sriov_numvfs": "vfs",
    "device/sriov_numvfs": "vfs",
    "sriov_drivers_autoprobe": "autoprobe",
    "device/sriov_drivers_autoprobe": "autoprobe",
    "mtu": "mtu",
}
_NAME = ("INTERFACE", "ID_NET_NAME", "ID_NET_NAME_PATH", "ID_NET_NAME_SLOT", "ID_NET_NAME_ONBOARD")

_Token = tuple[str, str, str, str]
"""Key, attribute, operator, value."""


def read_udev(files: Files, cards: Cards) -> Iterator[Claim]:
    """All rules in force; a file of the same name in an earlier folder masks one in a later."""
    for path in files.layered(_FOLDERS, ".rules"):
        text = files.text(path)
        if text is None or ("sriov" not in text and "mtu" not in text and "link" not in text):
            continue
        source = Source("udev", files.shown(path))
        for number, line in _rules(text):
            if not any(key in line for key in _DOES):  # As nearly always: to take a rule apart takes longer.
                continue
            _rule(source, number, list(_tokens(line[:MOST_IN_A_LINE])), cards)
        files.say_what_is_not_followed(path, source.not_followed)
        yield from source


def _rules(text: str) -> Iterator[tuple[int, str]]:
    joined, start = "", 0
    for number, line in enumerate(text.splitlines(), 1):
        if not joined and line.lstrip().startswith("#"):
            continue
        start = start or number
        joined += line.removesuffix("\\")
        if not line.endswith("\\"):
            yield start, joined
            joined, start = "", 0
    if joined:
        yield start, joined


def _tokens(line: str) -> Iterator[_Token]:
    for match in _TOKEN.finditer(line):
        yield match["key"], match["attribute"] or "", match["op"], match["value"]


def _rule(source: Source, number: int, tokens: list[_Token], cards: Cards) -> None:
    does = [token for token in tokens if token[2] in ("=", "+=", ":=") and token[0] in ("ATTR", "RUN", "PROGRAM")]
    if not does:
        return
    conditions = [token for token in tokens if token[2] in ("==", "!=")]
    for pf in cards.pfs:
        if not _is_for(pf, conditions):
            continue
        for key, attribute, _, value in does:
            if key == "ATTR" and attribute in _SETS:
                source.say(pf, _SETS[attribute], value, number)
            elif key != "ATTR":
                read_lines(source, [(number, _substituted(value, pf, conditions))], cards)


def _is_for(pf: Pf, conditions: list[_Token]) -> bool:
    """Whether a rule is about this card, as far as can be told; conditions on other things are taken as met."""
    for key, attribute, op, value in conditions:
        known = _known(pf, key, attribute)
        if known is None:
            continue
        if any(fits(pattern, known) for pattern in value.split("|")) != (op == "=="):
            return False
    return True


def _known(pf: Pf, key: str, attribute: str) -> list[str | None] | None:
    """What a card answers to a condition; ``None``: it can't be told."""
    if key in ("KERNEL", "KERNELS", "NAME"):
        return [*names_of(pf), pf.device]
    if key in ("SUBSYSTEM", "SUBSYSTEMS"):
        return ["net", pf.bus]
    if key in ("DRIVER", "DRIVERS"):
        return [pf.driver]
    of_attributes: dict[str, str | None] = {
        "address": pf.mac,
        "vendor": f"0x{pf.vendor}",
        "device": f"0x{pf.device_id}",
        "device/vendor": f"0x{pf.vendor}",
        "device/device": f"0x{pf.device_id}",
    }
    if key in ("ATTR", "ATTRS"):
        return [of_attributes[attribute]] if attribute in of_attributes else None
    if key == "ENV" and attribute in _NAME:
        return [*names_of(pf)]
    of_environment = {"ID_NET_DRIVER": pf.driver, "DRIVER": pf.driver, "ID_PATH": id_path(pf)}
    of_environment["PCI_SLOT_NAME"] = pf.device
    return [of_environment[attribute]] if key == "ENV" and attribute in of_environment else None


def _substituted(value: str, pf: Pf, conditions: list[_Token]) -> str:
    """udev's own variables: device path and names."""
    on_pci = any(key == "SUBSYSTEM" and text == "pci" for key, _, _, text in conditions)
    path = f"/bus/pci/devices/{pf.device}" if on_pci else f"/class/net/{pf.netdev}"
    kernel = pf.device if on_pci else pf.netdev
    for old, new in (
        ("$devpath", path),
        ("%p", path),
        ("$env{DEVPATH}", path),
        ("$env{INTERFACE}", pf.netdev),
        ("$name", pf.netdev),
        ("$kernel", kernel),
        ("%k", kernel),
        ('\\"', '"'),
    ):
        value = value.replace(old, new)
    return value
