"""What a domain's XML says that matters when the guest goes to another host; pure text in, data out."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from reconciler.host.guests import Disk, Essence
from reconciler.host.local.libvirt_xml import Element, IsVf, canonical_text, is_vf_or_ours, pci_address
from reconciler.host.local.shared_storage import Storage

_LOCALHOST = re.compile(r"localhost(\.localdomain)?|127\.[0-9.]+|::1|ip6-localhost")
_SOURCE = ("file", "dev", "dir", "name", "volume", "pool", "protocol", "type", "path", "bridge", "network", "portgroup")
_EVERYWHERE = re.compile(r"0\.0\.0\.0|::|127\.[0-9.]+|::1|localhost")
_BOOT_FILES = ("kernel", "initrd", "dtb", "shim")
_STATE_OF_ITS_OWN = {
    "nvdimm": "its NVDIMM {}",
    "virtio-pmem": "its persistent memory {}",
}


@dataclass(frozen=True, slots=True)
class Taken:
    """A NIC's element that names a VF."""

    element: Element
    alone: bool
    """It has no stand-in: no teaming as the transient half of a pair."""


def vf_nics(domain: Element, is_vf: IsVf) -> list[Taken]:
    """The NICs that name a VF of this host: <interface type='hostdev'>, and plain <hostdev> devices that are VFs. One
    with our own alias counts also while nothing is at its address."""
    found = []
    for element in _devices(domain, "interface", "hostdev"):
        if element.tag == "interface":
            names_one = element.get("type") == "hostdev"
        else:
            names_one = _is_pci(element) and _is_nic(element, is_vf)
        if names_one:
            found.append(Taken(element, not _teamed(element)))
    return found


def pool_nics(domain: Element, is_pool: Callable[[str], bool]) -> list[Taken]:
    """The NICs that get a VF from a pool."""
    return [
        Taken(element, not _teamed(element))
        for element in _devices(domain, "interface")
        if element.get("type") == "network" and is_pool(_attribute(element, "source", "network"))
    ]


def _teamed(element: Element) -> bool:
    return _attribute(element, "teaming", "type") == "transient"


def _is_pci(element: Element) -> bool:
    return element.get("type") == "pci" and element.get("mode") == "subsystem"


def _is_nic(element: Element, is_vf: IsVf) -> bool:
    return is_vf_or_ours(pci_address(element.find("source/address")), _attribute(element, "alias", "name"), is_vf)


def name_of(element: Element) -> str:
    """How a NIC is called in messages: by its alias, MAC or PCI address."""
    return (
        _attribute(element, "alias", "name")
        or _attribute(element, "mac", "address")
        or pci_address(element.find("source/address"))
        or "NIC"
    )


def strip(domain: Element, is_vf: IsVf) -> None:
    """Takes those NICs out; all else stays as it is, also what we don't know."""
    for taken in vf_nics(domain, is_vf):
        parent = taken.element.getparent()
        if parent is not None:
            parent.remove(taken.element)


def networks(domain: Element) -> list[str]:
    """The libvirt networks that NICs are on, each once."""
    found = [
        _attribute(element, "source", "network")
        for element in _devices(domain, "interface")
        if element.get("type") == "network"
    ]
    return list(dict.fromkeys(filter(None, found)))


def links(domain: Element) -> list[str]:
    """Bridges and interfaces of the host that NICs are on, each once."""
    found = []
    for element in _devices(domain, "interface"):
        match element.get("type"):
            case "bridge":
                found.append(f"bridge {_attribute(element, 'source', 'bridge')}")
            case "direct":
                found.append(f"interface {_attribute(element, 'source', 'dev')}")
            case "ethernet":
                found.append(f"interface {_attribute(element, 'target', 'dev') or 'made by a script'}")
    return list(dict.fromkeys(found))


def disks(domain: Element, storage: Storage) -> tuple[list[Disk], list[str]]:
    """All disks with a source, and the files below them that the XML or an image's header names; and of which files
    that is not known. An empty drive has none."""
    found, unread = [], []
    for element in _devices(domain, "disk"):
        name = _attribute(element, "target", "dev") or "disk"
        for kind, source in _sources(element):
            found.append(_disk(name, kind, source, storage))
        image = _attribute(element, "source", "file")
        # Where the XML tells the chain of images, that is the chain.
        if image and _attribute(element, "driver", "type") == "qcow2" and element.find("backingStore") is None:
            below = storage.below(image)
            known = {disk.source for disk in found}
            found += [_file(name, path, storage) for path in below.files if path not in known]
            unread += below.unread
    return found, unread


def _sources(disk: Element) -> Iterator[tuple[str, Element]]:
    source = disk.find("source")
    if source is not None:
        yield disk.get("type") or "file", source
        data = source.find("dataStore")
        if data is not None:
            yield from _sources(data)
    backing = disk.find("backingStore")
    if backing is not None and backing.get("type"):
        yield from _sources(backing)


def _file(name: str, path: str, storage: Storage) -> Disk:
    shared, where = storage.shared_at(path)
    real = storage.real(path) if path else path
    return Disk(name, path, shared, where, real if real != path else "")


def _network_disk(name: str, source: Element) -> Disk:
    protocol = source.get("protocol") or "network"
    place = f"{protocol}:{source.get('name') or ''}"
    if source.find("host[@transport='unix']") is not None:
        return Disk(name, "a socket of this host", False, "a network disk that is reached by a socket")
    hosts = [host.get("name") or "localhost" for host in source.iterfind("host")]
    if not hosts and protocol == "nbd":
        hosts = ["localhost"]  # What QEMU takes then (docs/formatdomain.rst of libvirt, host).
    own = next((host for host in hosts if _LOCALHOST.fullmatch(host)), None)
    if own is not None:
        return Disk(name, place, False, f"a network disk that is served at {own}, which is another host there")
    return Disk(name, place, True, "a network disk")


def _disk(name: str, kind: str, source: Element, storage: Storage) -> Disk:
    if kind == "network":
        return _network_disk(name, source)
    if kind == "volume":
        place = f"volume {source.get('volume')} of storage pool {source.get('pool')}"
        return Disk(name, place, False, "libvirt does not say that another host has the same pool")
    path = source.get("file") or source.get("dir") or source.get("dev") or source.get("path") or ""
    if kind in ("file", "dir"):
        return _file(name, path, storage)
    why = "a block device of this host" if kind == "block" else f"a disk of type {kind}"
    return Disk(name, path or kind, False, why)


def secrets(domain: Element) -> list[str]:
    """libvirt secrets that disks need, by UUID or usage, each once."""
    found = domain.iterfind("devices/disk//secret")
    return list(dict.fromkeys(element.get("uuid") or element.get("usage") or "" for element in found))


def states(domain: Element) -> list[str]:
    """What the guest keeps in files of this host beside its disks."""
    found = []
    loader, nvram, os = domain.find("os/loader"), domain.find("os/nvram"), domain.find("os")
    stateless = loader is not None and loader.get("stateless") == "yes"
    efi = os is not None and os.get("firmware") == "efi"
    if (nvram is not None or efi) and not stateless:
        path = (nvram.text or "").strip() if nvram is not None else ""
        found.append(f"its NVRAM{f' ({path})' if path else ''}, which has the UEFI settings")
    for tpm in _devices(domain, "tpm"):
        kind = _attribute(tpm, "backend", "type")
        found.append("the state of its TPM" if kind != "passthrough" else "the host's TPM, which is passed through")
    for memory in _devices(domain, "memory"):
        words = _STATE_OF_ITS_OWN.get(memory.get("model") or "")
        if words:
            found.append(words.format(f"({memory.findtext('source/path') or 'a file'})"))
    return found


def devices(domain: Element, is_vf: IsVf) -> list[str]:
    """What it has of this host alone, beside the NICs that are taken off."""
    ours = {id(taken.element) for taken in vf_nics(domain, is_vf)}
    found = []
    for element in _devices(domain, "hostdev"):
        if id(element) in ours:
            continue
        what = pci_address(element.find("source/address")) if _is_pci(element) else _attributes(element.find("source"))
        found.append(f"a {element.get('type') or element.get('mode')} device of the host ({what or 'unnamed'})")
    for element in _devices(domain, "filesystem"):
        source = element.find("source")
        found.append(f"a folder of the host ({_attributes(source) or 'unnamed'})")
    for element in _devices(domain, "interface"):
        if element.get("type") in ("vhostuser", "vdpa"):
            found.append(f"a {element.get('type')} NIC ({_attributes(element.find('source')) or 'unnamed'})")
    for element in _devices(domain, "shmem"):
        found.append(f"shared memory of the host ({element.get('name') or 'unnamed'})")
    for element in _devices(domain, "input"):
        if element.get("type") in ("passthrough", "evdev"):
            found.append(f"an input device of the host ({_attributes(element.find('source')) or 'unnamed'})")
    return found


def boot_files(domain: Element) -> list[str]:
    """Files that the machine starts from, which the other host needs at the same place."""
    os = domain.find("os")
    if os is None:
        return []
    found = [(element.text or "").strip() for name in _BOOT_FILES for element in os.iterfind(name)]
    loader = os.find("loader")
    if loader is not None and os.get("firmware") is None:
        found.append((loader.text or "").strip())
    found += [(element.text or "").strip() for element in os.iterfind("acpi/table")]
    return list(dict.fromkeys(filter(None, found)))


def resources(domain: Element) -> list[str]:
    """What it needs of a host's CPUs and memory to start."""
    found = []
    if domain.find("cputune/vcpupin") is not None or domain.find("vcpu[@cpuset]") is not None:
        found.append("CPUs that it is pinned to")
    if domain.find("numatune") is not None:
        found.append("NUMA nodes that its memory is bound to")
    if domain.find("memoryBacking/hugepages") is not None:
        found.append("huge pages")
    return found


def needs(domain: Element) -> list[str]:
    """What else of its host it names, and that another one may have under the same name."""
    found = [
        f"the network filter {element.get('filter')}" for element in domain.iterfind("devices/interface/filterref")
    ]
    for element in _devices(domain, "serial", "parallel", "console", "channel"):
        if element.get("type") == "dev":
            found.append(f"the {element.tag} port {_attribute(element, 'source', 'path')}")
    if domain.find("devices/smartcard[@mode='host']") is not None:
        found.append("the host's smart card reader")
    for element in _devices(domain, "graphics"):
        listens = [element.get("listen") or "", *(item.get("address") or "" for item in element.iterfind("listen"))]
        own = [address for address in listens if address and not _EVERYWHERE.fullmatch(address)]
        found += [f"the address {address} for {element.get('type')}" for address in own]
    return list(dict.fromkeys(found))


def machine(domain: Element) -> dict[str, str]:
    """What `virConnectGetDomainCapabilities` is asked about."""
    kind = domain.find("os/type")
    return {
        "emulator": (domain.findtext("devices/emulator") or "").strip(),
        "arch": kind.get("arch", "") if kind is not None else "",
        "machine": kind.get("machine", "") if kind is not None else "",
        "virttype": domain.get("type") or "",
    }


def essence(domain: Element) -> Essence:
    """What has to be the same on the other side; what libvirt may fill in by itself (addresses, controllers) is no part
    of it."""
    found: Essence = {}
    for name in ("name", "uuid", "title", "description", "memory", "currentMemory", "vcpu", "genid"):
        text = domain.findtext(name)
        if text is not None:
            found[name] = text.strip()
    found["machine"] = " ".join(value for value in machine(domain).values() if value)
    found["boot"] = " ".join(boot_files(domain)) + (domain.findtext("os/cmdline") or "")
    metadata = domain.find("metadata")
    if metadata is not None and len(metadata):
        found["metadata"] = _digest(metadata)
    for element in _devices(domain, "disk"):
        sources = " < ".join(f"{kind} {_attributes(source)}" for kind, source in _sources(element))
        key = f"disk {_attribute(element, 'target', 'dev')}"
        found[key] = f"{element.get('device') or 'disk'} {sources}".strip()
    for number, element in enumerate(_devices(domain, "interface")):
        key = f"NIC {_attribute(element, 'mac', 'address').lower() or number} {element.get('type')}"
        address = pci_address(element.find("source/address"))
        parts = [_attributes(element.find("source")), address or "", _attribute(element, "alias", "name")]
        found[key] = " ".join(filter(None, [*parts, _attribute(element, "vlan/tag", "id")]))
    for number, element in enumerate(_devices(domain, "hostdev")):
        address = pci_address(element.find("source/address")) if _is_pci(element) else None
        found[f"device {address or number}"] = f"{element.get('type')} {_attribute(element, 'alias', 'name')}".strip()
    return found


def _digest(element: Element) -> str:
    """Of what is in an element, however it is written."""
    return hashlib.sha256(canonical_text(element).encode()).hexdigest()[:16]


def _devices(domain: Element, *tags: str) -> list[Element]:
    found = domain.find("devices")
    return [element for element in found if element.tag in tags] if found is not None else []


def _attribute(element: Element, path: str, name: str) -> str:
    found = element.find(path)
    return (found.get(name) or "") if found is not None else ""


def _attributes(element: Element | None) -> str:
    """What names a source, in an order of its own."""
    if element is None:
        return ""
    return " ".join(f"{name} {element.get(name)}" for name in _SOURCE if element.get(name))
