"""32 guests in the lab, 14 of which have a VF by name, and the state file of which the host is then a picture."""

from __future__ import annotations

import re

from contrib.bench.measure import CandidateFailed
from tests.lab.machinery import Lab
from tests.lab.machinery.prepare import GUESTS

STATE = "/root/bench.toml"
GUESTS_IN_ALL = 32
_CARDS = {"a": ("enp1s0", 1), "b": ("enp2s0", 2)}
_VFS = 7
"""Of each card."""
_TEMPLATE = "db1"


def set_up(lab: Lab) -> None:
    """Defines the guests, applies the file, and makes sure that nothing is left to do."""
    there = lab.run("virsh list --all --name").stdout.split()
    template = (GUESTS / f"{_TEMPLATE}.xml").read_text()
    for number in range(GUESTS_IN_ALL - len(there)):
        lab.run("cat >/root/guest.xml && virsh define /root/guest.xml", input=_guest(template, number))
    lab.run(f"cat >{STATE}", input=state())
    lab.run(f"reconciler apply {STATE} --yes --allow management", 600)
    told = lab.run(f"reconciler plan {STATE}", 300).stdout
    count = len(lab.run("virsh list --all --name").stdout.split())
    if not told.startswith("In sync:") or count != GUESTS_IN_ALL:
        raise CandidateFailed(f"{count} guests, and not in sync:\n{told[:500]}")


def state() -> str:
    """Two cards with all their VFs, and a NIC for each."""
    lines = ["schema = 1"]
    for name, (netdev, _) in _CARDS.items():
        lines += [f"[pf.{name}]", f'match = {{ name = "{netdev}" }}', 'link = "up"', f"vfs = {_VFS}"]
        lines += ['vf_driver = "none"', f"[pf.{name}.vf_defaults]", "spoofchk = true", "trust = false"]
    for number in range(len(_CARDS) * _VFS):
        card = list(_CARDS)[number // _VFS]
        lines += [f"[domain.g{number}.nic.data]", f'vf = "{card}/{number % _VFS}"', f'mac = "{_mac(number)}"']
        lines += [f"vlan = {100 + number}"]
    return "\n".join(lines) + "\n"


def _mac(number: int) -> str:
    return f"52:54:00:be:00:{number:02x}"


def _guest(template: str, number: int) -> str:
    """One like the lab's own; its NIC is on a bridge when all VFs are given out."""
    name = f"g{number}"
    xml = template.replace(f"<name>{_TEMPLATE}</name>", f"<name>{name}</name>").replace(
        f"{_TEMPLATE}.log", f"{name}.log"
    )
    xml = re.sub(r"<uuid>.*?</uuid>", f"<uuid>7b1f0002-0000-4000-8000-{number:012d}</uuid>", xml)
    return xml.replace("<serial", _nic(number) + "<serial", 1)


def _nic(number: int) -> str:
    if number >= len(_CARDS) * _VFS:
        return "<interface type='bridge'><source bridge='br0'/><model type='virtio'/></interface>"
    _, bus = list(_CARDS.values())[number // _VFS]
    device = 0x80 + 2 * (number % _VFS)  # sriov_offset 128, sriov_stride 2
    place = f"bus='0x{bus:02x}' slot='0x{device >> 3:02x}' function='0x{device & 7:x}'"
    return (
        f"<interface type='hostdev' managed='yes'><mac address='{_mac(number)}'/><source><address type='pci' "
        f"domain='0x0000' {place}/></source><vlan><tag id='{100 + number}'/></vlan><alias name='ua-rec-data'/>"
        "</interface>"
    )
