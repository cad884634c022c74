"""Huge pages of a simulated host: the kernel makes as many as there is memory for, and says nothing when these are
fewer (__nr_hugepages_store_common, set_max_huge_pages in mm/hugetlb.c)."""

from __future__ import annotations

import errno

from reconciler.host.model import HugePagePools, NodePages, PagesOfSize
from reconciler.host.twin.errors import kernel_error
from reconciler.host.twin.state import Twin
from reconciler.state.desired import Pages
from reconciler.state.refs import page_size_kib

_PER_GIB = 0.1
"""Seconds until a GiB is cleared and handed over."""


def set_now(twin: Twin, size: str, pages: Pages) -> float:
    """A write to ``nr_hugepages``, of the host or of each node."""
    found = (twin.hugepages.sizes or {}).get(size)
    if found is None:
        raise kernel_error(errno.ENOENT)
    before = found.total
    if isinstance(pages, dict):
        for node, count in pages.items():
            if node not in found.nodes:
                raise kernel_error(errno.ENOENT)
            _set(twin, size, found.nodes[node], count, twin.hugepages.nodes_kib.get(node))
    elif found.nodes:
        _spread(twin, size, found, pages)
    else:
        _set(twin, size, found, pages, None)
    _sum(found)
    return abs(found.total - before) * (page_size_kib(size) or 0) / 2**20 * _PER_GIB


def _spread(twin: Twin, size: str, found: PagesOfSize, pages: int) -> None:
    """Evenly, as far as there is room on each node; the last one takes what the others could not."""
    left = pages
    for number, (name, node) in enumerate(found.nodes.items()):
        _set(twin, size, node, left // (len(found.nodes) - number), twin.hugepages.nodes_kib.get(name))
        left = max(0, left - (node.total - node.surplus))


def _set(twin: Twin, size: str, node: NodePages, count: int, memory: int | None) -> None:
    """Of a node, or of a host without nodes: pages in use stay, as surplus."""
    used, kib = node.total - node.free, page_size_kib(size) or 1
    room = (_room(twin) + (node.total * kib)) // kib
    if memory is not None:
        room = min(room, memory // kib)
    room = min(room, twin.most_pages.get(size, room))
    node.total = max(used, min(count, max(room, node.total)))
    node.surplus = max(0, node.total - count)
    node.free = node.total - used


def _room(twin: Twin) -> int:
    """KiB that no huge page has, less what running guests have in ordinary ones."""
    taken = sum(pages.total * (page_size_kib(size) or 0) for size, pages in (twin.hugepages.sizes or {}).items())
    guests = [domain.hardware for domain in twin.libvirt.domains.values() if domain.running and domain.hardware]
    taken += sum(guest.memory_kib for guest in guests if guest.huge_page_kib is None)
    return max(0, (twin.hugepages.memory_kib or 0) - taken)


def _sum(found: PagesOfSize) -> None:
    if found.nodes:
        nodes = found.nodes.values()
        found.total, found.free = sum(node.total for node in nodes), sum(node.free for node in nodes)
        found.surplus = sum(node.surplus for node in nodes)


def empty(memory_kib: int, nodes: int) -> HugePagePools:
    """None of any size of x86, of so much memory on so many nodes."""
    names = [f"node{number}" for number in range(nodes)]
    return HugePagePools(
        {size: PagesOfSize(nodes={name: NodePages() for name in names}) for size in ("2M", "1G")},
        memory_kib=memory_kib,
        nodes_kib=dict.fromkeys(names, memory_kib // nodes),
    )


def reboot(twin: Twin) -> None:
    """None are left but those that our own file makes."""
    for size, found in (twin.hugepages.sizes or {}).items():
        for pages in (found, *found.nodes.values()):
            pages.total = pages.free = pages.surplus = 0
        found.reserved = 0
        wanted = (twin.hugepages.own or {}).get(size)
        if wanted is not None:
            set_now(twin, size, wanted)
