"""Who else configures SR-IOV on this machine: lines of other tools' files that make VFs, set their attributes, or
configure a card that can make them. Nothing is interpreted beyond that; a file that can't be read is a note."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from reconciler.host.platform import OwnerLine, OwnerName

_MOST_BYTES = 256 * 1024
"""Of each file; what makes VFs stands in small ones."""
_MOST_FILES = 400
"""Of each folder."""
_MOST_TEXT = 200
_MOST_IN_A_LINE = 8 * 1024
"""Characters; what comes after them in one line is not searched."""

_ANY = re.compile(
    r"sriov[-_]?(?:numvfs|num-vfs|totalvfs|drivers_autoprobe)|\bnumvfs\b|\bmax_vfs=|\[SR-IOV\]|^\s*\[sriov\]"
    r"|sriov-(?:total-vfs|vfs|autoprobe)|virtual-function-count|\bsriov[-_]pf\b|\bsriov[-_]vf\b|type:\s*sriov_"
    r"|SR-IOVVirtualFunctions|embedded-switch-mode|\bip\s+(?:-\S+\s+)*link\s+set\b.*\bvf\s+\d"
    r"|\bdevlink\b.*\beswitch\b|\bmstconfig\b|\bmlxconfig\b",
    re.IGNORECASE,
)
"""What is about VFs in any tool's own words: sysfs (sysfs.conf, rc.local, udev, tmpfiles), iproute2, systemd.link(5)
and systemd.network(5), netplan-yaml(5), nm-settings(5), os-net-config, the module parameter max_vfs."""

_FILES: tuple[tuple[OwnerName, str, str, bool], ...] = (
    ("NetworkManager", "etc/NetworkManager/system-connections", ".nmconnection", True),
    ("NetworkManager", "run/NetworkManager/system-connections", ".nmconnection", True),
    ("NetworkManager", "etc/sysconfig/network-scripts", "", True),
    ("systemd-networkd", "etc/systemd/network", "", True),
    ("systemd-networkd", "run/systemd/network", "", True),
    ("netplan", "etc/netplan", ".yaml", True),
    ("ifupdown", "etc/network/interfaces", "", True),
    ("ifupdown", "etc/network/interfaces.d", "", True),
    ("ifupdown", "etc/network/if-up.d", "", False),
    ("ifupdown", "etc/network/if-pre-up.d", "", False),
    ("rc.local", "etc/rc.local", "", False),
    ("rc.local", "etc/rc.d/rc.local", "", False),
    ("udev", "etc/udev/rules.d", ".rules", False),
    ("sysfsutils", "etc/sysfs.conf", "", False),
    ("sysfsutils", "etc/sysfs.d", ".conf", False),
    ("tmpfiles", "etc/tmpfiles.d", ".conf", False),
    ("systemd unit", "etc/systemd/system", ".service", False),
    ("os-net-config", "etc/os-net-config", "", True),
    ("sriov-network-operator", "etc/sriov-operator", "", True),
    ("sriov-network-operator", "host/etc/sriov-operator", "", True),
    ("cron", "etc/cron.d", "", False),
    ("cron", "etc/crontab", "", False),
)
"""Owner, file or folder, ending of its files, and whether it counts when a line only names a PF: in files whose purpose
is to configure interfaces. ``cron`` stands for ``@reboot`` lines."""

_OWN = re.compile(r"reconciler", re.IGNORECASE)
_COMMENT = ("#", ";", "//")


def read_owners(root: Path, pfs: Mapping[str, Sequence[str]], notes: list[str]) -> list[OwnerLine]:
    """Lines that say something about VFs or PFs; `pfs`: netdevs by PCI address."""
    names = [name for address, netdevs in pfs.items() for name in (address, *netdevs)]
    found: list[OwnerLine] = []
    for owner, place, ending, configures in _FILES:
        for path in _files(root / place, ending):
            if _OWN.search(path.name):
                continue  # Our own unit; modprobe.d is not searched at all.
            named = names if configures else []
            found += _lines(owner, root, path, names, named, notes)
    return found


def _files(place: Path, ending: str) -> Iterator[Path]:
    """The file itself, or the files in a folder, one level deep for drop-ins (``eth0.network.d/``)."""
    if place.is_file():
        yield place
        return
    try:
        entries = sorted(place.iterdir())[:_MOST_FILES]
    except OSError:
        return  # Not there, as mostly: this machine doesn't use that tool.
    for entry in entries:
        if entry.is_file() and entry.name.endswith(ending) and not entry.name.endswith(("~", ".dpkg-old", ".bak")):
            yield entry
        elif entry.is_dir() and entry.name.endswith(".d"):
            yield from (path for path in sorted(entry.glob("*.conf"))[:_MOST_FILES] if path.is_file())


def _lines(
    owner: OwnerName, root: Path, path: Path, names: Sequence[str], named: Sequence[str], notes: list[str]
) -> Iterator[OwnerLine]:
    """The lines of one file; of a file with a line about VFs, also the PFs that it names elsewhere."""
    shown = f"/{path.relative_to(root)}"
    try:
        with path.open("rb") as file:
            text = file.read(_MOST_BYTES).decode("utf-8", errors="replace")
            if file.read(1):
                notes.append(f"{shown} is large: only its first {_MOST_BYTES // 1024} KiB were searched.")
    except OSError as error:
        notes.append(f"{shown} can't be read: {error.strerror}. Whether it configures VFs is not known.")
        return
    cut = enumerate((line[:_MOST_IN_A_LINE] for line in text.splitlines()), 1)
    lines = [line for line in cut if not line[1].lstrip().startswith(_COMMENT)]
    elsewhere = sorted({name for _, line in lines for name in names if _has(line, name)} | _in(path.name, names))
    for number, line in lines:
        own = [name for name in names if _has(line, name)]
        if _ANY.search(line):
            yield OwnerLine(owner, shown, number, line.strip()[:_MOST_TEXT], own or elsewhere, makes_vfs=True)
        elif any(name in named for name in own):
            yield OwnerLine(owner, shown, number, line.strip()[:_MOST_TEXT], own)


def _in(text: str, names: Sequence[str]) -> set[str]:
    return {name for name in names if _has(text, name)}


def _has(line: str, name: str) -> bool:
    """Whether the name stands there as a word: ``enp1s0`` is not in ``enp1s0f1`` nor in ``enp1s0.100``."""
    return name in line and re.search(rf"(?<![\w.:]){re.escape(name)}(?!\w|[.:]\d)", line) is not None
