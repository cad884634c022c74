"""The operation on huge pages: one of its two halves, now or at boot."""

from __future__ import annotations

from reconciler.host.model import NodePages, PagesOfSize, Snapshot
from reconciler.host.protocol import Scope
from reconciler.kinds.operation import Args, Operation
from reconciler.state.checks import PAGE_SIZE, either, nothing_or, pages, table
from reconciler.state.desired import Pages

_LONGEST = 180.0
"""Seconds: on a host with a terabyte the kernel looks for free memory that long."""


def there(pages: NodePages) -> int:
    """How many there are for good; surplus ones go when they are given back."""
    return pages.total - pages.surplus


def now_of(found: PagesOfSize, wanted: Pages) -> Pages:
    """How many there are, told as it was asked: for the host, or for the nodes that were named."""
    if isinstance(wanted, int):
        return there(found)
    return {node: there(found.nodes[node]) if node in found.nodes else 0 for node in wanted}


def _of(host: Snapshot, args: Args) -> PagesOfSize | None:
    return (host.hugepages.sizes or {}).get(args["size"])


def _is_set(host: Snapshot, args: Args) -> bool:
    if "boot" in args:
        return bool((host.hugepages.own or {}).get(args["size"]) == args["boot"])
    found = _of(host, args)
    return found is not None and now_of(found, args["now"]) == args["now"]


def _set(host: Snapshot, args: Args) -> None:
    if "boot" in args:
        own = {**(host.hugepages.own or {}), args["size"]: args["boot"]}
        host.hugepages.own = {size: count for size, count in own.items() if count is not None} or None
        return
    found = _of(host, args)
    if found is None:
        return
    wanted = args["now"]
    if isinstance(wanted, int):
        _set_total(found, wanted)
        return
    for node, count in wanted.items():
        if node in found.nodes:
            more = count - there(found.nodes[node])
            _add(found.nodes[node], more)
            _add(found, more)


def _set_total(found: PagesOfSize, count: int) -> None:
    """The kernel goes round the nodes, one page each (alloc_pool_huge_folio in mm/hugetlb.c)."""
    more = count - there(found)
    _add(found, more)
    nodes = list(found.nodes.values())
    for number, node in enumerate(nodes):
        share = max(more // (len(nodes) - number), -there(node))
        _add(node, share)
        more -= share


def _add(pages_of: NodePages, more: int) -> None:
    pages_of.total += more
    pages_of.free = max(0, pages_of.free + more)


def _fell_short(host: Snapshot, args: Args) -> str:
    """The kernel makes as many as it can, and says nothing."""
    found = _of(host, args)
    if "now" not in args or found is None:
        return ""
    wanted, had = args["now"], now_of(found, args["now"])
    if isinstance(had, int):
        lacking = [f"{had} of {wanted}"] if had < wanted else []
    else:
        lacking = [f"{count} of {wanted[node]} on {node}" for node, count in had.items() if count < wanted[node]]
    if not lacking:
        return ""
    return (
        f"Of the pages of {args['size']} the host has {', '.join(lacking)}: its memory is in use or fragmented, also "
        "after pages were moved together and caches dropped. Stop guests, or declare fewer pages; after a reboot, "
        "while memory is not fragmented yet, all can be had."
    )


OPERATIONS = (
    Operation(
        "hugepages.set",
        either(
            now=table({"size": PAGE_SIZE, "now": pages}),
            boot=table({"size": PAGE_SIZE, "boot": nothing_or(pages)}),
        ),
        lambda args: Scope("hugepages", ""),
        _is_set,
        _set,
        fell_short=_fell_short,
        deadline=lambda args: _LONGEST if "now" in args else 10.0,
    ),
)
