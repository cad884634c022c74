"""libvirt's definitions, read from its files: early in boot, before its daemons may be started. Whoever connected to
libvirt then would start it by its sockets, and with it the networks and guests that the VFs are to be made for.

The files are those of libvirt's own drivers for a system (src/qemu/qemu_conf.c and src/network/bridge_driver.c:
configDir, autostartDir): ``FOLDER/NAME.xml``, as `virsh dumpxml --inactive` shows it, and a link of that name in
``FOLDER/autostart`` for what is started at boot. They are only read.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from reconciler.host.local import libvirt_xml
from reconciler.host.local.guest_hardware import guest_hardware
from reconciler.host.local.numa import nodes_of_cpus
from reconciler.host.local.pci_buses import pci_buses
from reconciler.host.model import Domain, Libvirt, Network
from reconciler.host.platform import Platform

FILES = "files"
"""In place of a URI: libvirt is not to be asked."""
DOMAINS = "etc/libvirt/qemu"
NETWORKS = "etc/libvirt/qemu/networks"


class LibvirtFiles:
    """Stands in for `reconciler.host.local.libvirt.LibvirtReader` while libvirt is not there to be asked."""

    def __init__(self, root: Path = Path("/")) -> None:
        self.root = root

    def read(self, is_vf: libvirt_xml.IsVf) -> Libvirt:
        """All definitions; not available, with the reason, when any can't be read: half of the domains would look as if
        the others had no VF."""
        found = Libvirt(FILES, available=True, by_files=True)
        try:
            found.networks = {network.name: network for network in self._networks()}
            modes = {name: network.mode for name, network in found.networks.items()}
            found.domains = {domain.name: domain for domain in self._domains(is_vf, modes)}
        except OSError as error:
            return Libvirt(FILES, by_files=True, reason=f"{error.filename} can't be read: {error.strerror}.")
        except _Unreadable as error:
            return Libvirt(FILES, by_files=True, reason=str(error))
        return found

    def refresh_domain(self, known: Libvirt, name: str, is_vf: libvirt_xml.IsVf) -> Libvirt:
        """Reads everything again, which takes no longer."""
        return self.read(is_vf)

    def refresh_networks(self, known: Libvirt) -> Libvirt:
        """The networks stay as they were read: nobody changes them while libvirt doesn't run."""
        return known

    def examine(self, found: Platform, is_vf: libvirt_xml.IsVf) -> None:
        """Adds nothing: QEMU and the guests are libvirt's to ask."""

    def _domains(self, is_vf: libvirt_xml.IsVf, modes: dict[str, str]) -> Iterator[Domain]:
        nodes = nodes_of_cpus(self.root)
        for path, xml in _definitions(self.root / DOMAINS, "domain"):
            yield Domain(
                name=_text(xml, "name", path),
                uuid=_text(xml, "uuid", path),
                autostart=_autostart(path),
                config=libvirt_xml.nics(xml, is_vf, modes),
                other_aliases=libvirt_xml.other_aliases(xml, is_vf),
                hardware=guest_hardware(xml, nodes),
                buses=pci_buses(xml),
            )

    def _networks(self) -> Iterator[Network]:
        for path, xml in _definitions(self.root / NETWORKS, "network"):
            forward = libvirt_xml.forward(xml)
            yield Network(
                name=_text(xml, "name", path),
                uuid=_text(xml, "uuid", path),
                autostart=_autostart(path),
                mode=forward.mode,
                pf_dev=forward.pf_dev,
                addresses=forward.addresses,
            )


class _Unreadable(Exception):
    """A file is not as libvirt writes it; the message is a full sentence."""


def _definitions(folder: Path, kind: str) -> Iterator[tuple[Path, libvirt_xml.Element]]:
    """Path and content of each; none where libvirt never was."""
    if not folder.is_dir():
        return
    for path in sorted(folder.iterdir()):
        if path.suffix != ".xml" or not path.is_file():
            continue
        try:
            xml = libvirt_xml.parse(path.read_text(encoding="utf-8"))
        except ValueError as error:  # Also a text that is no UTF-8.
            raise _Unreadable(f"{path}: {error}.") from error
        if xml.tag != kind:
            raise _Unreadable(f"{path} holds a <{xml.tag}>, and not a <{kind}>.")
        yield path, xml


def _text(xml: libvirt_xml.Element, name: str, path: Path) -> str:
    found = (xml.findtext(name) or "").strip()
    if not found:
        raise _Unreadable(f"{path} has no <{name}>.")
    return found


def _autostart(path: Path) -> bool:
    return (path.parent / "autostart" / path.name).is_symlink()
