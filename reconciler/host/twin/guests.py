"""The guests of a simulated host and their definitions, as libvirt would have them. Files below /shared are on NFS
there, all others on its own disk."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from reconciler.clock import Clock
from reconciler.host.guests import Definition, Destination, MovingGuest, NetworkThere, Who
from reconciler.host.local import guest_xml, libvirt_xml
from reconciler.host.local.guest_hardware import guest_hardware
from reconciler.host.local.guests import moving_guest
from reconciler.host.local.shared_storage import Storage
from reconciler.host.model import Domain, GuestHardware, Nic
from reconciler.host.protocol import NicSpec
from reconciler.host.twin.errors import LibvirtRefused, failed, invalid, xml_error
from reconciler.host.twin.host import TwinHost
from reconciler.host.twin.state import Twin

SHARED = "/shared/"
_MEMORY_KIB, _MACHINE = 4 * 1024 * 1024, "pc-q35-10.0"

T = TypeVar("T")


class TwinGuests:
    """Implements `reconciler.host.guests.GuestWriter` on a simulated host."""

    def __init__(self, host: TwinHost, path: Path) -> None:
        self.host = host
        self.uri = f"sim:{path}"
        self._identity = os.path.realpath(path)

    @property
    def clock(self) -> Clock:
        """Its own time."""
        return self.host

    def who(self) -> Who:
        """By its file: hosts of one profile are otherwise the same."""
        return self._ask(lambda twin: Who(self._identity, twin.host.name))

    def find(self, name: str) -> Definition | None:
        """By name."""
        return self._ask(lambda twin: _definition(twin, twin.libvirt.domains.get(name)))

    def definition(self, uuid: str) -> Definition | None:
        """By UUID."""
        return self._ask(lambda twin: _definition(twin, _by_uuid(twin, uuid)))

    def moving(self, uuid: str) -> MovingGuest | None:
        """All about it."""

        def read(twin: Twin) -> MovingGuest | None:
            domain = _by_uuid(twin, uuid)
            definition = _definition(twin, domain)
            if domain is None or definition is None:
                return None
            guest = moving_guest(definition, _is_vf(twin), _modes(twin), Storage(_shared_at))
            kept = twin.guest(domain.name)
            guest.managed_save, guest.snapshots = kept.managed_save, list(kept.snapshots)
            return guest

        return self._ask(read)

    def destination(self, xml: str) -> Destination:
        """Guests and networks; its QEMU has every machine."""

        def read(twin: Twin) -> Destination:
            known = twin.libvirt
            return Destination(
                Who(self._identity, twin.host.name),
                {domain.name: domain.uuid for domain in known.domains.values()},
                {network.name: NetworkThere(network.active, network.mode) for network in known.networks.values()},
            )

        return self._ask(read)

    def define(self, xml: str) -> None:
        """virsh define."""
        self.host.ask_libvirt("define the guest", lambda twin: _define(twin, xml))

    def undefine(self, uuid: str) -> None:
        """virsh undefine."""
        self.host.ask_libvirt("undefine the guest", lambda twin: _undefine(twin, uuid))

    def set_autostart(self, uuid: str, enabled: bool) -> None:
        """virsh autostart."""

        def act(twin: Twin) -> None:
            _known(twin, uuid).autostart = enabled

        self.host.ask_libvirt("set its autostart", act)

    def _ask(self, read: Callable[[Twin], T]) -> T:
        """A question. Time passes with it, so that a libvirt that is just restarting answers in the end."""
        return self.host.read_libvirt(read)


def _definition(twin: Twin, domain: Domain | None) -> Definition | None:
    if domain is None:
        return None
    xml = _xml(twin, domain)
    return Definition(
        domain.name,
        domain.uuid,
        xml,
        guest_xml.essence(libvirt_xml.parse(xml)),
        running=domain.running,
        persistent=domain.persistent,
        autostart=domain.autostart,
    )


def _by_uuid(twin: Twin, uuid: str) -> Domain | None:
    return next((domain for domain in twin.libvirt.domains.values() if domain.uuid == uuid), None)


def _known(twin: Twin, uuid: str) -> Domain:
    domain = _by_uuid(twin, uuid)
    if domain is None:
        raise LibvirtRefused(f"Domain not found: no domain with matching uuid '{uuid}'")
    return domain


def _define(twin: Twin, xml: str) -> None:
    """A guest that is there keeps its state and its autostart; another one must not have its name
    (virDomainObjListAddLocked in src/conf/virdomainobjlist.c)."""
    element = libvirt_xml.parse(xml)
    name, uuid = element.findtext("name") or "", element.findtext("uuid") or ""
    if not name or not uuid:
        raise xml_error("a domain needs a name and a uuid")
    if element.find("devices") is None:
        raise xml_error("a domain needs devices")
    same_name, known = twin.libvirt.domains.get(name), _by_uuid(twin, uuid)
    if same_name is not None and same_name.uuid != uuid:
        raise failed(f"domain '{name}' already exists with uuid {same_name.uuid}")
    if known is not None and known.name != name:
        raise failed(f"domain '{known.name}' is already defined with uuid {uuid}")
    domain = known or Domain(name, uuid)
    domain.config = libvirt_xml.nics(element, _is_vf(twin), _modes(twin))
    if not domain.running and element.find("devices/controller") is not None:
        domain.hardware = guest_hardware(element, {})  # Else it is one of which nothing but its NICs is known.
    domain.persistent = True
    twin.libvirt.domains[name] = domain
    twin.guest(name).xml = xml


def _undefine(twin: Twin, uuid: str) -> None:
    """A running guest becomes a transient one (qemuDomainUndefineFlags in src/qemu/qemu_driver.c)."""
    domain = _known(twin, uuid)
    kept = twin.guest(domain.name)
    if kept.managed_save:
        raise invalid("Refusing to undefine while domain managed save image exists")
    if kept.snapshots:
        raise invalid(f"cannot delete inactive domain with {len(kept.snapshots)} snapshots")
    domain.autostart = False
    if domain.running:
        domain.persistent, domain.config = False, []
        return
    del twin.libvirt.domains[domain.name]
    twin.guests.pop(domain.name, None)


def _xml(twin: Twin, domain: Domain) -> str:
    """The definition as it was given, as long as its NICs are those that it has now; else with these."""
    nics = domain.config if domain.persistent else domain.live
    given = twin.guest(domain.name).xml if domain.name in twin.guests else ""
    element = libvirt_xml.parse(given, whole=True) if given else _plain(domain)
    name = element.find("name")
    if name is not None and name.text != domain.name:  # It was renamed since.
        name.text, given = domain.name, ""
    if given and libvirt_xml.nics(element, _is_vf(twin), _modes(twin)) == nics:
        return given
    found = element.find("devices")
    if found is None:
        raise ValueError("a definition without devices")
    guest_xml.strip(element, _is_vf(twin))
    for item in list(found.iterfind("interface")):
        found.remove(item)
    for nic in nics:
        found.append(_element(nic))
    return libvirt_xml.plain_text(element)


def _plain(domain: Domain) -> libvirt_xml.Element:
    """What a guest of a profile is like, of which nothing but its NICs is known."""
    hardware = domain.hardware or GuestHardware()
    memory, machine = hardware.memory_kib or _MEMORY_KIB, hardware.machine or _MACHINE
    return libvirt_xml.plain_domain(domain.name, domain.uuid, memory, machine)


def _element(nic: Nic) -> libvirt_xml.Element:
    if nic.method == "other" and nic.teaming:
        return libvirt_xml.nic_element(NicSpec("bridge", nic.alias or "", nic.mac, bridge=nic.bridge))
    if nic.method == "other":
        return libvirt_xml.other_interface(nic)
    spec = NicSpec(nic.method, nic.alias or "", nic.mac, nic.vlan, nic.vf_address, nic.pool, standby=nic.partner)
    element = libvirt_xml.nic_element(spec)
    alias = element.find("alias")
    if alias is not None and not nic.alias:
        element.remove(alias)
    return element


def _is_vf(twin: Twin) -> libvirt_xml.IsVf:
    return twin.is_vf


def _modes(twin: Twin) -> dict[str, str]:
    return {network.name: network.mode for network in twin.libvirt.networks.values()}


def _shared_at(path: str) -> tuple[bool, str]:
    shared = path.startswith(SHARED)
    return shared, "nfs mounted at /shared" if shared else "ext4 mounted at /"
