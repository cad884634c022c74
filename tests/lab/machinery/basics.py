"""Small things that every part needs: where files are, progress, waiting, locking, running a program."""

import fcntl
import hashlib
import io
import os
import shutil
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.lab.machinery.errors import LabError, Timeout

HERE = Path(__file__).resolve().parent.parent
"""The folder `tests/lab`."""

CHECKOUT = HERE.parent.parent
"""The top of the checkout."""

_STARTED = time.monotonic()


def cache() -> Path:
    """Where images, prepared disks and running labs are kept, outside the checkout."""
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser().resolve() / "reconciler-lab"


def say(text: str) -> None:
    """Tell on stderr what happens now, with the seconds since this process began."""
    print(f"lab {time.monotonic() - _STARTED:6.1f}s  {text}", file=sys.stderr, flush=True)


def wait_until(condition: Callable[[], bool], what: str, within: float, pause: float = 0.2) -> None:
    """Return as soon as `condition()` is true; raise Timeout with `what` after `within` seconds."""
    deadline = time.monotonic() + within
    while not condition():
        if time.monotonic() > deadline:
            raise Timeout(f"waited {within:.0f} s for this, in vain: {what}")
        time.sleep(pause)


@contextmanager
def locked(path: Path, what: str) -> Iterator[None]:
    """Hold an exclusive lock on `path` (made if missing), so that two processes don't make the same thing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"another process is at it: {what}; waiting")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def digest(parts: Sequence[bytes | Path]) -> str:
    """A short name for content: bytes, files (name, mode and content), folders (all files in them)."""
    total = hashlib.sha256()

    def add(data: bytes) -> None:
        total.update(len(data).to_bytes(8, "big") + data)

    for part in parts:
        if isinstance(part, bytes):
            add(part)
            continue
        for path in sorted(part.rglob("*")) if part.is_dir() else [part]:
            if path.is_file():
                add(f"{path.relative_to(part.parent)} {0o111 if path.stat().st_mode & 0o100 else 0}".encode())
                add(path.read_bytes())
    return total.hexdigest()[:16]


def archive(tree: Path) -> bytes:
    """A tar archive of what is in `tree`, owned by root and readable by all, whatever this user's umask is."""

    def by_root(entry: tarfile.TarInfo) -> tarfile.TarInfo:
        entry.uid = entry.gid = 0
        entry.uname = entry.gname = "root"
        entry.mode = 0o755 if entry.isdir() or entry.mode & 0o100 else 0o644
        return entry

    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        tar.add(tree, arcname=".", filter=by_root)
    return buffer.getvalue()


def need(programs: dict[str, str]) -> None:
    """Check that programs are installed; `programs` maps each to the Debian package that has it."""
    path = os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin"
    missing = [name for name in programs if shutil.which(name, path=path) is None]
    if missing:
        packages = " ".join(sorted({programs[name] for name in missing}))
        raise LabError(f"not installed: {', '.join(missing)}. On Debian or Ubuntu: apt-get install {packages}")


def program(command: Sequence[str | Path], what: str, log: Path | None = None) -> str:
    """Run a program of the host to its end and return its output; on failure, an error with the last lines.

    With `log`, output goes into that file, so that it can be followed during a long run.
    """
    arguments = [str(part) for part in command]
    environment = {**os.environ, "PATH": os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin"}
    if log is None:
        done = subprocess.run(arguments, capture_output=True, text=True, env=environment, check=False)
        status, output = done.returncode, done.stdout
        told = done.stdout + done.stderr
    else:
        with log.open("w") as handle:
            status = subprocess.run(
                arguments, stdout=handle, stderr=subprocess.STDOUT, env=environment, check=False
            ).returncode
        output = told = log.read_text(errors="replace")
    if status:
        raise LabError(f"{what} failed (status {status}):\n{last_lines(told, 25)}")
    return output


def last_lines(text: str, count: int = 15) -> str:
    """The end of a log, for an error message."""
    return "\n".join(text.rstrip().splitlines()[-count:])
