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

_READERS: tuple[Callable[[Files, Cards], Iterable[Claim]], ...] = (
    read_networkmanager,
    read_networkd,
    read_netplan,
    read_scripts,
    read_udev,
    read_clouds,
)


def read_claims(root: Path, pfs: Mapping[str, Pf]) -> Owners:
    """Of all tools. Without a PF there is nothing to look for."""
    if not pfs:
        return Owners([])
    files, cards = Files(root), Cards(pfs)
    claims = [claim for read in _READERS for claim in read(files, cards)]
    return Owners(claims, list(dict.fromkeys(files.unread)))
