"""One QEMU process: starting it, talking to its monitor, ending it."""

import contextlib
import json
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.lab.machinery import hardware
from tests.lab.machinery.basics import last_lines, say, wait_until
from tests.lab.machinery.errors import LabError
from tests.lab.machinery.image import Image

PORT_TAKEN = "Could not set up host forwarding rule"


class Machine:
    """The virtual machine whose files are in `directory`; this object may be made anew at any time."""

    def __init__(self, directory: Path) -> None:
        self.dir = directory

    @property
    def port(self) -> int:
        """The port on 127.0.0.1 that leads to the lab's ssh."""
        return int((self.dir / "port").read_text())

    def pid(self) -> int | None:
        """QEMU's process ID, or None if it doesn't run."""
        try:
            pid = int((self.dir / "pid").read_text())
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return None
        # The number may belong to another process by now; a zombie is no machine either.
        return pid if os.fsencode(self._tag) in command and state != "Z" else None

    @property
    def _tag(self) -> str:
        """The argument that marks this machine's process."""
        return "guest=" + str(self.dir).replace(",", ",,")

    def start(self, image: Image, snapshot: str | None = None, port: int | None = None) -> None:
        """Start QEMU, from `snapshot` or by booting; returns when its monitor answers.

        Without `port`, or if it is taken, a free one is used; should another process be quicker, the next.
        """
        for left in (2, 1, 0):
            number = port if port and left == 2 else _free_port()
            (self.dir / "port").write_text(f"{number}\n")
            try:
                self._start(image, snapshot, number)
                return
            except LabError as error:
                if not (left and PORT_TAKEN in str(error)):
                    raise

    def _start(self, image: Image, snapshot: str | None, port: int) -> None:
        share = image.dir / "share"
        command = [
            *image.command("qemu-system-x86_64"),
            *("-name", self._tag),
            *("-L", str(share / "qemu"), "-L", str(share / "seabios")),
            *("-serial", "file:serial.log", "-qmp", "unix:qmp,server=on,wait=off"),
            *hardware.arguments(port),
            *(["-loadvm", snapshot] if snapshot else []),
        ]
        (self.dir / "qmp").unlink(missing_ok=True)
        with (self.dir / "qemu.log").open("w") as log:
            process = subprocess.Popen(
                command,
                cwd=self.dir,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        (self.dir / "pid").write_text(f"{process.pid}\n")

        def answers() -> bool:
            if process.poll() is not None:
                raise LabError(f"QEMU did not start (status {process.returncode}):\n{self.log_end()}")
            # With -loadvm, the monitor answers only when the snapshot has been read.
            return (self.dir / "qmp").exists() and self._status() == "running"

        wait_until(answers, "QEMU runs the machine", 120, 0.05)

    def _status(self) -> str:
        try:
            return str(self.command("query-status")["status"])
        except (ConnectionError, FileNotFoundError):
            return "no monitor yet"

    def check_alive(self) -> None:
        """Raise an error that shows QEMU's last words if it doesn't run."""
        if self.pid() is None:
            raise LabError(f"the lab's QEMU doesn't run:\n{self.log_end()}")

    def log_end(self) -> str:
        """The last lines of what QEMU said and of the lab's serial console."""
        parts = []
        for name in ("qemu.log", "serial.log"):
            path = self.dir / name
            if path.exists():
                parts.append(f"--- {path}\n{last_lines(path.read_text(errors='replace'))}")
        return "\n".join(parts)

    def command(self, name: str, **arguments: Any) -> Any:
        """Send one QMP command and return its answer."""
        with self._monitor() as (send, receive):
            send({"execute": "qmp_capabilities"})
            receive()
            send({"execute": name, "arguments": arguments})
            return receive()

    def monitor(self, line: str) -> str:
        """Run one line of QEMU's human monitor (`set_link pf0 off`, `device_del pf1`, `info pci`)."""
        self.check_alive()
        return str(self.command("human-monitor-command", **{"command-line": line})).replace("\r\n", "\n")

    @contextlib.contextmanager
    def _monitor(self) -> Iterator[tuple[Any, Any]]:
        """A QMP connection, as a function that sends and one that returns the next answer."""
        # A socket's path may have 107 bytes and no more; this one stays short wherever the cache is.
        folder = os.open(self.dir, os.O_PATH)
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(300)
                connection.connect(f"/proc/self/fd/{folder}/qmp")
                stream = connection.makefile("rw", encoding="utf-8")

                def send(message: dict[str, Any]) -> None:
                    stream.write(json.dumps(message) + "\n")
                    stream.flush()

                def receive() -> Any:
                    for line in stream:
                        message = json.loads(line)
                        if "error" in message:
                            raise LabError(f"QEMU's monitor: {message['error']['desc']}")
                        if "return" in message:
                            return message["return"]
                    raise LabError(f"QEMU hung up on its monitor:\n{self.log_end()}")

                yield send, receive
        finally:
            os.close(folder)

    def save(self, snapshot: str) -> None:
        """Write a snapshot of memory and disk into the disk file, replacing one of that name."""
        answer = self.monitor(f"savevm {snapshot}").strip()
        # The command says something only if it failed.
        if answer:
            raise LabError(f"saving the snapshot {snapshot!r}: {answer}")

    def stop(self) -> None:
        """End QEMU: by its monitor, which completes the disk file; if it doesn't answer, by a signal."""
        pid = self.pid()
        if pid is None:
            return
        try:
            self.command("quit")
            wait_until(lambda: self.pid() is None, "QEMU ends", 20, 0.05)
        except (LabError, OSError) as error:
            say(f"QEMU doesn't end by itself ({error}); killing it")
            os.kill(pid, signal.SIGKILL)
            wait_until(lambda: self.pid() is None, "QEMU is gone after SIGKILL", 20, 0.05)


def _free_port() -> int:
    """A TCP port on 127.0.0.1 that nothing uses at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
