"""All that other tools' files say of this host's PFs, for a plan."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from reconciler.host.local.claims.cards import Cards
from reconciler.host.local.claims.clouds import read_clouds
from reconciler.host.local.claims.files import Files
from reconciler.host.local.claims.netplan import read_netplan
from reconciler.host.local.claims.networkd import read_networkd
from reconciler.host.local.claims.networkmanager import read_networkmanager
from reconciler.host.local.claims.scripts import read_scripts
from reconciler.host.local.claims.udev import read_udev
from reconciler.host.model import Claim, Owners, Pf

_Reader = Callable[[Files, Cards], Iterable[Claim]]
_READERS: dict[str, _Reader] = {
    "NetworkManager": read_networkmanager,
    "systemd-networkd": read_networkd,
    "netplan": read_netplan,
    "scripts": read_scripts,
    "udev": read_udev,
    "os-net-config and the SR-IOV network operator": read_clouds,
}


_ODD_FILES = 20
"""Of one tool, that are left out one after the other."""


def read_claims(root: Path, pfs: Mapping[str, Pf]) -> Owners:
    """Of all tools. Without a PF there is nothing to look for."""
    if not pfs:
        return Owners([])
    files, cards = Files(root), Cards(pfs)
    claims = [claim for name, read in _READERS.items() for claim in _claims(name, read, files, cards)]
    return Owners(claims, list(dict.fromkeys(files.unread)))


def _claims(name: str, read: _Reader, files: Files, cards: Cards) -> list[Claim]:
    """What one tool's files say. What is read here is other people's, and whatever reads the host comes by: a file that
    its reader stumbles over is left out and told, and the others are read without it."""
    for _ in range(_ODD_FILES):
        files.at = None
        try:
            return list(read(files, cards))
        except Exception as error:  # noqa: BLE001
            if files.at is None or files.at in files.left_out:
                break
            files.give_up(files.at, f"it could not be understood ({type(error).__name__})")
    files.unread.append(f"The files of {name} could not be understood. What they say of network cards is not known.")
    return []
