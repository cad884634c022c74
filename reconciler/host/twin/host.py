"""The twin's reader and writer in one: answers like the reader and the writer of a real host."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import signal
import stat
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Literal, TypeVar

from reconciler.clock import Clock
from reconciler.diagnostics import ReconcilerError
from reconciler.drivers.facts import DROPS, RX_TX
from reconciler.host import refusals
from reconciler.host.counters import PfCounters, choose
from reconciler.host.local.libvirt_errors import host_error
from reconciler.host.model import BootArguments, Pf, Snapshot
from reconciler.host.platform import Platform
from reconciler.host.protocol import HostError, NicMatch, NicSpec, NoAnswer, PoolSpec, Scope, VfSet
from reconciler.host.twin import (
    cmdline,
    faults,
    hands,
    hugepages,
    kernel,
    libvirt,
    losses,
    modules,
    networks,
    services,
    state,
)
from reconciler.host.twin.attributes import set_attributes
from reconciler.host.twin.check import check
from reconciler.host.twin.clock import advance, settle
from reconciler.host.twin.errors import CommandFailed, Hangs, LibvirtRefused, kernel_error
from reconciler.host.twin.examine import examine
from reconciler.host.twin.look import evidence, look, refresh
from reconciler.host.twin.state import Fault, Loss, Twin
from reconciler.state.desired import Pages

_SHORT = 10.0
_LIBVIRT = 60.0
"""Seconds after which the local writer gives up on libvirt."""
_ATTACH, _START = 1.3, 2.0
"""Seconds that libvirt takes for it."""
_NETLINK = 0.002
"""Seconds for one request."""
_BUSY = (errno.EAGAIN, errno.EBUSY)
_ASKED_AGAIN, _PAUSE = 5.0, 0.35
"""Seconds for which a busy driver is asked again, and between two times."""

Act = Callable[[Twin], float | None]
"""Does something to a twin; returns the seconds that it takes."""
Words = Callable[[Exception], ReconcilerError]
T = TypeVar("T")


class TwinHost:
    """Implements `reconciler.host.protocol.Reader` and `Writer` on a simulated host. With a path the twin is read from
    its file before and kept there after each call, so that all who have opened it see the same host."""

    def __init__(self, twin: Twin, path: Path | None = None) -> None:
        self._twin = twin
        self._path = path
        self._seen: tuple[int, int] = (0, 0)
        """Which version of the file this is."""
        self._inside = False

    @classmethod
    def open(cls, path: Path) -> TwinHost:
        """The simulated host that is kept in a file. Between two who open it so much time has passed that nothing is
        still under way. Raises `ReconcilerError` (64, 65)."""
        host = cls(read_twin(path), path)
        if host._twin.events:
            with host.changing() as twin:
                settle(twin)
        return host

    @property
    def clock(self) -> Clock:
        """Its own time."""
        return self

    def monotonic(self) -> float:
        """Seconds of its own time."""
        return self.twin().clock

    def sleep(self, seconds: float, /) -> None:
        """Lets its time pass, and happen what is due."""
        with self.changing() as twin:
            advance(twin, seconds)

    def twin(self) -> Twin:
        """The truth as it is now; to be looked at only."""
        self._load()
        return self._twin

    def observe(self) -> Snapshot:
        """Everything that a plan reads."""
        with self._reading():
            return look(self.twin())

    def refresh(self, snapshot: Snapshot, scope: Scope) -> None:
        """Reads one part again."""
        with self._reading():
            refresh(self.twin(), snapshot, scope)

    def wait_for_change(self, seconds: float) -> None:
        """Lets its time pass; nobody tells of what happens in it."""
        self.sleep(seconds)

    def examine(self) -> Platform:
        """What only doctor reads."""
        return examine(self.twin())

    def count(self, pfs: Sequence[Pf]) -> dict[str, PfCounters]:
        """Nobody sends anything on a simulated host: what its drivers count is 0."""
        known = self.twin().pfs
        nothing = dict.fromkeys(sorted(RX_TX | DROPS), 0)
        return {
            pf.id: choose(pf, time.monotonic(), {vf.index: dict(nothing) for vf in known[pf.id].vfs}, dict)
            if pf.id in known
            else PfCounters(time.monotonic(), "unknown", problem=os.strerror(errno.ENODEV))
            for pf in pfs
        }

    def losses(self) -> list[Loss]:
        """What running guests have lost so far, and until when."""
        return deepcopy(self.twin().losses)

    def set_kernel_arguments(self, arguments: Sequence[str] | None, deadline: float) -> None:
        """The boot loader's configuration. Whatever goes wrong, it is put back, as by the local writer."""
        changed: list[tuple[Twin, BootArguments]] = []

        def act(twin: Twin) -> float:
            changed.append((twin, deepcopy(twin.boot)))
            return cmdline.set_own(twin, arguments)

        def words(error: Exception) -> HostError:
            for twin, before in changed:
                twin.boot = before
            said = str(error) if isinstance(error, CommandFailed) else getattr(error, "strerror", None) or str(error)
            return HostError(
                "The boot loader's configuration could not be changed.",
                f"{said}. All is as it was.",
                errno=errno.ECANCELED,
            )

        self._do(act, words, deadline)

    def set_blacklist(self, names: Sequence[str] | None, *, until_reboot: bool = False) -> None:
        """Our own modprobe.d file, or the one that a reboot takes away."""

        def act(twin: Twin) -> None:
            listed = None if names is None else [modules.canonical(name) for name in dict.fromkeys(names)]
            if until_reboot:
                modules.blacklist_until_reboot(twin, listed or [])
            else:
                twin.modules.own = listed
                twin.modules.initramfs_old = list(twin.modules.initramfs or [])

        self._do(act, _own_file("/etc/modprobe.d/reconciler.conf"))

    def set_loaded_at_boot(self, names: Sequence[str] | None) -> None:
        """Our own modules-load.d file."""

        def act(twin: Twin) -> None:
            twin.modules.own_load = (
                None if names is None else [modules.canonical(name) for name in dict.fromkeys(names)]
            )

        self._do(act, _own_file("/etc/modules-load.d/reconciler.conf"))

    def rebuild_initramfs(self, modules_in_it: Sequence[str], deadline: float) -> None:
        """update-initramfs or dracut."""

        def act(twin: Twin) -> float:
            twin.modules.initramfs_old = [m for m in twin.modules.initramfs_old if m not in modules_in_it]
            return modules.REBUILD

        self._do(act, _command("the initramfs could not be rebuilt"), deadline)

    def unload_module(self, module: str, deadline: float) -> None:
        """rmmod."""
        self._do(lambda twin: modules.unload(twin, module), _command(f"{module} could not be unloaded"), deadline)

    def load_module(self, module: str, deadline: float) -> None:
        """modprobe."""
        self._do(lambda twin: modules.load(twin, module), _command(f"{module} could not be loaded"), deadline)

    def set_service(self, unit: str, running: bool, deadline: float) -> None:
        """systemctl start or stop."""
        act = services.start if running else services.stop
        words = _systemd(f"{unit} could not be {'started' if running else 'stopped'}")
        self._do(lambda twin: act(twin, unit), words, deadline)

    def set_service_at_boot(self, unit: str, enabled: bool) -> None:
        """systemctl enable or disable."""
        words = _systemd(f"{unit} could not be {'enabled' if enabled else 'disabled'}")
        self._do(lambda twin: services.set_at_boot(twin, unit, enabled), words)

    def set_huge_pages(self, size: str, pages: Pages, deadline: float) -> None:
        """A write to sysfs."""

        def words(error: Exception) -> HostError:
            code = errno.ETIMEDOUT if isinstance(error, Hangs) else getattr(error, "errno", None) or errno.EIO
            failed = f"{size} pages could not be set: {os.strerror(code)}."
            return HostError("The kernel refused a number of huge pages.", failed, errno=code)

        self._do(lambda twin: hugepages.set_now(twin, size, pages), words, deadline)

    def set_huge_pages_at_boot(self, pages: Mapping[str, Pages] | None) -> None:
        """Our own tmpfiles.d file."""

        def act(twin: Twin) -> None:
            twin.hugepages.own = None if pages is None else dict(pages)

        self._do(act, _own_file("/etc/tmpfiles.d/reconciler-hugepages.conf"))

    def set_link(self, pf: str, up: bool) -> None:
        """Up or down."""
        netdev = self._pf(pf).netdev
        failed = f"{netdev} could not be set {'up' if up else 'down'}"
        self._do(lambda twin: kernel.set_link(twin, pf, up), _link(failed))

    def set_mtu(self, pf: str, mtu: int) -> None:
        """The MTU."""
        netdev = self._pf(pf).netdev
        failed = f"the MTU of {netdev} could not be set to {mtu}"
        self._do(lambda twin: kernel.set_mtu(twin, pf, mtu), _link(failed))

    def set_autoprobe(self, pf: str, enabled: bool) -> None:
        """Whether drivers may take new VFs."""
        self._pf(pf)
        words = _sysfs(f"{int(enabled)} to {device_path(pf)}/sriov_drivers_autoprobe", _SHORT)
        self._do(lambda twin: kernel.set_autoprobe(twin, pf, enabled), words, _SHORT, pf)

    def set_host_network(self, pfs: Sequence[str], deadline: float) -> None:
        """Our own rules of udev."""

        def act(twin: Twin) -> None:
            twin.host_network.ignored = sorted(pfs)
            listed = {vf.address for pf in pfs if pf in twin.pfs for vf in twin.pfs[pf].vfs}
            known = twin.host_network.managed
            twin.host_network.managed = {vf: who for vf, who in known.items() if vf not in listed}

        self._do(act, _own_file("/etc/udev/rules.d/60-reconciler.rules"), deadline)

    def set_numvfs(self, pf: str, count: int, deadline: float) -> None:
        """How many VFs."""
        self._pf(pf)
        shown = f"{count} to {device_path(pf)}/sriov_numvfs"
        words = _sysfs(shown, deadline, refusals.numvfs_not_made(count), refusals.NUMVFS)
        self._do(lambda twin: kernel.set_numvfs(twin, pf, count), words, deadline, pf)

    def together(self, orders: Sequence[Callable[[], None]]) -> list[Exception | None]:
        """One after the other: its time is its own."""
        return [_error_of(order) for order in orders]

    def bind_vf(self, pf: str, index: int, driver: Literal["none", "vfio-pci", "kernel"], deadline: float) -> None:
        """A VF's driver."""
        vf = self._pf(pf).vf(index)
        if vf is None or vf.address is None:
            raise HostError("A VF is gone.", f"{pf} has no VF {index}.", errno=errno.ENODEV)
        words = _sysfs(f"{vf.address} to {device_path(f'pci/{vf.address}')}/driver/unbind", deadline)

        def act(twin: Twin) -> float:
            card = kernel.pf_of(twin, pf)
            kernel.answers(twin, card)
            return modules.bind(twin, card, modules.find_vf(card, index), driver)

        self._do(act, words, deadline, pf)

    def set_vfs(self, pf: str, requests: Sequence[VfSet]) -> list[HostError | None]:
        """Many requests, each with its own answer. A driver that is busy is asked again for a while, as it is on a real
        host (`reconciler.host.local.rtnl`)."""
        card = self._pf(pf)
        with self.changing() as twin:  # One reading and one saving for all of them.
            until = twin.clock + _ASKED_AGAIN
            answers = []
            for request in requests:
                answer = self._set_vf(card, request)
                while answer is not None and answer.errno in _BUSY and twin.clock + _PAUSE <= until:
                    advance(twin, _PAUSE)
                    answer = self._set_vf(card, request)
                answers.append(answer)
            return answers

    def _set_vf(self, pf: Pf, request: VfSet) -> HostError | None:
        def words(error: Exception) -> HostError:
            code = errno.ETIMEDOUT if isinstance(error, Hangs) else getattr(error, "errno", None) or errno.EIO
            return refusals.refused_attribute(pf.netdev, pf.driver or "its driver", request, code, root=True)

        def act(twin: Twin) -> float:
            set_attributes(twin, pf.id, request.index, request.attributes)
            return _NETLINK

        try:
            self._do(act, words, 5.0, pf.id)
        except HostError as error:
            return error
        return None

    def define_pool(self, pool: PoolSpec) -> None:
        """A hostdev network."""
        self._libvirt(f"define pool {pool.name}", lambda twin: networks.define(twin, pool))

    def create_pool(self, pool: PoolSpec) -> None:
        """net-create."""
        self._libvirt(f"create pool {pool.name}", lambda twin: networks.create(twin, pool))

    def start_pool(self, name: str) -> None:
        """net-start."""
        self._libvirt(f"start pool {name}", lambda twin: networks.start(twin, name))

    def stop_pool(self, name: str) -> None:
        """net-destroy."""
        self._libvirt(f"stop pool {name}", lambda twin: networks.stop(twin, name))

    def set_pool_autostart(self, name: str, enabled: bool) -> None:
        """net-autostart."""
        self._libvirt(f"set autostart of pool {name}", lambda twin: networks.set_autostart(twin, name, enabled))

    def undefine_pool(self, name: str) -> None:
        """net-undefine."""
        self._libvirt(f"undefine pool {name}", lambda twin: networks.undefine(twin, name))

    def attach_nic(self, domain: str, nic: NicSpec, *, live: bool, config: bool) -> None:
        """attach-device."""

        def act(twin: Twin) -> None:
            if live:
                advance(twin, _ATTACH)
            libvirt.attach(twin, domain, nic, live=live, config=config)

        self._libvirt(f"attach {nic.alias} to {domain}", act)

    def detach_nic(self, domain: str, match: NicMatch, *, live: bool, config: bool) -> None:
        """Only asks."""
        name = match.alias or match.mac or match.vf_address or "NIC"
        self._libvirt(
            f"detach {name} from {domain}",
            lambda twin: libvirt.detach(twin, domain, match, live=live, config=config),
        )

    def update_nic(self, domain: str, match: NicMatch, nic: NicSpec) -> None:
        """The definition alone."""
        name = match.alias or match.mac or match.vf_address or "NIC"

        def act(twin: Twin) -> None:
            if not libvirt.update(twin, domain, match, nic):
                raise HostError("A NIC is gone.", f"{name} is no longer in the definition of {domain}: plan again.")

        self._libvirt(f"change {name} of {domain}", act)

    def set_bridge(self, domain: str, alias: str, bridge: str, *, live: bool, config: bool) -> None:
        """update-device."""

        def act(twin: Twin) -> None:
            if not libvirt.set_bridge(twin, domain, alias, bridge, live=live, config=config):
                raise HostError("A NIC is gone.", f"{alias} is no longer a NIC of {domain}: plan again.")

        self._libvirt(f"move {alias} of {domain} to {bridge}", act)

    def add_root_ports(self, domain: str, free: int) -> None:
        """The definition alone."""
        what = f"add PCIe root ports to {domain}"
        self._libvirt(what, lambda twin: libvirt.add_root_ports(twin, domain, free))

    def drop_root_ports(self, domain: str, keep: Sequence[int]) -> None:
        """The definition alone."""
        what = f"take PCIe root ports off {domain}"
        self._libvirt(what, lambda twin: libvirt.drop_root_ports(twin, domain, keep))

    @contextlib.contextmanager
    def changing(self) -> Iterator[Twin]:
        """The truth, to be changed by one at a time: read before, kept afterwards, also when it fails half-way.
        Inside another `changing` it is the same twin."""
        if self._inside:
            yield self._twin
            return
        with self._locked():
            self._load()
            self._inside = True
            try:
                yield self._twin
            finally:
                self._inside = False
                self._save()

    def do(self, act: Act) -> None:
        """Lets something happen to the twin that is no write of ours."""
        with self.changing() as twin:
            before = losses.troubles(twin)
            try:
                seconds = act(twin)
            finally:
                losses.note(twin, before)
            advance(twin, seconds or 0.0)

    def _do(self, act: Act, words: Words, deadline: float = _SHORT, pf: str = "") -> None:
        """One write: it may go wrong as a fault says; what it is refused with is said as the local writer says it."""
        with self.changing() as twin:
            due = faults.next_write(twin)
            try:
                self._happen(twin, [fault for fault in due if not fault.after], pf)
                self.do(act)
                self._happen(twin, [fault for fault in due if fault.after], pf)
            except Hangs as error:
                advance(twin, deadline)
                error.evidence = evidence(twin, pf)
                raise words(error) from error
            except (OSError, CommandFailed, LibvirtRefused) as error:
                raise words(error) from error

    @contextlib.contextmanager
    def _reading(self) -> Iterator[None]:
        """One reading: what is to happen before or after it happens."""
        due: list[Fault] = []
        if any(fault.reading for fault in self.twin().faults):
            with self.changing() as twin:
                due = faults.next_reading(twin)
                self._happen(twin, [fault for fault in due if not fault.after], "")
        yield
        if due:
            with self.changing() as twin:
                self._happen(twin, [fault for fault in due if fault.after], "")

    def _happen(self, twin: Twin, due: list[Fault], pf: str) -> None:
        """What somebody does comes first, since nothing comes after an error."""
        for fault in sorted(due, key=lambda fault: fault.kind != "do"):
            self._fail(twin, fault, pf)

    def _fail(self, twin: Twin, fault: Fault, pf: str) -> None:
        match fault.kind:
            case "do":
                done = hands.run(self, fault.command)
                twin.log.append(f"{fault.command}: {'done' if done.ok else done.message}")
            case "errno":
                raise kernel_error(fault.errno)
            case "hang":
                faults.hang(twin, pf)
                raise Hangs
            case "crash":
                self._save()
                os.kill(os.getpid(), signal.SIGKILL)

    def ask_libvirt(self, what: str, act: Act) -> None:
        """An order to libvirt that is no part of the writer protocol."""
        self._libvirt(what, act)

    def read_libvirt(self, read: Callable[[Twin], T]) -> T:
        """A question to libvirt. Raises `HostError` when it doesn't answer."""
        with self._reading():
            twin = self.twin()
            if not twin.libvirt.available:
                raise HostError("libvirt is not available.", f"libvirt at {twin.libvirt.uri}: {twin.libvirt.reason}.")
            return read(twin)

    def _libvirt(self, what: str, act: Act) -> None:
        def words(error: Exception) -> HostError:
            if isinstance(error, Hangs):
                said = f"libvirt at {self._twin.libvirt.uri} did not answer within {_LIBVIRT:g} s."
                return NoAnswer("libvirt is not available.", f"{what}: {said}")
            if isinstance(error, OSError):
                return host_error(what, LibvirtRefused(f"internal error: {error.strerror}"))
            return host_error(what, error)

        def asked(twin: Twin) -> float | None:
            if not twin.libvirt.available:
                raise HostError("libvirt is not available.", f"{what}: {twin.libvirt.reason}")
            return act(twin)

        self._do(asked, words, _LIBVIRT)

    def _pf(self, identity: str) -> Pf:
        pf = self.twin().pfs.get(identity)
        if pf is None:
            raise HostError("A PF is gone.", f"{device_path(identity)} does not exist any more.", errno=errno.ENODEV)
        return pf

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """One at a time: the folder is locked, since the file itself is replaced."""
        if self._path is None:
            yield
            return
        descriptor = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _load(self) -> None:
        if self._path is not None and not self._inside and self._stamp() != self._seen:
            self._seen = self._stamp()
            self._twin = read_twin(self._path)

    def _save(self) -> None:
        if self._path is not None:
            state.save(self._twin, self._path)
            self._seen = self._stamp()

    def _stamp(self) -> tuple[int, int]:
        if self._path is None or not self._path.exists():
            return 0, 0
        found = self._path.stat()
        return found.st_ino, found.st_mtime_ns


def read_twin(path: Path) -> Twin:
    """Reads a simulated host's file. Raises `ReconcilerError`: 64 when there is none, 65 when it is something else."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # A pipe or a device may never come to an end.
            raise ReconcilerError("The simulated host can't be read.", f"{path} is no regular file.", code=64)
        data = path.read_bytes()
    except FileNotFoundError:
        raise ReconcilerError(
            "There is no such simulated host.",
            f"{path} does not exist. Make it with: reconciler sim new {path} --profile NAME",
            code=64,
        ) from None
    except OSError as error:
        code = 77 if isinstance(error, PermissionError) else 64
        raise ReconcilerError("The simulated host can't be read.", f"{path}: {error.strerror}.", code=code) from error
    twin = state.load(data, str(path))
    check(twin, str(path))
    return twin


def device_path(identity: str) -> str:
    """The sysfs directory of a device."""
    bus, _, device = identity.partition("/")
    return f"/sys/bus/{bus}/devices/{device}"


def _sysfs(shown: str, deadline: float, what: str = "", meanings: dict[int, str] = refusals.BIND) -> Words:
    def words(error: Exception) -> HostError:
        if isinstance(error, OSError):
            return refusals.refused_write(shown, error.errno or 0, what, meanings, root=True)
        if isinstance(error, Hangs):
            return refusals.no_answer(shown, deadline, error.evidence)
        return HostError("A kernel module command failed.", f"{error}.")

    return words


def _link(failed: str) -> Words:
    def words(error: Exception) -> HostError:
        code = errno.ETIMEDOUT if isinstance(error, Hangs) else getattr(error, "errno", None) or errno.EIO
        return refusals.refused_link(failed, code, root=True)

    return words


def _command(failed: str) -> Words:
    def words(error: Exception) -> HostError:
        if isinstance(error, Hangs):
            return HostError("A command did not end in time.", f"{failed}. The kernel may still be at it.")
        said = error.strerror if isinstance(error, OSError) else str(error)
        return HostError("A kernel module command failed.", f"{failed}: {said}.")

    return words


def _systemd(failed: str) -> Words:
    def words(error: Exception) -> HostError:
        if isinstance(error, Hangs):
            return HostError("A command did not end in time.", f"{failed}. systemd may still be at it.")
        said = error.strerror if isinstance(error, OSError) else str(error).rstrip(".")
        return HostError("systemd refused a change of a service.", f"{failed}: {said}.")

    return words


def _error_of(order: Callable[[], None]) -> Exception | None:
    try:
        order()
    except Exception as error:  # noqa: BLE001
        return error
    return None


def _own_file(path: str) -> Words:
    def words(error: Exception) -> HostError:
        number = getattr(error, "errno", None) or errno.EIO
        detail = f"{path}: {os.strerror(number)}."
        return HostError("A configuration file could not be written.", detail, errno=number)

    return words
