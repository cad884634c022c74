"""Changes of domains and networks through libvirt."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from reconciler.host.local import libvirt_xml, pci_buses
from reconciler.host.local.libvirt import Connection, Unavailable
from reconciler.host.local.libvirt_errors import host_error, message
from reconciler.host.protocol import HostError, NicMatch, NicSpec, PoolSpec

_SECONDS = 60.0
"""Attaching a VF takes seconds (driver unbind, reset, QEMU); more than this means that something hangs."""

T = TypeVar("T")


class LibvirtWriter:
    """The libvirt part of the writer protocol; raises `HostError` with what libvirt said and what to do."""

    def __init__(self, uri: str) -> None:
        self.connection = Connection(uri, read_only=False)

    def _do(self, what: str, work: Callable[[Any, Any], T]) -> T:
        try:
            return self.connection.ask(work, _SECONDS)
        except HostError:
            raise
        except Unavailable as error:
            code = 77 if error.denied else 1
            raise HostError("libvirt is not available.", f"{what}: {error}", code=code) from error
        except Exception as error:  # libvirtError can't be named before libvirt is imported
            raise host_error(what, error) from error

    def define_pool(self, pool: PoolSpec) -> None:
        xml = libvirt_xml.render_pool(pool)
        self._do(f"define pool {pool.name}", lambda _, c: c.networkDefineXML(xml))

    def create_pool(self, pool: PoolSpec) -> None:
        xml = libvirt_xml.render_pool(pool)
        self._do(f"create pool {pool.name}", lambda _, c: c.networkCreateXML(xml))

    def start_pool(self, name: str) -> None:
        self._do(f"start pool {name}", lambda _, c: c.networkLookupByName(name).create())

    def stop_pool(self, name: str) -> None:
        self._do(f"stop pool {name}", lambda _, c: c.networkLookupByName(name).destroy())

    def set_pool_autostart(self, name: str, enabled: bool) -> None:
        self._do(
            f"set autostart of pool {name}",
            lambda _, c: c.networkLookupByName(name).setAutostart(int(enabled)),
        )

    def undefine_pool(self, name: str) -> None:
        self._do(f"undefine pool {name}", lambda _, c: c.networkLookupByName(name).undefine())

    def attach_nic(self, domain: str, nic: NicSpec, *, live: bool, config: bool) -> None:
        xml = libvirt_xml.render_nic(nic)
        self._do(
            f"attach {nic.alias} to {domain}",
            lambda lv, c: c.lookupByName(domain).attachDeviceFlags(xml, _flags(lv, live, config)),
        )

    def detach_nic(self, domain: str, match: NicMatch, *, live: bool, config: bool) -> None:
        def work(lv: Any, connection: Any) -> None:
            found = connection.lookupByName(domain)
            if live:
                _detach(lv, found, match, 0, lv.VIR_DOMAIN_AFFECT_LIVE)
            if config:
                _detach(lv, found, match, lv.VIR_DOMAIN_XML_INACTIVE, lv.VIR_DOMAIN_AFFECT_CONFIG)

        self._do(f"detach {_name(match)} from {domain}", work)

    def update_nic(self, domain: str, match: NicMatch, nic: NicSpec) -> None:
        def change(xml: libvirt_xml.Element) -> None:
            old = libvirt_xml.find_nic(xml, match)
            if old is None:
                raise HostError(
                    "A NIC is gone.",
                    f"{_name(match)} is no longer in the definition of {domain}: plan again.",
                )
            libvirt_xml.replace_nic(xml, old, nic)

        self._redefine(f"change {_name(match)} of {domain}", domain, change)

    def set_bridge(self, domain: str, alias: str, bridge: str, *, live: bool, config: bool) -> None:
        """libvirt moves the tap device of a running guest (qemuDomainChangeNetBridge in src/qemu/qemu_hotplug.c)."""

        def work(lv: Any, connection: Any) -> None:
            found = connection.lookupByName(domain)
            for wanted, xml_flags, flags in (
                (live, 0, lv.VIR_DOMAIN_AFFECT_LIVE),
                (config, lv.VIR_DOMAIN_XML_INACTIVE, lv.VIR_DOMAIN_AFFECT_CONFIG),
            ):
                if wanted:
                    xml = libvirt_xml.on_bridge(libvirt_xml.parse(found.XMLDesc(xml_flags)), alias, bridge)
                    if xml is None:
                        raise HostError("A NIC is gone.", f"{alias} is no longer a NIC of {domain}: plan again.")
                    found.updateDeviceFlags(xml, flags)

        self._do(f"move {alias} of {domain} to {bridge}", work)

    def add_root_ports(self, domain: str, free: int) -> None:
        self._redefine(f"add PCIe root ports to {domain}", domain, lambda xml: pci_buses.add_ports(xml, free))

    def drop_root_ports(self, domain: str, keep: Sequence[int]) -> None:
        self._redefine(f"take PCIe root ports off {domain}", domain, lambda xml: pci_buses.drop_ports(xml, keep))

    def _redefine(self, what: str, domain: str, change: Callable[[libvirt_xml.Element], None]) -> None:
        """Changes a domain's persistent XML."""

        def work(lv: Any, connection: Any) -> None:
            # Without SECURE, passwords (VNC, disks) would be missing from what is defined.
            flags = lv.VIR_DOMAIN_XML_INACTIVE | lv.VIR_DOMAIN_XML_SECURE
            xml = libvirt_xml.parse(connection.lookupByName(domain).XMLDesc(flags))
            change(xml)
            connection.defineXML(libvirt_xml.plain_text(xml))

        self._do(what, work)


def _flags(lv: Any, live: bool, config: bool) -> int:
    flags: int = (lv.VIR_DOMAIN_AFFECT_LIVE if live else 0) | (lv.VIR_DOMAIN_AFFECT_CONFIG if config else 0)
    return flags


def _detach(lv: Any, domain: Any, match: NicMatch, xml_flags: int, flags: int) -> None:
    """Asks for a NIC to be taken out of the live or the persistent domain. One that is gone, or is being
    unplugged already, is fine. By alias libvirt does not wait for the guest; by the device's XML it
    waits 5 s."""
    element = libvirt_xml.find_nic(libvirt_xml.parse(domain.XMLDesc(xml_flags)), match)
    if element is None:
        return
    alias = element.find("alias")
    try:
        if alias is not None and alias.get("name"):
            domain.detachDeviceAlias(alias.get("name"), flags)
        else:
            domain.detachDeviceFlags(libvirt_xml.plain_text(element), flags)
    except lv.libvirtError as error:
        if not re.search("already in the process of unplug", message(error)):
            raise


def _name(match: NicMatch) -> str:
    return match.alias or match.mac or match.vf_address or "NIC"
