"""Two hundred VFs with every attribute there is, on netdevsim."""

from typing import Any

from tests.lab.conftest import Host
from tests.lab.machinery import netdevsim

VFS = 200


def declared(vf: int) -> dict[str, Any]:
    """Attributes of one VF, different ones for each."""
    return {
        "mac": f"52:54:00:6e:{vf >> 8:02x}:{vf & 255:02x}",
        "vlan": 1 + vf * 13 % 4094,
        "qos": vf % 8,
        "vlan_proto": "802.1ad" if vf % 3 == 0 else "802.1Q",
        "spoofchk": vf % 2 == 0,
        "trust": vf % 2 == 1,
        "link_state": ("auto", "enable", "disable")[vf % 3],
        "min_tx_rate": vf % 5 * 10,
        "max_tx_rate": 1000 + vf,
        "query_rss": vf % 4 == 0,
    }


def state_file(netdev: str) -> str:
    """Declares all of them."""
    lines = ["schema = 1", "[pf.many]", f'match = {{ name = "{netdev}" }}', f"vfs = {VFS}", 'link = "up"']
    for vf in range(VFS):
        lines.append(f"[pf.many.vf.{vf}]")
        for key, value in declared(vf).items():
            text = f'"{value}"' if isinstance(value, str) else str(value).lower()
            lines.append(f"{key} = {text}")
    return "\n".join(lines) + "\n"


def test_every_attribute_of_two_hundred_vfs_is_set_and_read_back(host: Host) -> None:
    netdev = netdevsim.plug_in(host.lab, VFS)
    host.put("many.toml", state_file(netdev))
    host.reconciler("apply many.toml --yes", timeout=400).expect(0)
    assert host.sh(f"cat {netdevsim.DEVICE}/sriov_numvfs").strip() == str(VFS)
    assert host.vfs(netdev) == {vf: declared(vf) for vf in range(VFS)}
    host.reconciler("plan many.toml --detailed-exitcode").expect(0)
    host.sh(f"ip link set {netdev} vf 199 vlan 7 qos 1 proto 802.1Q && ip link set {netdev} vf 120 trust on")
    found = host.reconciler("drift many.toml --json").expect(2).json
    moved = {(f["address"], f["field"]) for f in found["fields"] if f["label"] == "drift"}
    assert moved == {("pf.many.vf.199", "vlan"), ("pf.many.vf.120", "trust"), ("pf.many.vf.199", "qos")}
