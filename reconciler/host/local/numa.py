"""NUMA nodes: of this machine's CPUs, and those that a guest is bound to."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from reconciler.host.local.libvirt_xml import Element


def guest_nodes(domain: Element, nodes: Mapping[int, int]) -> set[int]:
    """The host's nodes that a guest's memory comes from, strictly or by preference; else those that its virtual CPUs
    are pinned to. Empty: it is bound to none. ``nodes``: the node of each of the host's CPUs."""
    memory = [*domain.iterfind("numatune/memory"), *domain.iterfind("numatune/memnode")]
    found = {node for element in memory for node in numbers(element.get("nodeset", ""))}
    if found:
        return found
    pins = domain.findall("cputune/vcpupin") or domain.findall("vcpu")
    cpus = {cpu for element in pins for cpu in numbers(element.get("cpuset", ""))}
    return {nodes[cpu] for cpu in cpus if cpu in nodes}


def numbers(text: str) -> set[int]:
    """``0-3,8``: the kernel's lists of CPUs and nodes; libvirt's have exceptions too: ``0-7,^2``. What is none of these
    is left out."""
    found: set[int] = set()
    for part in "".join(text.split()).split(","):
        first, dash, last = part.removeprefix("^").partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()) or len(part) > 12:
            continue
        named = set(range(int(first), int(last or first) + 1))
        found = found - named if part.startswith("^") else found | named
    return found


def nodes_of_cpus(root: Path) -> dict[int, int]:
    """The node of each CPU of this machine; empty where the kernel knows no nodes."""
    found: dict[int, int] = {}
    for path in root.glob("sys/devices/system/node/node*/cpulist"):
        node = path.parent.name.removeprefix("node")
        if node.isdecimal():
            found.update(dict.fromkeys(numbers(path.read_text()), int(node)))
    return found
