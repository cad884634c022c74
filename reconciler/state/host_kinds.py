"""The host's own tables: kernel arguments, modules, services and huge pages."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal

from reconciler.state.address import address
from reconciler.state.desired import Pages, ServiceState
from reconciler.state.draft import Draft
from reconciler.state.kernel_arguments import contradict, name_of
from reconciler.state.positions import Path
from reconciler.state.refs import page_size, page_size_kib
from reconciler.state.shape import show
from reconciler.state.spec import MAX_PAGES, NODE_PATTERN, KernelSpec, ModulesSpec, ServiceSpec
from reconciler.state.values import check_argument, check_module, check_service, same_module

_ONE_VALUE = ("intel_iommu", "amd_iommu", "iommu", "iommu.passthrough")
"""Arguments whose values add up, and of which two in one file are a mistake all the same."""


def build_cmdline(draft: Draft, spec: KernelSpec | None) -> tuple[str, ...] | None:
    """The kernel's arguments, in the order of the file."""
    if spec is None or spec.cmdline is None:
        return None
    found: list[str] = []
    values: dict[str, str] = {}
    for number, argument in enumerate(spec.cmdline):
        key = ("kernel", "cmdline", number)
        if not check_argument(draft.findings, key, argument):
            continue
        name = name_of(argument)
        if argument in found:
            todo = "declare pages of several sizes in [hugepages]" if name == "hugepages" else "write it once"
            draft.findings.error(key, "repeated-argument", f"{argument} is there twice: {todo}.")
        elif name in values and (name in _ONE_VALUE or contradict(argument, values[name])):
            detail = f"{argument} and {values[name]} contradict each other: write one of them."
            draft.findings.error(key, "repeated-argument", detail)
        else:
            found.append(argument)
            values[name] = argument
    return tuple(found)


def build_modules(draft: Draft, name: Literal["blacklist", "load"], spec: ModulesSpec | None) -> tuple[str, ...] | None:
    """One of the two lists, in the order of the file; a module that stands there twice is kept once."""
    listed: list[str] | None = getattr(spec, name, None)
    if spec is None or listed is None:
        return None
    modules: dict[str, str] = {}
    kept_away = {same_module(module) for module in spec.blacklist or () if name == "load"}
    for number, module in enumerate(listed):
        key = ("modules", name, number)
        if not check_module(draft.findings, key, module):
            continue
        if same_module(module) in kept_away:
            draft.findings.error(key, "loaded-and-blacklisted", f"{module} stands in both lists: take it out of one.")
        if same_module(module) in modules:
            draft.findings.warning(key, "repeated-entry", f"{module} is there twice; once is enough.")
        modules.setdefault(same_module(module), module)
    return tuple(modules.values())


def build_services(draft: Draft, services: Mapping[str, ServiceSpec]) -> dict[str, ServiceState]:
    """By name; ``.service`` at its end may be written and says nothing."""
    found: dict[str, ServiceState] = {}
    for written, state in services.items():
        key, name = ("services", written), written.removesuffix(".service")
        if not check_service(draft.findings, key, name):
            continue
        if name in found:
            draft.findings.error(key, "repeated-service", f"{name} and {name}.service are one service.")
            continue
        found[name] = state
        draft.places[address("services", name)] = key
    return found


def build_huge_pages(draft: Draft, sizes: Mapping[str, Any]) -> dict[str, Pages]:
    """By size, however it was written: ``1024M`` is ``1G``."""
    found: dict[str, Pages] = {}
    for written, given in sizes.items():
        key, kib = ("hugepages", written), page_size_kib(written)
        if kib is None:
            detail = f"{show(written)}: write it as 2M or 1G, a power of two with K, M or G."
            draft.findings.error(key, "invalid-page-size", detail)
            continue
        size, pages = page_size(kib), _pages(draft, key, given)
        if size in found:
            detail = f"{written} is {size}, which is declared already."
            draft.findings.error(key, "repeated-page-size", detail)
        elif pages is not None:
            found[size] = pages
            draft.places[address("hugepages", size)] = key
    return found


def _pages(draft: Draft, key: Path, given: Any) -> Pages | None:
    if not isinstance(given, dict):
        return _count(draft, key, given, "a number, or a table by NUMA node: { node0 = 2048, node1 = 2048 }")
    if not given:
        draft.findings.error(key, "wrong-type", "An empty table says nothing: write a number, or { node0 = 2048 }.")
        return None
    pages: dict[str, int] = {}
    for node, value in given.items():
        if not re.fullmatch(NODE_PATTERN, node):
            draft.findings.error((*key, node), "unknown-key", f"{show(node)} is no NUMA node: write node0, node1, …")
            continue
        count = _count(draft, (*key, node), value, "a number")
        if count is not None:
            pages[node] = count
    return pages if len(pages) == len(given) else None


def _count(draft: Draft, key: Path, value: Any, expected: str) -> int | None:
    if type(value) is not int:
        draft.findings.error(key, "wrong-type", f"{key[-1]} = {show(value)}: it has to be {expected}.")
    elif not 0 <= value <= MAX_PAGES:
        draft.findings.error(key, "out-of-range", f"{key[-1]} = {show(value)}: it has to be 0 to {MAX_PAGES}.")
    else:
        return value
    return None
