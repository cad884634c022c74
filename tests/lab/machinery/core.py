"""A lab by name: what tests and the command line use."""

import os
import re
import shutil
import subprocess
from pathlib import Path

from tests.lab.machinery import boot, prepare, python, snapshots
from tests.lab.machinery import image as images
from tests.lab.machinery.basics import cache, locked, program, say
from tests.lab.machinery.errors import CommandFailed, LabError
from tests.lab.machinery.machine import Machine
from tests.lab.machinery.shell import Shell


class Lab:
    """One virtual SR-IOV host. Labs with different names run side by side and share nothing but the image."""

    def __init__(self, name: str | None = None) -> None:
        self.name = name or os.environ.get("LAB_NAME") or "default"
        if not snapshots.NAME.fullmatch(self.name):
            raise LabError(f"a lab's name has letters, digits, '_', '.' and '-'; this one is {self.name!r}")
        self.dir = cache() / "labs" / self.name
        self._machine = Machine(self.dir)

    @property
    def port(self) -> int:
        """The port on 127.0.0.1 that leads to the lab's ssh."""
        self._need_running()
        return self._machine.port

    @property
    def image(self) -> images.Image:
        """The image that this lab was started from (the checkout may ask for a newer one by now)."""
        identity = (self.dir / "image").read_text().strip()
        return images.Image(identity, cache() / identity)

    @property
    def shell(self) -> Shell:
        """Root's shell in the lab."""
        return Shell(self._machine, self.image)

    def running(self) -> bool:
        """Whether the lab's QEMU runs."""
        return self._machine.pid() is not None

    def _need_running(self) -> None:
        if not self.dir.exists():
            raise LabError(f"there is no lab {self.name!r}; start it with: tests/lab/lab --name {self.name} up")
        if not self.running():
            raise LabError(
                f"the lab {self.name!r} is there, but its QEMU doesn't run (`up` starts it again):\n"
                f"{self._machine.log_end()}"
            )

    def up(self) -> None:
        """Have the lab run: if it doesn't, start it from its snapshot `clean`. Makes what is missing."""
        with locked(cache() / "labs" / f"{self.name}.lock", f"the lab {self.name}"):
            if self.running():
                say(f"the lab {self.name!r} runs already")
                return
            if not (self.dir / "disk.qcow2").exists():
                base, disk = prepare.prepared()
                part = self.dir.with_name(f".{self.name}.part")
                shutil.rmtree(part, ignore_errors=True)
                shutil.rmtree(self.dir, ignore_errors=True)
                part.mkdir(parents=True)
                program(["cp", "--reflink=auto", "--sparse=always", disk, part / "disk.qcow2"], "copying the disk")
                (part / "image").write_text(f"{base.id}\n")
                part.rename(self.dir)
            self._load(prepare.CLEAN)
            say(f"the lab {self.name!r} is up")

    def _load(self, snapshot: str, port: int | None = None) -> None:
        say(f"starting QEMU from the snapshot {snapshot!r}")
        snapshots.load(self._machine, self.shell, snapshot, port)

    def restore(self, snapshot: str = prepare.CLEAN) -> None:
        """Go back to a snapshot, whatever was done since; returns when ssh answers again."""
        known = self.snapshots()
        if snapshot not in known:
            raise LabError(f"the lab {self.name!r} has no snapshot {snapshot!r}; it has: {', '.join(known)}")
        # Not `loadvm` in the running QEMU: starting anew takes no longer, and it also brings back a card that
        # was pulled, which `loadvm` refuses to do.
        self.shell.disconnect()
        port = self._machine.port
        self._machine.stop()
        self._load(snapshot, port)

    def save(self, snapshot: str) -> None:
        """Keep the lab's present state, memory and disk, under a name for `restore`."""
        self._need_running()
        snapshots.save(self._machine, self.shell, snapshot)

    def snapshots(self) -> list[str]:
        """The names that `restore` knows."""
        self._need_running()
        rows = self._machine.monitor("info snapshots").splitlines()
        return [row.split()[1] for row in rows if row[:1].isdigit() or row.startswith("--")]

    def run(
        self,
        cmd: str,
        timeout: float = 120,
        check: bool = True,
        input: str | None = None,
    ) -> "subprocess.CompletedProcess[str]":
        """Run a command line of the lab's shell as root; with `check`, CommandFailed if its status isn't 0.

        `input` is its standard input. After `timeout` seconds Timeout is raised; the command may run on.
        """
        self._need_running()
        return self.shell.run(cmd, timeout, check, input)

    def interactive(self, command: str | None = None) -> int:
        """Run a command, or a login shell, on this process's own terminal; returns its status."""
        self._need_running()
        return self.shell.interactive(command)

    def push(self) -> None:
        """Bring the checkout's code into the lab as it is now, in the place of what was there."""
        self._need_running()
        done = self.shell.bytes(python.replace("src"), 120, python.checkout_archive(self.image))
        if done.returncode:
            raise LabError(f"pushing the code: {done.stderr.decode(errors='replace').strip()}")

    def monitor(self, cmd: str) -> str:
        """Run one line of QEMU's monitor, and return what it says."""
        self._need_running()
        return self._machine.monitor(cmd)

    def reboot(self) -> None:
        """Reboot as an operator would, with all that boot order does; returns when systemd has settled."""
        before = boot.boot_id(self.shell)
        say("rebooting")
        try:
            self.run("systemctl reboot")
        except CommandFailed:
            raise
        except LabError:
            # The reboot was quicker than the answer. Whether it was one is seen below.
            self._machine.check_alive()
        self._boot(before)
        say("rebooted")

    def reset(self) -> None:
        """Push the reset button: no program is told, and what is not on the disk is gone."""
        before = boot.boot_id(self.shell)
        say("resetting")
        self.monitor("system_reset")
        self._boot(before)
        say("booted again")

    def _boot(self, before: str) -> None:
        """Return when systemd has settled in another boot than `before`."""
        boot.wait(self._machine, self.shell, before)
        snapshots.wake(self.shell)
        prepare.settle(self.shell)

    def down(self) -> None:
        """End the lab and remove its folder with all its snapshots."""
        with locked(cache() / "labs" / f"{self.name}.lock", f"the lab {self.name}"):
            if self.dir.exists():
                if self.running():
                    self.shell.disconnect()
                self._machine.stop()
                shutil.rmtree(self.dir)


def prune() -> list[Path]:
    """Remove images and prepared disks that neither this checkout nor any lab needs; the paths removed."""
    identity = images.image_id()
    keep = {identity, python.folder(identity).name, prepare.disk(identity).name}
    keep |= {lab.image.id for lab in labs()}
    finished = re.compile(r"[0-9a-f]{16}|python-[0-9a-f-]+|prepared-[0-9a-f-]+\.qcow2")
    removed = []
    for path in sorted(cache().iterdir()) if cache().exists() else []:
        if finished.fullmatch(path.name) and path.name not in keep:
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
            removed.append(path)
    return removed


def labs() -> list[Lab]:
    """All labs that there are, running or not."""
    folder = cache() / "labs"
    if not folder.exists():
        return []
    return [Lab(path.name) for path in sorted(folder.iterdir()) if path.is_dir() and not path.name.startswith(".")]
