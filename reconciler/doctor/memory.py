"""Memory of guests with VFs: all of it is pinned, within a limit, and it may come from huge pages."""

from __future__ import annotations

from reconciler.doctor.document import Checked, Finding, Unchecked
from reconciler.doctor.facts import Facts, Found, vf_nics
from reconciler.doctor.guests import to_attach
from reconciler.host.model import Domain, GuestHardware

_GIB = 1024 * 1024
"""KiB in a GiB: what libvirt adds to a guest's memory for its limit (qemuDomainGetMemLockLimitBytes)."""
_LIMIT_PER_DEVICE = 8_007_000
"""libvirt from which on the limit of a guest with a vIOMMU counts its memory once per VFIO device (NEWS 8.7.0)."""


def check_memory(facts: Facts) -> Found:
    """VFIO pins all RAM of a guest (vfio_iommu_type1), so that of all guests with VFs together has to fit: huge pages
    into their pool, the rest into what these leave."""
    if not facts.wants_guests:
        return
    by_size: dict[int | None, list[Domain]] = {}
    for domain in facts.domains:
        if not _wants(facts, domain):
            continue
        guest = domain.hardware
        if guest is None or not guest.memory_kib:
            yield Unchecked("memory", f"how much {domain.name} has")
            continue
        yield from _hard_limit(facts, domain, guest)
        by_size.setdefault(guest.huge_page_kib, []).append(domain)
    for size, domains in by_size.items():
        yield from _ordinary(facts, domains) if size is None else _huge(facts, domains, size)


def _wants(facts: Facts, domain: Domain) -> bool:
    """Whether it has VFs, or the file gives it some."""
    declared = facts.desired.domains.get(domain.name) if facts.desired is not None else None
    given = any(nic.state == "present" for nic in declared.nics.values()) if declared else False
    return given or bool(vf_nics(domain.live) or vf_nics(domain.config))


def _memory(domain: Domain) -> int:
    return domain.hardware.memory_kib if domain.hardware is not None else 0


def _ordinary(facts: Facts, domains: list[Domain]) -> Found:
    """Guests in ordinary pages. MemTotal counts huge pages, and MemAvailable doesn't: they are taken out of the free
    pages when they are reserved (Documentation/admin-guide/mm/hugetlbpage.rst)."""
    total, pages = facts.platform.memory_total_kib, facts.platform.huge_pages
    if total is None or pages is None:
        yield Unchecked("memory", "how much the host has")
        return
    total -= sum(page.size_kib * page.total for page in pages)
    need = sum(_memory(domain) for domain in domains)
    if need > total:
        yield Finding(
            "problem",
            "memory-too-small",
            "memory",
            f"Guests with VFs have {_size(need)} together, and the host {_size(total)}, huge pages not counted.",
            "All memory of a guest with a VF is pinned from its start on: neither overcommitted nor swapped. They "
            "can't all run.",
            f"Give these guests less memory, or run fewer at a time: {', '.join(domain.name for domain in domains)}.",
        )
        return
    yield Checked("memory", f"{_size(need)} pinned when all {len(domains)} guests with VFs run, of {_size(total)}")
    available = facts.platform.memory_available_kib
    for domain in domains if available is not None else []:
        if not domain.running and _memory(domain) > (available or 0):
            yield _not_free(domain, _memory(domain), f"{_size(available or 0)} are available", "Free memory")


def _huge(facts: Facts, domains: list[Domain], size: int) -> Found:
    """Guests in huge pages of one size, 0: the default one."""
    pages = facts.platform.huge_pages
    size = size or facts.platform.default_huge_page_kib or 0
    if pages is None or not size:
        yield Unchecked("memory", f"the huge pages for {', '.join(domain.name for domain in domains)}")
        return
    pool = next((page for page in pages if page.size_kib == size), None)
    total, free = (pool.total * size, pool.free * size) if pool is not None else (0, 0)
    need = sum(_memory(domain) for domain in domains)
    if need > total:
        yield Finding(
            "problem",
            "huge-pages-too-few",
            "memory",
            f"Guests with VFs want {_size(need)} in huge pages of {_size(size)}, and the host has {_size(total)} in "
            "them.",
            "A guest in huge pages starts only when there are enough of them. They can't all run.",
            f"Reserve at least {-(-need // size)} pages of that size, or run fewer of them at a time: "
            f"{', '.join(domain.name for domain in domains)}.",
        )
        return
    yield Checked("memory", f"{_size(need)} in huge pages for {len(domains)} guests with VFs, of {_size(total)}")
    for domain in domains:
        if not domain.running and _memory(domain) > free:
            seen = f"{_size(free)} are free in huge pages of {_size(size)}"
            yield _not_free(domain, _memory(domain), seen, "Free huge pages")


def _not_free(domain: Domain, need: int, seen: str, todo: str) -> Finding:
    return Finding(
        "warning",
        "memory-not-free",
        f"guest {domain.name}",
        f"{domain.name} needs {_size(need)} at once, and {seen}.",
        "With a VF its memory is pinned at its start, which fails or pushes others out.",
        f"{todo} before it starts.",
    )


def _hard_limit(facts: Facts, domain: Domain, guest: GuestHardware) -> Found:
    """<hard_limit> takes the place of libvirt's own limit: memory and 1 GiB. With a vIOMMU each VFIO device has a
    container of its own, which counts the guest's memory anew."""
    devices = max(1, guest.hostdevs + to_attach(facts, domain)) if guest.viommu else 1
    least = guest.memory_kib * devices + _GIB
    limit = guest.hard_limit_kib
    if limit is not None and limit < least:
        where = f"domain.{domain.name}" if facts.desired is not None else ""
        times = f", {devices} times with a vIOMMU and as many VFs," if devices > 1 else ""
        yield Finding(
            "problem",
            "hard-limit-too-low",
            f"guest {domain.name}",
            f"<memtune><hard_limit> is {_size(limit)}, for {_size(guest.memory_kib)} of memory"
            + (f" and a vIOMMU with {devices} devices." if devices > 1 else "."),
            f"It takes the place of libvirt's own limit for pinned memory (memory{times} and 1 GiB), so attaching a VF "
            'or starting the guest may fail with "Cannot allocate memory", or the guest may be killed.',
            f"Take <hard_limit> out of the definition, or raise it above {_size(least)}.",
            where,
            facts.line(where),
        )
    version = facts.host.libvirt.version
    if limit is None and devices > 1 and version is not None and version < _LIMIT_PER_DEVICE:
        yield Finding(
            "warning",
            "limit-of-pinned-memory",
            f"guest {domain.name}",
            f"{domain.name} has a vIOMMU and {devices} devices of the host.",
            "libvirt before 8.7.0 lets it pin its memory once, and with a vIOMMU each device pins it anew: the guest "
            'fails to start, or a VF to be attached, with "Cannot allocate memory" (NEWS 8.7.0).',
            f"Update libvirt to 8.7.0 or newer, or set <memtune><hard_limit> to {_size(least)}.",
        )


def _size(kib: int) -> str:
    return f"{kib / _GIB:.1f} GiB" if kib >= _GIB else f"{kib // 1024} MiB"
