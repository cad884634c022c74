"""What is inside guests, asked of their QEMU guest agents with commands that only look.

An agent may be slow, disabled in part (RHEL allows neither commands nor files), or in the hands of somebody who lies.
All guests are asked side by side, and together they have a few seconds.
"""

from __future__ import annotations

import json
import queue
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from reconciler.host.local import agent_answers as answers
from reconciler.host.local.agent_answers import BadAnswer
from reconciler.host.local.libvirt_errors import message
from reconciler.host.local.libvirt_xml import Element
from reconciler.host.platform import Inside, InsideNic

SECONDS = 10.0
"""For all guests together."""
_ONE = 5
"""Seconds for one command."""
_AT_ONCE = 16
"""Guests that are asked side by side."""
_POLL = 0.2
"""Seconds between two questions whether a command has ended."""
_FILE = 1 << 16
"""Bytes of a file that are read."""
_WINDOWS = "mswindows"

T = TypeVar("T")


class _Failed(BadAnswer):
    """There is no answer."""


def channel(domain: Element) -> str:
    """Of a running domain's XML: ``connected``, ``disconnected`` or ``absent`` (docs/formatdomain.rst, channel)."""
    for target in domain.iterfind("devices/channel/target[@type='virtio']"):
        if target.get("name") == "org.qemu.guest_agent.0":
            return "connected" if target.get("state", "connected") == "connected" else "disconnected"
    return "absent"


def ask_guests(command: Callable[[str, str, int], Any], guests: Mapping[str, str], seconds: float) -> dict[str, Inside]:
    """Asks each guest whose `channel` is connected. ``guests``: channels by domain; ``command(domain, JSON, seconds)``
    sends one command and returns what comes back. Never takes much longer than so many seconds."""
    found = unasked(guests, f"the {seconds:g} s for all guests were over")
    todo: queue.SimpleQueue[str] = queue.SimpleQueue()
    done: queue.SimpleQueue[tuple[str, Inside]] = queue.SimpleQueue()
    open_ones = [name for name, state in guests.items() if state == "connected"]
    for name in open_ones:
        todo.put(name)
    until, begun = time.monotonic() + seconds, set()

    def work() -> None:
        while time.monotonic() < until:
            try:
                name = todo.get_nowait()
            except queue.Empty:
                return
            begun.add(name)
            done.put((name, _Guest(command, name, until).look()))

    for _ in range(min(_AT_ONCE, len(open_ones))):
        threading.Thread(target=work, name="guest agent", daemon=True).start()
    left = set(open_ones)
    while left and (wait := until + 1 - time.monotonic()) > 0:
        try:
            name, inside = done.get(timeout=wait)
        except queue.Empty:
            break
        found[name] = inside
        left.discard(name)
    for name in left:
        if name in begun:
            found[name] = Inside("silent", f"it did not answer within {seconds:g} s")
    return found


def unasked(guests: Mapping[str, str], reason: str) -> dict[str, Inside]:
    """When nobody can be asked, for one and the same reason."""
    return {name: _without(state, reason) for name, state in guests.items()}


def _without(state: str, reason: str) -> Inside:
    match state:
        case "absent":
            return Inside("absent", "it has no channel for one")
        case "disconnected":
            return Inside("disconnected", "none is connected to its channel")
    return Inside("unasked", reason)


class _Guest:
    """One guest."""

    def __init__(self, command: Callable[[str, str, int], Any], name: str, until: float) -> None:
        self._command, self._name, self._until = command, name, until
        self._can: set[str] = set()
        self._unknown: list[str] = []

    def look(self) -> Inside:
        """Everything; what can't be had is told."""
        try:
            self._can = answers.commands(self._call("guest-info"))
        except BadAnswer as error:
            return Inside("silent", str(error))
        found = Inside("answers", unknown=self._unknown)
        found.system = self._try("which system it runs", lambda: answers.system(self._ask("guest-get-osinfo")))
        found.processors = self._try("its vCPUs", lambda: answers.processors(self._ask("guest-get-vcpus")))
        if found.system != _WINDOWS:
            looked = self._try("irqbalance", self._run)
            if looked is not None:
                found.irqbalance, found.nics = looked
                return found
        found.nics = self._try("its interfaces", lambda: answers.nics(self._ask("guest-network-get-interfaces")))
        if found.system != _WINDOWS and found.nics:
            self._try("queues and bridges of its interfaces", lambda: self._by_files(found.nics or []))
        return found

    def _try(self, what: str, ask: Callable[[], T]) -> T | None:
        """``None``, with the reason, for what isn't answered."""
        try:
            return ask()
        except BadAnswer as error:
            self._unknown.append(f"Not known: {what}, since {error}.")
            return None

    def _ask(self, name: str, **arguments: Any) -> Any:
        """A command that the agent may not have."""
        if name not in self._can:
            raise _Failed(f"its agent doesn't allow {name}")
        return self._call(name, **arguments)

    def _call(self, name: str, **arguments: Any) -> Any:
        left = int(self._until - time.monotonic())
        if left < 1:
            raise _Failed("there was no time left")
        text = json.dumps({"execute": name, **({"arguments": arguments} if arguments else {})})
        try:
            said = self._command(self._name, text, min(left, _ONE))
        except Exception as error:
            raise _Failed(f"libvirt says: {message(error)}") from error
        return answers.returned(said)

    def _run(self) -> tuple[bool, list[InsideNic]]:
        """Lets the guest's shell look around."""
        if "guest-exec-status" not in self._can:
            raise _Failed("its agent doesn't allow guest-exec")
        arguments = {"path": "/bin/sh", "arg": ["-c", answers.SCRIPT], "capture-output": True}
        started = self._ask("guest-exec", **arguments)
        pid = started.get("pid") if isinstance(started, dict) else None
        if not isinstance(pid, int):
            raise _Failed("its agent doesn't say what it runs")
        while True:
            state = self._call("guest-exec-status", pid=pid)
            if not isinstance(state, dict):
                raise _Failed("its agent doesn't say what became of a command")
            if state.get("exited") is True:
                break
            time.sleep(_POLL)
        return answers.looked(answers.decoded(state.get("out-data")))

    def _by_files(self, nics: list[InsideNic]) -> None:
        """As much as files tell when the agent runs no commands."""
        interrupts = self._file("/proc/interrupts")
        for nic in nics:
            nic.queues = answers.queues_by_interrupts(interrupts, nic.name)
            master = self._file_if_there(f"/sys/class/net/{nic.name}/master/uevent")
            nic.bridge = answers.bridge_of(master or "")
            if master is not None:
                own = self._file_if_there(f"/sys/class/net/{nic.name}/bonding_slave/perm_hwaddr")
                nic.mac = answers.own_mac(own or "") or nic.mac

    def _file_if_there(self, path: str) -> str | None:
        try:
            return self._file(path)
        except _Failed as error:
            if "No such file" not in str(error):
                raise
            return None

    def _file(self, path: str) -> str:
        handle = self._ask("guest-file-open", path=path, mode="r")
        if not isinstance(handle, int):
            raise _Failed(f"its agent doesn't open {path}")
        try:
            read = self._ask("guest-file-read", handle=handle, count=_FILE)
        finally:
            self._ask("guest-file-close", handle=handle)
        return answers.decoded(read.get("buf-b64") if isinstance(read, dict) else None)
