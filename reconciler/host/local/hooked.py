"""The host as libvirt's hook sees it: without asking libvirt, which waits for the hook and would wait for ever
(docs/hooks.rst, "Calling libvirt functions from within a hook script"). What it needs of the guest is in the XML that
libvirt passes on."""

from __future__ import annotations

from reconciler.host.local import libvirt_xml
from reconciler.host.local.libvirt import LibvirtReader
from reconciler.host.local.reader import LocalReader
from reconciler.host.model import Domain, Libvirt


def hook_reader(xml: str, *, running: bool) -> LocalReader:
    """A reader of this machine that knows of one guest only. Raises ValueError for what is no XML."""
    reader = LocalReader("")
    reader.libvirt = _GivenGuest(xml, running)
    return reader


class _GivenGuest(LibvirtReader):
    """Answers from one guest's XML."""

    def __init__(self, xml: str, running: bool) -> None:
        super().__init__("")
        self.running = running
        self.element = libvirt_xml.parse(xml)

    def read(self, is_vf: libvirt_xml.IsVf) -> Libvirt:
        name = self.element.findtext("name") or ""
        nics = libvirt_xml.nics(self.element, is_vf, {})
        domain = Domain(name, self.element.findtext("uuid") or "", running=self.running, persistent=not self.running)
        domain.live, domain.config = (nics, []) if self.running else ([], nics)
        return Libvirt(available=True, domains={name: domain})

    def refresh_domain(self, known: Libvirt, name: str, is_vf: libvirt_xml.IsVf) -> Libvirt:
        return self.read(is_vf)

    def refresh_networks(self, known: Libvirt) -> Libvirt:
        return known
