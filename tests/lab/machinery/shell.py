"""Commands in the lab, over one ssh connection that stays open, so that each of them costs little."""

import subprocess
from pathlib import Path

from tests.lab.machinery.basics import wait_until
from tests.lab.machinery.errors import CommandFailed, LabError, Timeout
from tests.lab.machinery.image import Image
from tests.lab.machinery.machine import Machine

SSH_FAILED = 255
"""ssh's own exit status, as opposed to that of the command."""


class Shell:
    """Root's shell in the lab."""

    def __init__(self, machine: Machine, image: Image) -> None:
        self.machine = machine
        self.image = image

    def arguments(self) -> list[str]:
        """ssh's command line up to the host; to be run in the lab's folder: a socket's path must be short."""
        options = {
            "IdentityFile": self.image.key,
            "IdentitiesOnly": "yes",
            "UserKnownHostsFile": self.image.known_hosts,
            "GlobalKnownHostsFile": "/dev/null",
            "HostKeyAlias": "lab",
            "StrictHostKeyChecking": "yes",
            "BatchMode": "yes",
            "ConnectTimeout": "10",
            "ControlPath": "ssh-connection",
            "LogLevel": "ERROR",
        }
        words = [f"-o{name}={value}" for name, value in options.items()]
        return ["ssh", "-F", "none", *words, "-p", str(self.machine.port), "root@127.0.0.1"]

    @property
    def _socket(self) -> Path:
        return self.machine.dir / "ssh-connection"

    def connect(self, within: float) -> None:
        """Return when ssh answers; the connection stays open until `disconnect`."""

        def answers() -> bool:
            self.machine.check_alive()
            return self.open()

        self.disconnect()
        try:
            wait_until(answers, "the lab answers ssh", within, 0.1)
        except Timeout as error:
            raise Timeout(f"{error}\n{self.machine.log_end()}") from None

    def open(self) -> bool:
        """Try once to connect; whether it worked."""
        # The connection must not inherit this process's pipes: who reads from them would wait for its end.
        master = subprocess.run(
            [*self.arguments(), "-fNM"],
            cwd=self.machine.dir,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
        )
        return master.returncode == 0

    def disconnect(self) -> None:
        """Drop the connection: after a restore, the lab knows nothing of it."""
        if self._socket.exists():
            subprocess.run([*self.arguments(), "-O", "exit"], cwd=self.machine.dir, capture_output=True, check=False)
            self._socket.unlink(missing_ok=True)

    def interactive(self, command: str | None) -> int:
        """Run a command, or a login shell, on this process's own terminal; returns its status."""
        if not self._socket.exists():
            self.connect(30)
        terminal = [] if command else ["-t"]
        words = [*self.arguments(), *terminal, *([command] if command else [])]
        return subprocess.run(words, cwd=self.machine.dir, check=False).returncode

    def bytes(self, command: str, timeout: float, data: bytes = b"") -> "subprocess.CompletedProcess[bytes]":
        """Run a command whose standard input is `data`; its status is not looked at."""
        if not self._socket.exists():
            self.connect(30)
        try:
            done = subprocess.run(
                [*self.arguments(), command],
                cwd=self.machine.dir,
                input=data,
                capture_output=True,
                timeout=timeout,
                check=False,
            )
        except subprocess.TimeoutExpired as late:
            told = "\n".join(part.decode(errors="replace") for part in (late.stdout, late.stderr) if part)
            raise Timeout(f"in the lab, not done after {timeout:.0f} s: {command}\n{told}".rstrip()) from None
        if done.returncode == SSH_FAILED:
            self.machine.check_alive()
            raise LabError(f"ssh to the lab failed: {done.stderr.decode(errors='replace').strip() or command}")
        return done

    def run(
        self, command: str, timeout: float = 120, check: bool = True, data: str | None = None
    ) -> "subprocess.CompletedProcess[str]":
        """Run a command of the lab's shell; with `check`, raise CommandFailed if its status isn't 0."""
        done = self.bytes(command, timeout, (data or "").encode())
        stdout, stderr = (part.decode(errors="replace") for part in (done.stdout, done.stderr))
        if check and done.returncode:
            raise CommandFailed(command, done.returncode, stdout, stderr)
        return subprocess.CompletedProcess(command, done.returncode, stdout, stderr)
