"""os-net-config (OpenStack) and the SR-IOV network operator (Kubernetes)."""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.host.local.claims.cards import Cards, Source, vf_index
from reconciler.host.local.claims.files import Files
from reconciler.host.local.claims.yaml_tree import Tree, read_yaml
from reconciler.host.model import Claim, Pf

_OS_NET_CONFIG = ("etc/os-net-config", "var/lib/os-net-config")
_OPERATOR = ("etc/sriov-operator", "host/etc/sriov-operator")
_VF = {
    "vlan_id": "vlan",
    "qos": "qos",
    "spoofcheck": "spoofchk",
    "trust": "trust",
    "state": "link_state",
    "macaddr": "mac",
    "min_tx_rate": "min_tx_rate",
    "max_tx_rate": "max_tx_rate",
}


def read_clouds(files: Files, cards: Cards) -> Iterator[Claim]:
    """Both."""
    for folder in _OS_NET_CONFIG:
        for path in files.folder(folder):
            if path.suffix in (".yaml", ".yml", ".json"):
                source = Source("os-net-config", files.shown(path))
                for tree in read_yaml(files, path):
                    _os_net_config(source, tree, cards)
                yield from source
    for folder in _OPERATOR:
        own = [path for path in files.folder(folder) if path.suffix in (".yaml", ".yml", ".json")]
        for path in [*own, *files.folder(f"{folder}/pci")]:
            source = Source("sriov-network-operator", files.shown(path))
            for tree in read_yaml(files, path):
                _operator(source, tree, cards)
            yield from source


def _os_net_config(source: Source, tree: Tree, cards: Cards) -> None:
    """Its own file, and the one that it keeps for the next boot (sriov_config.yaml)."""
    for item in tree.walk():
        kind = item.at("type") or item.at("device_type")
        if kind in ("sriov_pf", "pf"):
            for pf in cards.named(item.at("name") or ""):
                _say(source, pf, item, "numvfs", "vfs")
                _say(source, pf, item, "mtu", "mtu")
                _say(source, pf, item, "drivers_autoprobe", "autoprobe")
        elif kind in ("sriov_vf", "vf"):
            name, index = item.at("device") or item.at("device", "name"), item.at("vfid") or item.at("device", "vfid")
            vf = vf_index(index or "")
            for pf in cards.named(name or "") if vf is not None else []:
                for key, field in _VF.items():
                    _say(source, pf, item, key, field, vf)


def _operator(source: Source, tree: Tree, cards: Cards) -> None:
    """Interfaces of a node's state, in JSON by its own names, in YAML in lower case."""
    for item in tree.walk():
        keys = {key.lower(): value for key, value in item.keys.items()}
        address = keys["pciaddress"].text if "pciaddress" in keys else None
        if address is None or "numvfs" not in keys:
            continue
        external = keys.get("externallymanaged")
        if external is not None and external.text == "true":
            continue  # It then only checks.
        for pf in cards.named(address):
            source.say(pf, "vfs", keys["numvfs"].text or "", keys["numvfs"].key_line)
            if "mtu" in keys and keys["mtu"].text not in ("0", None):
                source.say(pf, "mtu", keys["mtu"].text or "", keys["mtu"].key_line)


def _say(source: Source, pf: Pf, item: Tree, key: str, field: str, vf: int | None = None) -> None:
    found = item.keys.get(key)
    if found is not None and found.text is not None:
        source.say(pf, field, found.text, found.key_line, vf)
