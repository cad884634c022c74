"""Guests and their definitions by libvirt, on this host or on another one."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from reconciler.clock import Clock
from reconciler.host.guests import Definition, Destination, MovingGuest, NetworkThere, Who
from reconciler.host.local import guest_xml, libvirt_xml
from reconciler.host.local.libvirt import Connection, Unavailable, is_ssh
from reconciler.host.local.libvirt_errors import message
from reconciler.host.local.shared_storage import Storage, local_storage
from reconciler.host.protocol import HostError, NoAnswer

_SECONDS = 60.0
"""For one question or order. Over ssh the connection is part of the first one; and a libvirt that was just started asks
every QEMU what it can do before it says what the host can."""

_NETWORK = "0x02"
"""Base class of network controllers (PCI Code and ID Assignment Specification)."""

T = TypeVar("T")


class LibvirtGuests:
    """Implements `reconciler.host.guests.GuestWriter`. `root` is for tests; of another host only libvirt is asked."""

    clock: Clock = time

    def __init__(self, uri: str, root: Path = Path("/"), seconds: float = _SECONDS) -> None:
        self.uri = uri
        self.root = root
        self.seconds = seconds
        self.connection = Connection(_unasked(uri), read_only=False)

    def who(self) -> Who:
        """By the host's UUID, which libvirt itself goes by."""

        def work(_: Any, connection: Any) -> Who:
            uuid = libvirt_xml.parse(connection.getCapabilities()).findtext("host/uuid") or ""
            uri = connection.getURI()
            # A user's own libvirt (qemu:///session) has the same UUID, and other guests.
            which = "" if urlsplit(uri).path == "/system" else f" {uri}"
            return Who(f"{uuid}{which}" if uuid else "", connection.getHostname())

        return self._do("ask which host it is", work)

    def find(self, name: str) -> Definition | None:
        """By name."""
        return self._do(f"read guest {name}", lambda lv, c: _found(lv, lambda: c.lookupByName(name)))

    def definition(self, uuid: str) -> Definition | None:
        """By UUID."""
        return self._do(f"read guest {uuid}", lambda lv, c: _found(lv, lambda: c.lookupByUUIDString(uuid)))

    def moving(self, uuid: str) -> MovingGuest | None:
        """All about it, by its definition."""
        storage = local_storage(self.root)

        def work(lv: Any, connection: Any) -> MovingGuest | None:
            definition = _found(lv, lambda: connection.lookupByUUIDString(uuid))
            if definition is None:
                return None
            modes = {network.name(): _mode(lv, network) for network in connection.listAllNetworks(0)}
            guest = moving_guest(definition, self._is_vf, modes, storage)
            domain = connection.lookupByUUIDString(uuid)
            guest.managed_save = bool(domain.hasManagedSaveImage(0))
            guest.snapshots = [item.getName() for item in domain.listAllSnapshots(0)]
            guest.checkpoints = _checkpoints(lv, domain)
            return guest

        return self._do(f"read guest {uuid}", work)

    def destination(self, xml: str) -> Destination:
        """Guests, networks, and whether QEMU there has such a machine."""
        asked = guest_xml.machine(libvirt_xml.parse(xml))

        def work(lv: Any, connection: Any) -> Destination:
            return Destination(
                Who("", ""),
                {domain.name(): domain.UUIDString() for domain in connection.listAllDomains(0)},
                {
                    network.name(): NetworkThere(bool(network.isActive()), _mode(lv, network))
                    for network in connection.listAllNetworks(0)
                },
                _no_system(connection) or _refuses(lv, connection, asked),
            )

        found = self._do("ask what it has", work)
        found.who = self.who()
        return found

    def define(self, xml: str) -> None:
        """virsh define."""
        self._order("define the guest", lambda _, c: c.defineXML(xml))

    def undefine(self, uuid: str) -> None:
        """virsh undefine, without any of its options: what would be lost with them was looked for before."""
        self._order("undefine the guest", lambda _, c: c.lookupByUUIDString(uuid).undefine())

    def set_autostart(self, uuid: str, enabled: bool) -> None:
        """virsh autostart."""
        self._order("set its autostart", lambda _, c: c.lookupByUUIDString(uuid).setAutostart(int(enabled)))

    def _is_vf(self, address: str) -> bool | None:
        """Of a network card: other devices have VFs, too (NVMe, QAT, GPUs), and they are no NICs. ``None``: it isn't
        there."""
        device = self.root / f"sys/bus/pci/devices/{address}"
        try:
            kind = (device / "class").read_text()
        except OSError:
            return None
        return (device / "physfn").exists() and kind.startswith(_NETWORK)

    def _order(self, what: str, work: Callable[[Any, Any], object]) -> None:
        """Gives an order. A connection that is lost while it is under way is no refusal: libvirt may have taken it."""

        def ordered(lv: Any, connection: Any) -> str:
            try:
                work(lv, connection)
            except lv.libvirtError as error:
                if error.get_error_domain() in (lv.VIR_FROM_RPC, lv.VIR_FROM_REMOTE) or not _is_alive(lv, connection):
                    return f"The connection to libvirt at {self.uri} was lost: {message(error)}."
                raise
            return ""

        lost = self._do(what, ordered)
        if lost:
            raise NoAnswer("libvirt is not available.", f"To {what}: {lost}")

    def _do(self, what: str, work: Callable[[Any, Any], T]) -> T:
        try:
            return self.connection.ask(work, self.seconds)
        except HostError:
            raise
        except Unavailable as error:
            kind = NoAnswer if error.late else HostError
            code = 77 if error.denied and not is_ssh(self.uri) else 1
            asked = " ssh may have waited for a password." if error.late and is_ssh(self.uri) else ""
            raise kind("libvirt is not available.", f"To {what}: {error}{asked}", code=code) from error
        except Exception as error:
            said = message(error)
            raise HostError(
                "libvirt refused.", f"To {what}, libvirt at {self.uri} was asked, and said: {said}."
            ) from error


def _unasked(uri: str) -> str:
    """Without a terminal nobody can answer ssh, which then is not to ask (docs/uri.rst, no_tty)."""
    if not is_ssh(uri) or "no_tty=" in uri or (sys.stdin is not None and sys.stdin.isatty()):
        return uri
    return f"{uri}{'&' if '?' in uri else '?'}no_tty=1"


def moving_guest(
    definition: Definition,
    is_vf: libvirt_xml.IsVf,
    modes: dict[str, str],
    storage: Storage,
) -> MovingGuest:
    """What the definition itself says. ``modes``: forward modes of the networks here."""
    domain = libvirt_xml.parse(definition.xml)
    taken = guest_xml.vf_nics(domain, is_vf)
    addresses = {libvirt_xml.pci_address(item.element.find("source/address")) for item in taken}
    nics = libvirt_xml.nics(domain, lambda address: address in addresses, modes)

    def is_pool(name: str) -> bool:
        return modes.get(name, "hostdev") == "hostdev"

    disks, unread = guest_xml.disks(domain, storage)
    from_pools = guest_xml.pool_nics(domain, is_pool)
    guest = MovingGuest(
        definition,
        "",
        {},
        taken_off=[nic for nic in nics if nic.method in ("interface", "hostdev")],
        lone=[guest_xml.name_of(item.element) for item in [*taken, *from_pools] if item.alone],
        networks={name: is_pool(name) for name in guest_xml.networks(domain)},
        links=guest_xml.links(domain),
        states=guest_xml.states(domain),
        disks=disks,
        unread=unread,
        devices=guest_xml.devices(domain, is_vf),
        files=guest_xml.boot_files(domain),
        resources=guest_xml.resources(domain),
        needs=guest_xml.needs(domain),
        secrets=guest_xml.secrets(domain),
    )
    sent = libvirt_xml.parse(definition.xml, whole=True)
    guest_xml.strip(sent, is_vf)
    guest.stripped = libvirt_xml.plain_text(sent) if taken else definition.xml
    guest.stripped_essence = guest_xml.essence(libvirt_xml.parse(guest.stripped))
    return guest


def _found(lv: Any, look_up: Callable[[], Any]) -> Definition | None:
    """The guest as it is; ``None`` when there is none, or it goes meanwhile."""
    try:
        domain = look_up()
        persistent = bool(domain.isPersistent())
        # Without SECURE, passwords (VNC, disks) would be missing from what is defined.
        flags = lv.VIR_DOMAIN_XML_SECURE | (lv.VIR_DOMAIN_XML_INACTIVE if persistent else 0)
        xml = domain.XMLDesc(flags)
        return Definition(
            domain.name(),
            domain.UUIDString(),
            xml,
            guest_xml.essence(libvirt_xml.parse(xml)),
            running=bool(domain.isActive()),
            persistent=persistent,
            autostart=bool(domain.autostart()) if persistent else False,
        )
    except lv.libvirtError as error:
        if error.get_error_code() == lv.VIR_ERR_NO_DOMAIN:
            return None
        raise


def _is_alive(lv: Any, connection: Any) -> bool:
    try:
        return bool(connection.isAlive())
    except lv.libvirtError:
        return False


def _mode(lv: Any, network: Any) -> str:
    return libvirt_xml.forward(libvirt_xml.parse(network.XMLDesc(lv.VIR_NETWORK_XML_INACTIVE))).mode


def _checkpoints(lv: Any, domain: Any) -> list[str]:
    """None with libvirt older than 5.6, which has no checkpoints."""
    try:
        return [item.getName() for item in domain.listAllCheckpoints(0)]
    except AttributeError:
        return []
    except lv.libvirtError as error:
        if error.get_error_code() == lv.VIR_ERR_NO_SUPPORT:
            return []
        raise


def _no_system(connection: Any) -> str:
    """Why this is no place for a guest with VFs; "" for the libvirt of the system with QEMU."""
    kind, uri = connection.getType(), connection.getURI()
    if kind == "QEMU" and urlsplit(uri).path == "/system":
        return ""
    return f"it is {kind} at {uri}, and no libvirt of a system with QEMU (qemu+ssh://HOST/system)"


def _refuses(lv: Any, connection: Any, asked: dict[str, str]) -> str:
    """What it says against this machine, architecture or emulator."""
    values = [asked[name] or None for name in ("emulator", "arch", "machine", "virttype")]
    try:
        connection.getDomainCapabilities(*values)
    except lv.libvirtError as error:
        if error.get_error_code() == lv.VIR_ERR_NO_SUPPORT:
            return ""
        return message(error)
    return ""
