"""Twins to begin a test with."""

from __future__ import annotations

from reconciler.host.model import Pf, Vf
from reconciler.host.protocol import HostError, NicSpec
from reconciler.host.twin.hands import Result, run
from reconciler.host.twin.host import TwinHost
from reconciler.host.twin.profiles import make_from

INT, EXT = "pci/0000:01:00.0", "pci/0000:02:00.0"
"""The lab's first two PFs."""
MAC = "52:54:00:6d:90:01"


def lab(*commands: str, vfs: int = 0, driver: bool = False) -> TwinHost:
    """The igb lab with its first PF up and with a link, so many VFs on it, with or without the host's driver, and
    nothing under way."""
    host = TwinHost(make_from("igb-lab"))
    if not driver:
        do(host, "modprobe -r igbvf")
        host.set_blacklist(["igbvf"])
    host.set_link(INT, True)
    host.sleep(5)
    if vfs:
        host.set_numvfs(INT, vfs, 30)
        host.sleep(30)
    for command in commands:
        do(host, command)
    return host


def do(host: TwinHost, command: str) -> Result:
    """Does a command that has to work."""
    result = run(host, command)
    assert result.ok, f"{command}: {result.message}"
    return result


def pf(host: TwinHost, identity: str = INT) -> Pf:
    """A PF as it is seen."""
    return host.observe().pfs[identity]


def vf(host: TwinHost, index: int = 0, identity: str = INT) -> Vf:
    """A VF as it is seen."""
    found = pf(host, identity).vf(index)
    assert found is not None
    return found


def attributes(host: TwinHost, index: int = 0, identity: str = INT) -> dict[str, object]:
    """What is reported of a VF."""
    found = vf(host, index, identity).attributes
    assert found is not None
    return dict(found)


def interface(index: int = 0, *, alias: str = "ua-rec-net", vlan: int = 0, mac: str = MAC) -> NicSpec:
    """A NIC by the first method, on a VF of the first PF."""
    return NicSpec("interface", alias, mac, vlan, f"0000:01:{0x10 + index // 4:02x}.{index % 4 * 2}")


def attach(host: TwinHost, domain: str = "web1", index: int = 0, **changes: object) -> None:
    """Gives a guest a VF, live if it runs."""
    running = host.observe().libvirt.domains[domain].running
    host.attach_nic(domain, interface(index, **changes), live=running, config=True)  # type: ignore[arg-type]


def said(error: HostError) -> str:
    """All of an error."""
    return f"{error.summary} {error.detail}"
