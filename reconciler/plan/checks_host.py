"""What makes the host's own part of a file impossible: services that can't be as declared, huge pages for which there
is no room."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from reconciler.diagnostics import Diagnostic
from reconciler.host.model import Snapshot
from reconciler.kinds.hugepages.compare import lacking
from reconciler.kinds.hugepages.operations import now_of, there
from reconciler.kinds.modules.compare import LOAD
from reconciler.kinds.modules.operations import kernel_name
from reconciler.kinds.resolution import Resolution
from reconciler.kinds.services.compare import LIBVIRT, trouble
from reconciler.kinds.services.operations import find
from reconciler.plan.checks_kernel import check_kernel
from reconciler.state.address import address
from reconciler.state.desired import Pages, ServiceState
from reconciler.state.refs import page_size_kib

_HOST_KIB = 512 * 1024
"""What the host itself needs at the very least, with libvirt and a shell."""
_GIB = 1024 * 1024


def check_host(resolution: Resolution, host: Snapshot) -> Iterator[Diagnostic]:
    """All findings."""
    yield from check_kernel(resolution, host)
    yield from _load(resolution, host)
    yield from _services(resolution, host)
    yield from _huge_pages(resolution, host)
    yield from _too_many(resolution, host)
    yield from _by_sysctl(resolution, host)


def _error(resolution: Resolution, code: str, summary: str, detail: str, where: str) -> Diagnostic:
    line = resolution.desired.line(where)
    return Diagnostic(severity="error", code=code, summary=summary, detail=detail, address=where, line=line)


def _load(resolution: Resolution, host: Snapshot) -> Iterator[Diagnostic]:
    """Modules that the kernel doesn't have, or that somebody else's blacklist keeps from being loaded at boot: also
    systemd-modules-load goes by it."""
    away = {entry.module: f"{entry.file}:{entry.line}".removesuffix(":0") for entry in host.modules.blacklist or []}
    for module in resolution.desired.load or ():
        name = kernel_name(module)
        if name in host.modules.missing:
            near = host.modules.missing[name]
            hint = f'did you mean "{near}"?' if near else "install the package that has it, or take it out."
            detail = f"{module} is not among the modules of {host.host.kernel or 'this kernel'}: {hint}"
            yield _error(resolution, "module-missing", "The kernel has no such module.", detail, LOAD)
        elif name in away and name not in host.modules.builtin:
            detail = f"{module} is blacklisted ({away[name]}), and so not loaded at boot. Take it out there, or here."
            yield _error(resolution, "module-is-blacklisted", "A blacklisted module is not loaded.", detail, LOAD)


def _services(resolution: Resolution, host: Snapshot) -> Iterator[Diagnostic]:
    desired = resolution.desired
    for name, declared in desired.services.items():
        where = address("services", name)
        found, others = trouble(name, declared, host), _otherwise(name, declared, desired.services, host)
        if others:
            both = "; ".join(f"{other} is declared {state}" for other, state in {name: declared, **others}.items())
            detail = f"{both}. These are names of one service, {_unit(name, host)}. Take out all but one."
            yield _error(resolution, "service-declared-twice", "One service is declared in two ways.", detail, where)
        elif found is not None:
            yield _error(resolution, found.code, found.summary, found.detail, where)
        elif declared == "stopped" and name in LIBVIRT and (desired.pools or desired.domains):
            detail = f"The file declares pools or guests, which takes {name}. Take one of the two out."
            yield _error(resolution, "service-is-needed", "The file needs a service that it stops.", detail, where)


def _unit(name: str, host: Snapshot) -> str:
    """What systemd calls it, whatever name it was asked for by; "" where that isn't known."""
    service = find(host, name)
    return service.unit if service is not None and service.load != "not-found" else ""


def _otherwise(
    name: str, declared: ServiceState, services: Mapping[str, ServiceState], host: Snapshot
) -> dict[str, ServiceState]:
    """Other names of the same service that are declared otherwise: each run would undo what the one before did."""
    unit = _unit(name, host)
    return {
        other: state for other, state in services.items() if unit and state != declared and _unit(other, host) == unit
    }


def _huge_pages(resolution: Resolution, host: Snapshot) -> Iterator[Diagnostic]:
    """Sizes and nodes that aren't there, and pages that guests have: these would stay, as surplus, until given back."""
    for size, declared in resolution.desired.hugepages.items():
        where, missing = address("hugepages", size), lacking(size, declared, host)
        if missing is not None:
            yield _error(resolution, *missing, where)
            continue
        found = (host.hugepages.sizes or {}).get(size)
        if found is None:
            continue
        if isinstance(declared, int):
            used = {"": (declared, found.total - found.free + found.reserved)}
        else:
            used = {f" on {n}": (count, found.nodes[n].total - found.nodes[n].free) for n, count in declared.items()}
        for place, (count, taken) in used.items():
            if count < taken:
                detail = f"{taken} pages of {size} are in use{place}{_users(host, size)}, and {count} are declared."
                detail += " Shut off who has them, or declare as many."
                yield _error(resolution, "huge-pages-in-use", "Huge pages that are in use can't go.", detail, where)


def _by_sysctl(resolution: Resolution, host: Snapshot) -> Iterator[Diagnostic]:
    """Two owners of one number at boot."""
    other = host.hugepages.sysctl
    declared = resolution.desired.hugepages.get(other.size) if other is not None else None
    if other is None or declared is None or declared == other.count:
        return
    told = ", ".join(f"{n} on {node}" for node, n in declared.items()) if isinstance(declared, dict) else str(declared)
    yield resolution.finding(
        "warning",
        "another-owner-differs",
        "Another tool's file says otherwise.",
        f"{other.path}:{other.line} (sysctl): vm.nr_hugepages = {other.count}, declared is {told}. Whichever of the "
        "two is read last at boot wins. Take that line out, or declare the same here.",
        address("hugepages", other.size),
    )


def _users(host: Snapshot, size: str) -> str:
    guests = [
        domain.name
        for domain in host.libvirt.domains.values()
        if domain.running and domain.hardware is not None and domain.hardware.huge_page_kib in (page_size_kib(size), 0)
    ]
    return f", by {', '.join(guests)} it seems" if guests else ""


def _too_many(resolution: Resolution, host: Snapshot) -> Iterator[Diagnostic]:
    """All huge pages together have to leave room for the host, and for guests in ordinary pages: the kernel takes them
    out of the free memory, and would take the last of it. What is not told of a guest's memory counts as none."""
    known, desired = host.hugepages, resolution.desired.hugepages
    growing = [size for size, declared in desired.items() if _grows(host, size, declared)]
    if known.sizes is None or not growing:
        return
    plain = {
        domain.name: domain.hardware.memory_kib
        for domain in host.libvirt.domains.values()
        if domain.running and domain.hardware is not None and domain.hardware.huge_page_kib is None
    }
    whole = sum(_total(host, size) * (page_size_kib(size) or 0) for size in known.sizes)
    after = whole + sum(_more(host, size, declared) for size, declared in desired.items())
    room = None if known.memory_kib is None else known.memory_kib - _HOST_KIB - sum(plain.values())
    if room is not None and after > room:
        guests = f", {_size(sum(plain.values()))} that running guests ({', '.join(plain)}) have" if plain else ""
        detail = (
            f"Huge pages would take {_size(after)} in all. The host has {_size(known.memory_kib or 0)}, less "
            f"{_size(_HOST_KIB)} for itself{guests}: at most {_size(max(0, room))} can be huge pages."
        )
        for size in growing:
            where = address("hugepages", size)
            yield _error(resolution, "huge-pages-too-many", "There is not enough memory for so many.", detail, where)
        return
    for node, memory in known.nodes_kib.items():
        taken = sum(_on_node(host, size, node, desired.get(size)) * (page_size_kib(size) or 0) for size in known.sizes)
        for size in growing:
            declared = desired[size]
            if taken > memory and isinstance(declared, dict) and node in declared:
                detail = f"Huge pages would take {_size(taken)} of {node}, which has {_size(memory)} in all."
                where, summary = address("hugepages", size), "There is not enough memory for so many."
                yield _error(resolution, "huge-pages-too-many", summary, detail, where)


def _total(host: Snapshot, size: str) -> int:
    found = (host.hugepages.sizes or {}).get(size)
    return found.total if found is not None else 0


def _more(host: Snapshot, size: str, declared: Pages) -> int:
    """KiB by which pages of this size grow; negative when they become fewer."""
    found = (host.hugepages.sizes or {}).get(size)
    if found is None:
        return 0
    now = now_of(found, declared)
    wanted = sum(declared.values()) if isinstance(declared, dict) else declared
    return (wanted - (sum(now.values()) if isinstance(now, dict) else now)) * (page_size_kib(size) or 0)


def _grows(host: Snapshot, size: str, declared: Pages) -> bool:
    found = (host.hugepages.sizes or {}).get(size)
    if found is None:
        return False
    now = now_of(found, declared)
    if isinstance(declared, dict):
        return any(count > (now[node] if isinstance(now, dict) else 0) for node, count in declared.items())
    return isinstance(now, int) and declared > now


def _on_node(host: Snapshot, size: str, node: str, declared: Pages | None) -> int:
    """How many there will be on a node that is named, else as many as there are."""
    if isinstance(declared, dict) and node in declared:
        return declared[node]
    found = (host.hugepages.sizes or {}).get(size)
    return there(found.nodes[node]) if found is not None and node in found.nodes else 0


def _size(kib: int) -> str:
    return f"{kib / _GIB:.1f} GiB" if kib >= _GIB else f"{kib // 1024} MiB"
