"""The ``reconciler-snapshot/1`` document: a host's observed state as JSON, and a reader that answers from
it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

from reconciler.diagnostics import ReconcilerError
from reconciler.host.counters import PfCounters
from reconciler.host.kernel_modules import fill_asked
from reconciler.host.model import SNAPSHOT_FORMAT, Nic, Pf, Snapshot
from reconciler.host.platform import Platform
from reconciler.host.protocol import NOTHING, Asked, Scope
from reconciler.json_data import as_type, read_json, to_data
from reconciler.state.checks import (
    ALIAS,
    ARGUMENT,
    ATTRIBUTES,
    COUNT,
    DOMAIN,
    INDEX,
    MAC,
    MODULE,
    MTU,
    NETDEV,
    PCI_ADDRESS,
    PF,
    POOL,
    SERVICE,
    VLAN,
    Check,
    each,
)

_SHOWN = 5
_INVALID = "The snapshot can't be read."


def dump(snapshot: Snapshot) -> str:
    """The document: the same for the same state, keys sorted, ends with a newline."""
    return json.dumps(to_data(snapshot), indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def load(data: bytes, path: str, *, own: bool = False) -> Snapshot:
    """Reads a document; keys that it doesn't know are ignored. `path` is for messages. Raises
    `ReconcilerError` with code 65 for anything that is no snapshot, saying where. ``own``: a record of our own, whose
    names that are only compared may be whatever a host had: the kernel takes any alternative name of a netdev."""
    from pydantic import ValidationError

    try:
        document = read_json(data)
    except ValueError as error:
        raise ReconcilerError(_INVALID, f"{path} is no JSON: {error}.", code=65) from error
    given = document.get("format") if isinstance(document, dict) else None
    if given != SNAPSHOT_FORMAT:
        raise ReconcilerError(_INVALID, f"{path} is no {SNAPSHOT_FORMAT} document: {_other(given, path)}", code=65)
    try:
        snapshot = as_type(document, Snapshot)
    except ValidationError as error:
        raise ReconcilerError(_INVALID, f"{path}: {error_places(error)}", code=65) from error
    wrong = list(_wrong(snapshot, own=own))
    if wrong:
        more = f"; and {len(wrong) - _SHOWN} more" if len(wrong) > _SHOWN else ""
        raise ReconcilerError(_INVALID, f"{path}: {'; '.join(wrong[:_SHOWN])}{more}.", code=65)
    return snapshot


def snapshot_schema() -> dict[str, Any]:
    """JSON Schema of the document."""
    from pydantic import TypeAdapter

    schema = TypeAdapter(Snapshot).json_schema()
    schema["properties"]["format"]["const"] = SNAPSHOT_FORMAT
    schema["required"] = ["format"]
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


class SnapshotReader:
    """Implements `reconciler.host.protocol.Reader` for a recorded host."""

    def __init__(self, snapshot: Snapshot, asked: Asked = NOTHING) -> None:
        self.snapshot = snapshot
        modules = snapshot.modules
        if modules.kernel is not None and asked.modules is not None:
            fill_asked(modules, modules.kernel, asked.modules)

    def observe(self) -> Snapshot:
        """The recorded state."""
        return self.snapshot

    def refresh(self, snapshot: Snapshot, scope: Scope) -> None:
        """Does nothing: a recorded host doesn't change."""

    def wait_for_change(self, seconds: float) -> None:
        """Returns at once: nothing will ever be different."""

    def examine(self) -> Platform:
        """The recorded facts; in a snapshot of an older version there are none."""
        if self.snapshot.platform is not None:
            return self.snapshot.platform
        return Platform(notes=["This snapshot was taken without what doctor looks at: take it again."])

    def count(self, pfs: Sequence[Pf]) -> dict[str, PfCounters]:
        """Nothing counts any more."""
        raise ReconcilerError(
            "A recorded host has no live counters.",
            "A snapshot is what a host was at one moment. Use `--host local` on the host itself.",
            code=64,
        )


def _other(given: Any, path: str) -> str:
    if isinstance(given, str) and given.startswith("reconciler-sim/"):
        return f"it is a simulated host. Use it with --host sim:{path}"
    if isinstance(given, str) and given.startswith("reconciler-snapshot/"):
        return f"its format is {given!r}, which takes a newer reconciler."
    return f"its format is {given!r}." if given is not None else "it has no format."


def error_places(error: Any) -> str:
    """The first few errors of a validation with their places: ``pfs."pci/0000:01:00.0".vfs.3.index: …``."""
    errors = error.errors(include_url=False, include_input=False)
    shown = [f"{_place(item['loc'])}: {item['msg']}" for item in errors[:_SHOWN]]
    if len(errors) > _SHOWN:
        shown.append(f"and {len(errors) - _SHOWN} more")
    return "; ".join(shown) + "."


def _place(parts: tuple[int | str, ...]) -> str:
    return ".".join(
        str(part) if isinstance(part, int) or part.replace("_", "a").isalnum() else json.dumps(part) for part in parts
    )


def _wrong(snapshot: Snapshot, *, own: bool) -> Iterator[str]:
    """Names and values that no host has. Things that are listed by name carry the name themselves, too; in a document
    changed by hand the two may differ, and half of the tool would go by the one and half by the other."""
    libvirt = snapshot.libvirt
    listed = (
        *((key, pf.id) for key, pf in snapshot.pfs.items()),
        *((key, domain.name) for key, domain in libvirt.domains.items()),
        *((key, network.name) for key, network in libvirt.networks.items()),
    )
    yield from (f"{key!r} is listed under that name but is {name!r}" for key, name in listed if key != name)
    for where, check, value in chain(_named(snapshot), () if own else _compared(snapshot)):
        if value is not None:
            yield from (f"{where}{place}: {text}" for place, text in check(value))
    for key, pf in snapshot.pfs.items():
        if len({vf.index for vf in pf.vfs}) < len(pf.vfs):
            yield f"pfs.{json.dumps(key)}.vfs: an index is there twice"


def _named(snapshot: Snapshot) -> Iterator[tuple[str, Check, Any]]:
    """What is looked up, written or named because of this document: its place, what it has to be, and what it is."""
    for key, pf in snapshot.pfs.items():
        where = f"pfs.{json.dumps(key)}"
        yield where, PF, pf.id
        yield f"{where}.netdev", NETDEV, pf.netdev
        yield f"{where}.mtu", MTU, pf.mtu
        for name in ("num_vfs", "total_vfs", "offset", "stride"):
            yield f"{where}.{name}", COUNT, getattr(pf, name)
        for vf in pf.vfs:
            yield f"{where}.vfs.{vf.index}.index", INDEX, vf.index
            yield f"{where}.vfs.{vf.index}.address", PCI_ADDRESS, vf.address
            yield f"{where}.vfs.{vf.index}.attributes", ATTRIBUTES, vf.attributes
            yield f"{where}.vfs.{vf.index}.saved", ATTRIBUTES, vf.saved
    for key, domain in snapshot.libvirt.domains.items():
        where = f"libvirt.domains.{json.dumps(key)}"
        yield where, DOMAIN, domain.name
    for key, network in snapshot.libvirt.networks.items():
        where = f"libvirt.networks.{json.dumps(key)}"
        yield where, POOL, network.name
        yield f"{where}.addresses", each(PCI_ADDRESS), [*network.addresses, *network.live_addresses]


def _compared(snapshot: Snapshot) -> Iterator[tuple[str, Check, Any]]:
    """What is only compared with, and shown."""
    yield "boot.own", each(ARGUMENT), snapshot.boot.own
    yield "modules.own", each(MODULE), snapshot.modules.own
    yield "modules.own_load", each(MODULE), snapshot.modules.own_load
    yield "services.units", each(SERVICE), list(snapshot.services.units or {})
    for key, pf in snapshot.pfs.items():
        yield f"pfs.{json.dumps(key)}.altnames", each(NETDEV), pf.altnames
    for key, domain in snapshot.libvirt.domains.items():
        where = f"libvirt.domains.{json.dumps(key)}"
        for number, nic in enumerate([*domain.live, *domain.config]):
            yield from _of_nic(f"{where}: NIC {number}", nic)


def _of_nic(where: str, nic: Nic) -> Iterator[tuple[str, Check, Any]]:
    yield f"{where}.alias", ALIAS, nic.alias if (nic.alias or "").startswith("ua-") else None
    yield f"{where}.mac", MAC, nic.mac
    yield f"{where}.vlan", VLAN, nic.vlan
    yield f"{where}.pool", POOL, nic.pool
    yield f"{where}.vf_address", PCI_ADDRESS, nic.vf_address
    yield f"{where}.bridge", NETDEV, nic.bridge
    yield f"{where}.partner", ALIAS, nic.partner
