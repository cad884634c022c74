"""netplan-yaml: all files are merged in the order of their names, whatever folder they are in; a later file's key goes
before an earlier one's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from reconciler.host.local.claims.cards import Cards, Source, canonical_mac, fits, names_of
from reconciler.host.local.claims.files import Files
from reconciler.host.local.claims.yaml_tree import Tree, read_yaml
from reconciler.host.model import Claim, Pf

_FOLDERS = ("run/netplan", "etc/netplan", "lib/netplan", "usr/lib/netplan")


@dataclass(slots=True)
class _Definition:
    """A merged definition of an interface: each key with the file that has the last word on it."""

    name: str
    keys: dict[str, tuple[str, Tree]] = field(default_factory=dict)

    def text(self, *path: str) -> str | None:
        """A scalar below these keys."""
        first = self.keys.get(path[0])
        return first[1].at(*path[1:]) if first is not None else None

    def put(self, path: str, tree: Tree) -> None:
        """What one file says; mappings are merged, everything else is replaced."""
        for key, value in tree.keys.items():
            before = self.keys.get(key)
            if before is not None and before[1].keys and value.keys:
                value = Tree(value.line, keys={**before[1].keys, **value.keys}, key_line=value.key_line)
            self.keys[key] = (path, value)


def read_netplan(files: Files, cards: Cards) -> Iterator[Claim]:
    """What all files together say."""
    cards_of, vlans = _merged(files)
    links: dict[str, list[str]] = {}
    for name, item in cards_of.items():
        if (link := item.text("link")) is not None:
            links.setdefault(link, []).append(name)
    sources: dict[str, Source] = {}

    def source(path: str) -> Source:
        return sources.setdefault(path, Source("netplan", path))

    for item in cards_of.values():
        found = _pfs(item, cards)
        for pf in found:
            for key, name in (("virtual-function-count", "vfs"), ("mtu", "mtu")):
                if (text := item.text(key)) is not None:
                    path, tree = item.keys[key]
                    source(path).say(pf, name, text, tree.key_line)
            vfs = links.get(item.name, [])
            if vfs and "virtual-function-count" not in item.keys:  # Then there are as many as are configured.
                path, tree = cards_of[vfs[-1]].keys["link"]
                source(path).say(pf, "vfs", len(vfs), tree.key_line)
    for item in vlans.values():
        vf = cards_of.get(item.text("link") or "")
        where = cards.vf(vf.text("match", "name") or vf.name) if vf is not None else None
        if item.text("renderer") == "sriov" and where is not None and "id" in item.keys:
            path, tree = item.keys["id"]
            source(path).say(where[0], "vlan", item.text("id") or "", tree.key_line, where[1])
    for one in sources.values():
        yield from one


def _merged(files: Files) -> tuple[dict[str, _Definition], dict[str, _Definition]]:
    ethernets: dict[str, _Definition] = {}
    vlans: dict[str, _Definition] = {}
    for path in files.layered(_FOLDERS, ".yaml"):
        for tree in read_yaml(files, path):
            for kind, known in (("ethernets", ethernets), ("vlans", vlans)):
                for name, item in (tree.get("network", kind) or Tree(0)).keys.items():
                    known.setdefault(name, _Definition(name)).put(files.shown(path), item)
    return ethernets, vlans


def _pfs(item: _Definition, cards: Cards) -> list[Pf]:
    """The cards that a definition is about; without ``match`` its name is the interface's."""
    if "link" in item.keys:
        return []  # It is a VF.
    if "match" not in item.keys:
        return cards.named(item.name)
    match = item.keys["match"][1]
    name, mac, driver = match.at("name"), match.at("macaddress"), match.get("driver")
    drivers = (
        [] if driver is None else [driver.text or ""] if not driver.items else [i.text or "" for i in driver.items]
    )
    called = item.text("set-name")
    return [
        pf
        for pf in cards.pfs
        if (name is None or fits(name, names_of(pf)) or called in names_of(pf))
        and (mac is None or canonical_mac(mac) == pf.mac)
        and (not drivers or any(fits(pattern, [pf.driver]) for pattern in drivers))
    ]
