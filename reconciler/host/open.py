"""From a host's URI to its reader or writer."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.diagnostics import ReconcilerError
from reconciler.host.protocol import NOTHING, Asked, Events, Reader, Writer

if TYPE_CHECKING:
    from reconciler.host.guests import GuestWriter
    from reconciler.host.twin.host import TwinHost

_PASSWORD = re.compile(r"//[^/?#]*:[^/?#]*@")
_FORMS = "It is one of: local · snapshot:FILE · snapshot:DIR · sim:FILE."


def open_reader(host_uri: str, libvirt_uri: str, host_name: str | None, asked: Asked = NOTHING) -> Reader:
    """The reader of ``local``, ``sim:FILE``, ``snapshot:FILE`` or ``snapshot:DIR``; a directory has one file per host,
    and `host_name` (``host.name`` of the state file) says which. `asked`: what of this machine is read because somebody
    asks for it. Raises `ReconcilerError`: 64 for an URI that is none of these, 65 for a file that is no snapshot."""
    kind, _, path = host_uri.partition(":")
    if host_uri == "local":
        from reconciler.host.local.reader import LocalReader

        _refuse_password(libvirt_uri)
        return LocalReader(libvirt_uri, asked=asked)
    if kind == "snapshot" and path:
        return _open_snapshot(Path(path), host_name, asked)
    if kind == "sim" and path:
        return open_sim(Path(path))
    raise _wrong(host_uri)


def open_writer(host_uri: str, libvirt_uri: str) -> Writer:
    """The writer of ``local`` or ``sim:FILE``. Raises `ReconcilerError` with code 64 for what can't be written."""
    kind, _, path = host_uri.partition(":")
    if host_uri == "local":
        from reconciler.host.local.writer import LocalWriter

        _refuse_password(libvirt_uri)
        return LocalWriter(libvirt_uri)
    refuse_recorded(host_uri)
    if kind == "sim" and path:
        return open_sim(Path(path))
    raise _wrong(host_uri)


def refuse_recorded(host_uri: str) -> None:
    """Raises `ReconcilerError` (64) for a host that is a snapshot."""
    if host_uri.startswith("snapshot:"):
        raise ReconcilerError(
            "A recorded host can't be changed.",
            f"{host_uri} is a snapshot, which is read-only. Use `--host local` on the host itself.",
            code=64,
        )


def open_events(host_uri: str, libvirt_uri: str) -> Events:
    """What happens on ``local``, to be opened before its reader or writer is used; on a simulated host nothing happens
    by itself."""
    from reconciler.host.local.events import LocalEvents, NoEvents

    if host_uri != "local":
        return NoEvents()
    _refuse_password(libvirt_uri)
    return LocalEvents(libvirt_uri)


def open_guests(host_uri: str, libvirt_uri: str) -> GuestWriter:
    """The guests of ``local`` or ``sim:FILE``. Raises `ReconcilerError` with code 64 for what can't be written."""
    open_writer(host_uri, libvirt_uri)
    if host_uri == "local":
        from reconciler.host.local.guests import LibvirtGuests

        return LibvirtGuests(libvirt_uri)
    return _sim_guests(host_uri)


def open_destination(host_uri: str, uri: str) -> GuestWriter:
    """The guests of another host: by its libvirt URI, and from one simulated host to another as ``sim:FILE``. Raises
    `ReconcilerError` with code 64 for anything else."""
    simulated = host_uri.startswith("sim:")
    if simulated and uri.startswith("sim:") and uri != "sim:":
        return _sim_guests(uri)
    if simulated or "://" not in uri:
        form = "sim:FILE, another simulated host" if simulated else "a libvirt URI, such as qemu+ssh://HOST/system"
        raise ReconcilerError("This is no destination.", f"--to {uri!r}: from here it takes {form}.", code=64)
    from reconciler.host.local.guests import LibvirtGuests

    _refuse_password(uri)
    return LibvirtGuests(uri)


def _sim_guests(uri: str) -> GuestWriter:
    from reconciler.host.twin.guests import TwinGuests

    path = Path(uri.partition(":")[2])
    return TwinGuests(open_sim(path), path)


def open_sim(path: Path) -> TwinHost:
    """The simulated host that is kept in a file: reader and writer in one. Raises `ReconcilerError`: 64 when there is
    no such file, 65 when it is something else."""
    from reconciler.host.twin.host import TwinHost

    return TwinHost.open(path)


def _open_snapshot(path: Path, host_name: str | None, asked: Asked) -> Reader:
    from reconciler.host.snapshot import SnapshotReader, load

    if path.is_dir():
        path = path / f"{_file_name(path, host_name)}.json"
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ReconcilerError("The snapshot can't be read.", f"{path}: {error.strerror}.", code=64) from error
    return SnapshotReader(load(data, str(path)), asked)


def _file_name(directory: Path, host_name: str | None) -> str:
    if not host_name:
        raise ReconcilerError(
            "The host has no name.",
            f"{directory} is a directory of snapshots, one per host. Give the state file a [host] with its "
            "name, or name the snapshot's file.",
            code=64,
        )
    if "/" in host_name or host_name.startswith("."):
        raise ReconcilerError("The host's name is no file name.", f"{host_name!r} in {directory}", code=64)
    return host_name


def _refuse_password(libvirt_uri: str) -> None:
    """The URI is shown, recorded, and handed to the timer of --confirm-within: no place for a password. libvirt takes
    it from a file of its own (docs/auth.rst), and never from the URI."""
    if _PASSWORD.search(libvirt_uri):
        raise ReconcilerError(
            "A password stands in libvirt's URI.",
            "Everybody on this machine can read a command's arguments, and libvirt takes no password from there. "
            "Put it into libvirt's auth.conf, or name such a file in the URI with ?authfile=FILE.",
            code=64,
        )


def _wrong(host_uri: str) -> ReconcilerError:
    return ReconcilerError("This is no host.", f"{host_uri!r}. {_FORMS}", code=64)
