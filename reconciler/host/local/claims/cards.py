"""Which PF another tool means, by whatever it names it: interface, alternative name, MAC, path, PCI address, driver."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase

from reconciler.host.model import Claim, Pf
from reconciler.host.platform import OwnerName
from reconciler.state.checks import is_mac
from reconciler.state.desired import AttributeValue

_VF_NAME = re.compile(r"(?P<pf>.+?)_?v(?P<index>0|[1-9][0-9]{0,3})")
"""``enp1s0v3`` (systemd.net-naming-scheme(7)) and ``enp1s0_v3``."""
_SYSFS = (
    re.compile(r"/?(?:sys/)?class/net/(?P<name>[^/]+)/device/(?P<file>sriov_numvfs|sriov_drivers_autoprobe)"),
    re.compile(r"/?(?:sys/)?class/net/(?P<name>[^/]+)/(?P<file>mtu)"),
    re.compile(
        r"/?(?:sys/)?(?:bus/pci/devices|devices/.+|bus/pci/drivers/[^/]+)/(?P<name>[^/]+)/(?P<file>sriov_numvfs|sriov_drivers_autoprobe)"
    ),
    re.compile(r"/?(?:sys/)?devices/.+/net/(?P<name>[^/]+)/device/(?P<file>sriov_numvfs|sriov_drivers_autoprobe)"),
)
_MOST_PATTERN = 256
"""Characters: more than any name, path or address has. What is made of a longer pattern takes long."""
_INDEX = re.compile(r"[0-9]{1,5}")
_FIELDS = {"sriov_numvfs": "vfs", "sriov_drivers_autoprobe": "autoprobe", "mtu": "mtu"}

TRUE = ("1", "yes", "y", "true", "t", "on")
FALSE = ("0", "no", "n", "false", "f", "off")


class Cards:
    """The host's PFs."""

    def __init__(self, pfs: Mapping[str, Pf]) -> None:
        self.pfs = list(pfs.values())

    def named(self, pattern: str) -> list[Pf]:
        """By interface or alternative name, or PCI address; globs are allowed."""
        return [pf for pf in self.pfs if fits(pattern, [*names_of(pf), pf.device])]

    def with_mac(self, mac: str) -> list[Pf]:
        """By MAC, in any spelling."""
        return [pf for pf in self.pfs if pf.mac is not None and pf.mac == canonical_mac(mac)]

    def vf(self, netdev: str) -> tuple[Pf, int] | None:
        """The VF whose interface has this name now, or would have it by the predictable scheme."""
        for pf in self.pfs:
            for vf in pf.vfs:
                if vf.netdev == netdev:
                    return pf, vf.index
        match = _VF_NAME.fullmatch(netdev)
        if match is not None:
            for pf in self.pfs:
                if match["pf"] in names_of(pf):
                    return pf, int(match["index"])
        return None

    def at(self, path: str) -> tuple[list[Pf], str]:
        """The PFs and the field that a path in sysfs is about; globs are allowed. ``[], ""``: it is about none."""
        for pattern in reversed(_SYSFS):
            match = pattern.fullmatch(path)
            if match is not None and (found := self.named(match["name"])):
                return found, _FIELDS[match["file"]]
        return [], ""


def names_of(pf: Pf) -> list[str]:
    """Its interface's names."""
    return [pf.netdev, *pf.altnames]


def fits(pattern: str, values: Iterable[str | None]) -> bool:
    """Whether a shell-style pattern fits one of these."""
    if len(pattern) > _MOST_PATTERN:
        return False
    return any(value is not None and fnmatchcase(value, pattern) for value in values)


def vf_index(text: str) -> int | None:
    """The number of a VF; ``None`` for what is none: a variable, a typing error, more digits than a VF can have."""
    return int(text) if _INDEX.fullmatch(text) is not None else None


def id_path(pf: Pf) -> str:
    """``ID_PATH`` of udev (path_id): ``pci-0000:01:00.0``."""
    return f"{pf.bus}-{pf.device}"


def canonical_mac(text: str) -> str:
    """Lower case with colons."""
    return text.strip().strip('"').lower().replace("-", ":")


_MOST_LOOKED_AT = 1024 * 1024


class Source:
    """Makes the claims of one file. The last word on a field of a PF or VF counts."""

    def __init__(self, owner: OwnerName, path: str) -> None:
        self.owner = owner
        self.path = path
        self.found: dict[tuple[str, int | None, str], Claim] = {}
        self.left = _MOST_LOOKED_AT
        """Characters of shell that are still looked at, with each value of its variables."""
        self.not_followed: list[int] = []
        """Lines that may say something of a PF, and compute what."""

    def say(self, pf: Pf, field: str, value: str | int | bool, line: int, vf: int | None = None) -> None:
        """One claim, if the value is one that the field can have."""
        known = value_of(field, value)
        if known is not None:
            key = (pf.id, vf, field)
            self.found.pop(key, None)
            self.found[key] = Claim(self.owner, self.path, line, pf.id, field, known, vf)

    def say_all(self, pf: Pf, vf: int, values: Sequence[tuple[str, str | int | bool, int]]) -> None:
        """Attributes of one VF: name, value, line."""
        for field, value, line in values:
            self.say(pf, field, value, line, vf)

    def __iter__(self) -> Iterator[Claim]:
        return iter(self.found.values())


_NUMBERS = ("vfs", "mtu", "vlan", "qos", "min_tx_rate", "max_tx_rate")
_FLAGS = ("autoprobe", "spoofchk", "trust", "query_rss")
_PROTOCOLS = {"802.1q": "802.1Q", "q": "802.1Q", "802.1ad": "802.1ad", "ad": "802.1ad"}
_LINK_STATES = {"auto": "auto", "enable": "enable", "disable": "disable"}
_SIZE = re.compile(r"([0-9]{1,12})([KMG]?)")
"""parse_size of systemd with base 1024; the others' numbers have no letter."""


def value_of(field: str, value: str | int | bool) -> AttributeValue | None:
    """A value as the state file would write it; ``None`` for one that is none: a variable, a typing error."""
    if isinstance(value, int):
        return bool(value) if field in _FLAGS else int(value)
    text = value.strip().strip("\"'").strip()
    if field in _NUMBERS:
        match = _SIZE.fullmatch(text)
        return None if match is None else int(match[1]) * 1024 ** " KMG".index(match[2] or " ")
    low = text.lower()
    if field in _FLAGS:
        return True if low in TRUE else False if low in FALSE else None
    if field == "vlan_proto":
        return _PROTOCOLS.get(low)
    if field == "link_state":
        return "enable" if low in TRUE else "disable" if low in FALSE else _LINK_STATES.get(low)
    if field == "mac":
        return canonical_mac(text) if is_mac(canonical_mac(text)) else None
    return low if field == "link" and low in ("up", "down") else None
