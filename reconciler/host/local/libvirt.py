"""What libvirt knows: domains with their NICs, and networks. Reading only, over a read-only connection."""

from __future__ import annotations

import queue
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

from reconciler.host.local import guest_agent, libvirt_xml
from reconciler.host.local.guest_hardware import guest_hardware
from reconciler.host.local.libvirt_errors import message
from reconciler.host.local.libvirt_files import FILES
from reconciler.host.local.numa import nodes_of_cpus
from reconciler.host.local.pci_buses import pci_buses
from reconciler.host.model import Domain, Libvirt, Network
from reconciler.host.platform import Inside, Platform

_READ_SECONDS = 15.0
_NO_BINDING = (
    "The Python binding of libvirt is not installed: `apt install python3-libvirt`, or "
    "`pip install 'sriov-reconciler[libvirt]'`."
)
_DENIED = r"[Pp]ermission denied|authentication|access denied"
_HINTS = (
    (
        r"No such file|Connection refused|Failed to connect socket.*: No",
        "Is libvirtd (or virtqemud and virtnetworkd) running?",
    ),
    (_DENIED, "It takes root or membership in the group libvirt."),
)
_SSH_HINTS = (
    (
        r"Permission denied|Host key|password|authentication",
        "ssh has to log in there without a question: try ssh HOST virsh list.",
    ),
    (
        r"No such file|Connection refused|Could not resolve|timed out",
        "Does ssh reach it, and does libvirt run there?",
    ),
)
"""What the same words mean when ssh says them."""

T = TypeVar("T")


@dataclass(slots=True)
class _Outcome(Generic[T]):
    """What a thread hands back."""

    value: list[T]
    """One element, or none when it raised."""
    error: Exception | None = None


class Unavailable(Exception):
    """libvirt can't be asked; the message is a full sentence that says why. `denied`: for want of rights; `late`: it
    was asked, and did not answer in time."""

    def __init__(self, reason: str, *, denied: bool = False, late: bool = False) -> None:
        super().__init__(reason)
        self.denied = denied
        self.late = late


class Connection:
    """A connection that is opened at first use, opened again when it died, and never waited for in vain:
    libvirt is asked from a thread of its own, which is left behind when it hangs."""

    def __init__(self, uri: str, *, read_only: bool) -> None:
        self.uri = uri
        self.read_only = read_only
        self.connection: Any = None

    def ask(self, work: Callable[[Any, Any], T], seconds: float) -> T:
        """Returns what ``work(libvirt module, connection)`` returns, or raises what it raises;
        `Unavailable` when there is no connection or no answer within so many seconds."""
        try:
            import libvirt
        except ImportError as error:
            raise Unavailable(_NO_BINDING) from error
        answers: queue.SimpleQueue[_Outcome[T]] = queue.SimpleQueue()

        def ask() -> None:
            try:
                answers.put(_Outcome([work(libvirt, self._open(libvirt))]))
            except Exception as error:  # noqa: BLE001 (raised again in the asking thread)
                answers.put(_Outcome([], error))

        threading.Thread(target=ask, name="libvirt", daemon=True).start()
        try:
            outcome = answers.get(timeout=seconds)
        except queue.Empty:
            self.connection = None
            raise Unavailable(f"libvirt at {self.uri} did not answer within {seconds:g} s.", late=True) from None
        if outcome.error is not None:
            raise outcome.error
        return outcome.value[0]

    def _open(self, libvirt: Any) -> Any:
        if self.uri == FILES:
            raise Unavailable("libvirt is not to be asked (--libvirt files, or --early).")
        if self._answers(libvirt):
            return self.connection
        libvirt.registerErrorHandler(_silent, None)
        opened = libvirt.openReadOnly if self.read_only else libvirt.open
        try:
            self.connection = opened(self.uri)
        except libvirt.libvirtError as error:
            said = message(error)
            hints = _SSH_HINTS if is_ssh(self.uri) else _HINTS
            hint = next((hint for pattern, hint in hints if re.search(pattern, said)), "")
            raise Unavailable(
                f"libvirt at {self.uri} can't be reached: {said}. {hint}".strip(),
                denied=bool(re.search(_DENIED, said)),
            ) from error
        return self.connection

    def _answers(self, libvirt: Any) -> bool:
        """Whether there is a connection that still works. `isAlive` alone doesn't notice that the daemon was
        restarted, so it is asked something."""
        if self.connection is None:
            return False
        try:
            self.connection.getLibVersion()
        except libvirt.libvirtError:
            return False
        return True


def is_ssh(uri: str) -> bool:
    """Whether libvirt is reached by ssh."""
    return re.match(r"[a-z]+\+(ssh|libssh2?):", uri) is not None


def _silent(*_: object) -> None:
    """Instead of libvirt's own handler, which prints each error on stderr before it is raised."""


class LibvirtReader:
    """Reads domains and networks."""

    def __init__(self, uri: str, root: Path = Path("/")) -> None:
        self.uri = uri
        self.connection = Connection(uri, read_only=True)
        self.nodes = nodes_of_cpus(root)

    def read(self, is_vf: libvirt_xml.IsVf) -> Libvirt:
        """Everything; not available, with the reason, when anything of it can't be read: half of the
        domains would look as if the others held no VF."""
        return self._read(Libvirt(self.uri), lambda lv, c: self._everything(lv, c, is_vf))

    def refresh_domain(self, known: Libvirt, name: str, is_vf: libvirt_xml.IsVf) -> Libvirt:
        """Reads one domain again, and the networks, whose ports change as guests come and go."""

        def work(lv: Any, connection: Any) -> Libvirt:
            known.networks = _networks(lv, connection)
            known.domains.pop(name, None)
            found = _unless_gone(lv, lambda: connection.lookupByName(name))
            traits = _traits_of(lv, found) if found is not None else None
            domain = _domain(lv, found, traits, known.networks, is_vf, self.nodes) if traits is not None else None
            if domain is not None:
                known.domains[domain.name] = domain
            return known

        return self._read(known, work)

    def refresh_networks(self, known: Libvirt) -> Libvirt:
        """Reads the networks again."""

        def work(lv: Any, connection: Any) -> Libvirt:
            known.networks = _networks(lv, connection)
            return known

        return self._read(known, work)

    def examine(self, found: Platform, is_vf: libvirt_xml.IsVf) -> None:
        """Adds QEMU's version and what is inside the guests; they stay unknown when libvirt can't be asked."""
        try:
            found.qemu = self.connection.ask(lambda lv, connection: connection.getVersion(), _READ_SECONDS)
            guests = self.connection.ask(lambda lv, connection: _channels(lv, connection, is_vf), _READ_SECONDS)
        except Unavailable as error:
            found.notes.append(str(error))
        except Exception as error:  # noqa: BLE001 (as in _read)
            found.notes.append(f"What doctor wants of libvirt could not be read: {message(error)}.")
        else:
            found.inside = self._inside(guests)

    def _inside(self, guests: dict[str, str]) -> dict[str, Inside]:
        """Asks their agents, which takes a connection that may write, though nothing is written."""
        if "connected" not in guests.values():
            return guest_agent.unasked(guests, "")
        try:
            import libvirt_qemu

            opened = Connection(self.uri, read_only=False).ask(lambda lv, opened: opened, _READ_SECONDS)
        except (Unavailable, ImportError) as error:
            return guest_agent.unasked(guests, str(error).rstrip("."))

        def command(name: str, text: str, seconds: int) -> Any:
            return libvirt_qemu.qemuAgentCommand(opened.lookupByName(name), text, seconds, 0)

        return guest_agent.ask_guests(command, guests, guest_agent.SECONDS)

    def _everything(self, lv: Any, connection: Any, is_vf: libvirt_xml.IsVf) -> Libvirt:
        networks = _networks(lv, connection)
        listed = connection.listAllDomains(0)
        traits = _traits(lv, connection)
        domains = (_domain(lv, found, traits(found), networks, is_vf, self.nodes) for found in listed)
        return Libvirt(
            self.uri,
            available=True,
            version=connection.getLibVersion(),
            domains={domain.name: domain for domain in domains if domain is not None},
            networks=networks,
        )

    def _read(self, known: Libvirt, work: Callable[[Any, Any], Libvirt]) -> Libvirt:
        try:
            return self.connection.ask(work, _READ_SECONDS)
        except Unavailable as error:
            reason = str(error)
        except Exception as error:  # noqa: BLE001 (libvirtError can't be named before libvirt is imported)
            reason = f"libvirt at {self.uri} could not be read: {message(error)}."
        return Libvirt(known.uri, available=False, reason=reason)


def _unless_gone(lv: Any, read: Callable[[], T]) -> T | None:
    """``None`` for what was undefined between being listed and being read."""
    try:
        return read()
    except lv.libvirtError as error:
        if error.get_error_code() in (lv.VIR_ERR_NO_DOMAIN, lv.VIR_ERR_NO_NETWORK):
            return None
        raise


def _channels(lv: Any, connection: Any, is_vf: libvirt_xml.IsVf) -> dict[str, str]:
    """The channels for agents of running guests with VFs, by domain."""
    found = {}
    for domain in connection.listAllDomains(lv.VIR_CONNECT_LIST_DOMAINS_ACTIVE):
        text = _unless_gone(lv, partial(domain.XMLDesc, 0))
        live = libvirt_xml.parse(text) if text is not None else None
        if live is not None and libvirt_xml.has_vfs(live, is_vf):
            found[domain.name()] = guest_agent.channel(live)
    return found


class _Traits(NamedTuple):
    """What libvirt says of a domain beside its XML."""

    running: bool
    persistent: bool
    autostart: bool


def _traits(lv: Any, connection: Any) -> Callable[[Any], _Traits]:
    """Of all domains, by three lists of them: each question about one domain is a round trip of its own."""
    flags = (
        lv.VIR_CONNECT_LIST_DOMAINS_ACTIVE,
        lv.VIR_CONNECT_LIST_DOMAINS_PERSISTENT,
        lv.VIR_CONNECT_LIST_DOMAINS_AUTOSTART,
    )
    lists = [{domain.UUIDString() for domain in connection.listAllDomains(flag)} for flag in flags]
    return lambda found: _Traits(*(found.UUIDString() in listed for listed in lists))


def _traits_of(lv: Any, found: Any) -> _Traits | None:
    return _unless_gone(
        lv, lambda: _Traits(bool(found.isActive()), bool(found.isPersistent()), bool(found.autostart()))
    )


def _domain(
    lv: Any,
    found: Any,
    traits: _Traits,
    networks: dict[str, Network],
    is_vf: libvirt_xml.IsVf,
    nodes: dict[int, int],
) -> Domain | None:
    if not traits.running and not traits.persistent:
        return None  # It was listed, and is gone since.
    modes = {network.name: network.mode for network in networks.values()}

    def read() -> Domain:
        domain = Domain(
            name=found.name(),
            uuid=found.UUIDString(),
            running=traits.running,
            persistent=traits.persistent,
            autostart=traits.autostart,
        )
        if domain.persistent:
            config = libvirt_xml.parse(found.XMLDesc(lv.VIR_DOMAIN_XML_INACTIVE))
            domain.config = libvirt_xml.nics(config, is_vf, modes)
            domain.other_aliases = libvirt_xml.other_aliases(config, is_vf)
            domain.hardware = guest_hardware(config, nodes)
            domain.buses = pci_buses(config)
        if domain.running:
            live = libvirt_xml.parse(found.XMLDesc(0))
            domain.live = libvirt_xml.nics(live, is_vf, modes)
            domain.other_aliases = sorted({*domain.other_aliases, *libvirt_xml.other_aliases(live, is_vf)})
            domain.hardware = guest_hardware(live, nodes)
        return domain

    domain = _unless_gone(lv, read)
    if domain is not None:
        libvirt_xml.mark_pool_nics(domain.name, domain.live, domain.config, networks)
    return domain


def _networks(lv: Any, connection: Any) -> dict[str, Network]:
    found = (_network(lv, network) for network in connection.listAllNetworks(0))
    return {network.name: network for network in found if network is not None}


def _network(lv: Any, found: Any) -> Network | None:
    return _unless_gone(lv, lambda: _read_network(lv, found))


def _read_network(lv: Any, found: Any) -> Network:
    forward = libvirt_xml.forward(libvirt_xml.parse(found.XMLDesc(lv.VIR_NETWORK_XML_INACTIVE)))
    network = Network(
        name=found.name(),
        uuid=found.UUIDString(),
        active=bool(found.isActive()),
        persistent=bool(found.isPersistent()),
        autostart=bool(found.autostart()),
        mode=forward.mode,
        pf_dev=forward.pf_dev,
        addresses=forward.addresses,
    )
    if network.mode == "hostdev" and network.active:
        network.live_addresses = libvirt_xml.forward(libvirt_xml.parse(found.XMLDesc(0))).addresses
        network.ports = _ports(lv, found)
    return network


def _ports(lv: Any, network: Any) -> list[Any]:
    """Who has which address; none with libvirt older than 5.5 and drivers without ports (test)."""
    try:
        return [libvirt_xml.network_port(port.XMLDesc(0)) for port in network.listAllPorts(0)]
    except AttributeError:
        return []
    except lv.libvirtError as error:
        if error.get_error_code() in (lv.VIR_ERR_NO_SUPPORT, lv.VIR_ERR_NO_NETWORK_PORT):
            return []
        raise
