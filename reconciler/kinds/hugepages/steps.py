"""Steps that make and give back huge pages: what becomes fewer first, so that there is room for what becomes more."""

from __future__ import annotations

from reconciler.host.model import PagesOfSize
from reconciler.kinds.action import Step
from reconciler.kinds.builder import Builder
from reconciler.kinds.hugepages.compare import compare, lacking
from reconciler.kinds.hugepages.operations import now_of, there
from reconciler.state.address import address
from reconciler.state.desired import Pages


def plan(builder: Builder) -> None:
    """What differs, of each size that the host has."""
    differing = {(state.address, state.field) for state in compare(builder.resolution, builder.host) if state.differs}
    sizes = builder.host.hugepages.sizes or {}
    possible = {
        size: declared
        for size, declared in builder.resolution.desired.hugepages.items()
        if size in sizes and lacking(size, declared, builder.host) is None
    }
    for size, declared in sorted(possible.items(), key=lambda item: _more(sizes[item[0]], item[1]) > 0):
        where = address("hugepages", size)
        if (where, "now") in differing:
            undo = [Step("hugepages.set", where, {"size": size, "now": _as_it_is(sizes[size], declared)})]
            builder.add("hugepages.set", where, {"size": size, "now": declared}, undo=undo)
        if (where, "boot") in differing:
            before = (builder.host.hugepages.own or {}).get(size)
            undo = [Step("hugepages.set", where, {"size": size, "boot": before})]
            builder.add("hugepages.set", where, {"size": size, "boot": declared}, undo=undo)


def _more(found: PagesOfSize, declared: Pages) -> int:
    now = now_of(found, declared)
    if isinstance(now, int):
        return declared - now if isinstance(declared, int) else 0
    return sum(declared.values()) - sum(now.values()) if isinstance(declared, dict) else 0


def _as_it_is(found: PagesOfSize, declared: Pages) -> Pages:
    """How many there are, by node where there are several: the kernel would spread them otherwise."""
    if isinstance(declared, int) and len(found.nodes) > 1:
        return {node: there(pages) for node, pages in found.nodes.items()}
    return now_of(found, declared)
