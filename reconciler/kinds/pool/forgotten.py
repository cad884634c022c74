"""A pool that was stopped and started while guests had VFs of it has forgotten who has them.

Seen with libvirt 11.3.0 on igb: ``net-destroy`` succeeds while a guest holds a VF of the pool, and takes all its
ports away; after ``net-start`` there are none. The next guest is offered the same VF again and doesn't start: "PCI
device 0000:01:10.0 is in use by driver QEMU, domain web1", each time anew, though other VFs are free
(networkAllocatePort takes the first one without connections). MAC and VLAN of the VF can be set as before; when the
guest stops it gives the VF back as usual, and the pool is right again. Some seconds after ``systemctl restart
libvirtd`` the ports are there anew (qemuProcessNotifyNets), with the guests running all the while, and the next guest
gets a free VF.
"""

from __future__ import annotations

from reconciler.host.model import Domain, Network, Snapshot

REMEDY = "`systemctl restart libvirtd` (or virtqemud): it makes the pool's list anew, and guests keep running."
_PORTS = 5_005_000
"""libvirt's version since which networks have ports (virNetworkListAllPorts)."""


def forgotten(host: Snapshot, network: Network) -> list[tuple[str, str]]:
    """Guest and VF's PCI address of each VF that the active pool would give out again though a guest has it: those that
    came from the pool and have no port."""
    if not network.active or not knows_ports(host):
        return []
    known = {(port.owner, port.vf_address, port.mac) for port in network.ports}
    return [
        (domain.name, nic.vf_address)
        for domain in host.libvirt.domains.values()
        if domain.running
        for nic in domain.live
        if nic.method != "hostdev"  # The pool gives none: its guest has the VF by hand, whatever else is the pool's.
        and nic.vf_address in network.live_addresses
        and known.isdisjoint((domain.name, nic.vf_address, mac) for mac in (nic.mac, None))
        and came_from(domain, nic.mac, network)
    ]


def knows_ports(host: Snapshot) -> bool:
    """Whether libvirt tells who has a network's addresses."""
    return host.libvirt.version is None or host.libvirt.version >= _PORTS


def restarted(pool: str) -> str:
    """What starts an active pool anew, so that its list of VFs is of now, under guests that go on running."""
    return (
        f"`virsh net-destroy {pool}; virsh net-start {pool}; systemctl restart libvirtd` (or virtqemud); the last of "
        "the three makes it know again who has its VFs."
    )


def came_from(domain: Domain, mac: str | None, network: Network) -> bool:
    """Whether the definition says that this NIC is the pool's; of a transient guest the live NIC is all there is."""
    return any(nic.pool == network.name and (mac is None or nic.mac == mac) for nic in (*domain.config, *domain.live))
