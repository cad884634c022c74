"""Brings VFs to what they are to be when guests come and go, outside of a run: small, quick, and read back."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from reconciler.apply.files import cannot_write, own_folder, write_atomically
from reconciler.apply.perform import vf_request
from reconciler.diagnostics import ReconcilerError
from reconciler.drivers.readback import GROUPS
from reconciler.host.model import Snapshot
from reconciler.host.protocol import HostError, Reader, Scope, Writer
from reconciler.kinds.holders import VfId
from reconciler.plan.hygiene import differing
from reconciler.state.desired import Attributes

_PATIENCE = 10.0
"""Seconds that the VFs of another guest may take."""
_LOOKED = "looked"
_EFFECT = 5.0
"""Seconds within which what was accepted has to be seen."""


@dataclass(frozen=True, slots=True)
class Missed:
    """Attributes that a VF doesn't have as it should."""

    vf: VfId
    attributes: frozenset[str]
    why: str

    def __str__(self) -> str:
        return f"{', '.join(sorted(self.attributes))} of VF {self.vf[1]} of {self.vf[0].partition('/')[2]}: {self.why}"


def bring(
    reader: Reader, writer: Writer, host: Snapshot, wanted: Mapping[VfId, Attributes], effect: float = _EFFECT
) -> list[Missed]:
    """Sets what differs, one sending per PF, reads back, and says what is still not so after ``effect`` seconds.
    ``host`` is kept up to date."""
    by_pf: dict[str, dict[int, Attributes]] = {}
    for (pf, index), values in wanted.items():
        by_pf.setdefault(pf, {})[index] = values
    return [missed for pf, vfs in by_pf.items() for missed in _bring(reader, writer, host, pf, vfs, effect)]


def _bring(
    reader: Reader, writer: Writer, host: Snapshot, pf: str, vfs: dict[int, Attributes], effect: float
) -> list[Missed]:
    missed: list[Missed] = []
    asked: list[tuple[VfId, Attributes]] = []
    requests = []
    for index, values in vfs.items():
        lacking = differing(host.pfs[pf], index, values, unreported=True)
        for group in GROUPS:
            part = {name: lacking[name] for name in group if name in lacking}
            if not part:
                continue
            try:
                requests.append(vf_request(host, {"pf": pf, "vf": index, "set": part})[1])
                asked.append(((pf, index), part))
            except HostError as error:
                missed.append(Missed((pf, index), frozenset(part), error.detail))
    if not requests:
        return missed
    try:
        answers = writer.set_vfs(pf, requests)
    except ReconcilerError as error:
        return [*missed, *(Missed(vf, frozenset(part), error.detail) for vf, part in asked)]
    taken = []
    for (vf, part), refused in zip(asked, answers, strict=True):
        if refused is None:
            taken.append((vf, part))
        else:
            missed.append(Missed(vf, frozenset(part), refused.detail or refused.summary))
    return [*missed, *_unseen(reader, writer, host, pf, taken, effect)]


def _unseen(
    reader: Reader, writer: Writer, host: Snapshot, pf: str, taken: list[tuple[VfId, Attributes]], effect: float
) -> list[Missed]:
    """What was accepted and isn't there when the deadline is over."""
    until = writer.clock.monotonic() + effect
    while True:
        why = "the kernel took it, and it is not there"
        try:
            reader.refresh(host, Scope("pf", pf))
        except ReconcilerError as error:
            why = f"it can't be read back ({error.detail})"
        left = [Missed(vf, frozenset(part), why) for vf, part in taken if _lacks(host, vf, part)]
        if not left or writer.clock.monotonic() >= until:
            return left
        writer.clock.sleep(0.1)


def _lacks(host: Snapshot, vf: VfId, part: Attributes) -> bool:
    pf = host.pfs.get(vf[0])
    return pf is None or pf.vf(vf[1]) is None or bool(differing(pf, vf[1], part, unreported=False))


# ---------------------------------------------------------------------------- who has which VF


class Tenants:
    """Which guest was given which VFs, by notes in a folder that a reboot empties: when a guest is gone, libvirt no
    longer knows what it had from a pool. Used while holding `alone`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """One guest at a time: a late reset must not meet the next guest's start. Raises `ReconcilerError` when another
        one takes too long."""
        own_folder(self.folder, 0o755)
        descriptor = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        until = time.monotonic() + _PATIENCE
        try:
            while True:
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() >= until:
                        raise ReconcilerError(
                            "The VFs of another guest take too long.", f"{self.folder}/lock is held by another process."
                        ) from None
                    time.sleep(0.02)
            yield
        finally:
            os.close(descriptor)

    def note(self, domain: str, vfs: list[VfId]) -> None:
        """A guest has these VFs from now on."""
        write_atomically(self._path(domain), json.dumps({"domain": domain, "vfs": vfs}) + "\n")

    def noted(self) -> dict[str, frozenset[VfId]]:
        """Which guest was given which VFs, by all notes that can be read; needs no `alone`."""
        found = {}
        for path in sorted(self.folder.glob("*.json")):
            with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
                domain = json.loads(path.read_bytes())["domain"]
                if isinstance(domain, str):
                    found[domain] = frozenset(self._read(path))
        return found

    @property
    def looked(self) -> bool:
        """Whether somebody has looked at all guests since the folder was made."""
        return (self.folder / _LOOKED).exists()

    def note_look(self) -> None:
        """All guests have been looked at, and have their notes."""
        if not self.looked:
            write_atomically(self.folder / _LOOKED, "")

    def had(self, domain: str) -> list[VfId]:
        """The VFs that were noted for a guest and that no other guest has been given since."""
        own = self._path(domain)
        others = {vf for path in self.folder.glob("*.json") if path != own for vf in self._read(path)}
        return [vf for vf in self._read(own) if vf not in others]

    def leave(self, domain: str) -> list[VfId]:
        """A guest is gone, and what it `had` is in order: its note is taken away."""
        had = self.had(domain)
        try:
            self._path(domain).unlink(missing_ok=True)
        except OSError as error:
            raise cannot_write(self._path(domain), error) from None
        return had

    def _path(self, domain: str) -> Path:
        """A guest's name may have characters that no file's name should have."""
        return self.folder / f"{hashlib.sha256(domain.encode()).hexdigest()[:32]}.json"

    def _read(self, path: Path) -> list[VfId]:
        """A note that is damaged says nothing."""
        try:
            noted = json.loads(path.read_bytes())["vfs"]
            return [(str(pf), int(index)) for pf, index in noted]
        except (OSError, ValueError, KeyError, TypeError):
            return []
