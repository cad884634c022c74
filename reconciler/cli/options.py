"""The global options, and what every command does with them: observe, read a file, decide about colour."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from reconciler.cli.output import say
from reconciler.diagnostics import ReconcilerError
from reconciler.exit_codes import ExitCode

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reconciler.host.model import Snapshot
    from reconciler.host.protocol import Reader
    from reconciler.plan.document import Source
    from reconciler.state.desired import Desired


LIBVIRT = "qemu:///system"
STATE_DIR = Path("/var/lib/reconciler")


def default_state_dir(host: str) -> Path:
    """Where ledger and runs are: of a simulated host, beside its file."""
    kind, _, path = host.partition(":")
    return Path(f"{path}.state") if kind == "sim" and path else STATE_DIR


class Color(StrEnum):
    """When output is coloured."""

    AUTO = "auto"
    ALWAYS = "always"
    NEVER = "never"


@dataclass(slots=True)
class Options:
    """Global options."""

    host: str = "local"
    libvirt: str = LIBVIRT
    state_dir: Path = STATE_DIR
    color: Color = Color.AUTO
    verbose: bool = False

    def colored(self, stream: TextIO) -> bool:
        """Whether this stream gets colours. ``NO_COLOR`` counts unless --color says otherwise."""
        if self.color is not Color.AUTO:
            return self.color is Color.ALWAYS
        return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"

    @property
    def lock(self) -> Path:
        """Where one run at a time is held: per host, so in a simulated host's own folder."""
        from reconciler.apply.lock import LOCK

        return LOCK if self.host == "local" else self.state_dir / "lock"

    @property
    def has_records(self) -> bool:
        """Whether there is a state directory of this host: a recorded one has its records in it."""
        return self.host == "local" or self.host.startswith("sim:")

    def command(self, *words: str) -> str:
        """A command for the same host and records, as it has to be typed."""
        given = []
        if self.host != "local":
            given += ["--host", self.host]
        if self.libvirt != LIBVIRT:
            given += ["--libvirt", self.libvirt]
        if self.state_dir != default_state_dir(self.host):
            given += ["--state-dir", str(self.state_dir.absolute())]
        return shlex.join(["reconciler", *given, *words])

    def width(self) -> int:
        """Columns of the terminal that results go to; 0, for no wrapping, when they go elsewhere."""
        return shutil.get_terminal_size().columns if sys.stdout.isatty() else 0

    def reader(
        self, desired: Desired | None = None, *, host_name: str | None = None, whole: bool = False, early: bool = False
    ) -> Reader:
        """The host to read, with what this state file names of it, or the ``whole``. ``early`` in boot the initramfs is
        left alone: the network, and libvirt, would wait for it to be unpacked, and made anew."""
        from reconciler.drivers.table import vf_driver_modules
        from reconciler.host.open import open_reader
        from reconciler.host.protocol import NOTHING, Asked

        if desired is None:
            asked = Asked(None, None, vf_driver_modules()) if whole else NOTHING
        else:
            kept_away = () if early else tuple(desired.blacklist or ())
            asked = Asked(tuple(desired.services), tuple(desired.load or ()), kept_away)
        return open_reader(self.host, self.libvirt, host_name or (desired.host_name if desired else None), asked)

    def observe(self, reader: Reader) -> Snapshot:
        """Everything that a plan reads, with the ledger and what an interrupted run owes; complains on stderr about
        records that can't be used."""
        snapshot = reader.observe()
        if self.has_records:
            problems = [problem for problem in self._recall(snapshot) if problem]
            for problem in problems:
                say(f"Warning: {problem}")
            snapshot.notes += problems
        return snapshot

    def _recall(self, snapshot: Snapshot) -> Iterator[str]:
        """Adds what is on record, as far as it can be used. It labels, and helps to give back: whatever is wrong with
        it, the host itself can be read."""
        from reconciler.apply.ledger import read_ledger
        from reconciler.apply.owed import owed

        try:
            snapshot.ledger, problem = read_ledger(self.state_dir)
            yield problem
            snapshot.owed = owed(self.state_dir, snapshot.host.boot_id)
        except ReconcilerError as error:
            yield f"{error.summary} {error.detail}"
        except Exception as error:  # noqa: BLE001
            yield (
                f"The records in {self.state_dir} can't be used ({type(error).__name__}: {error}). This is a fault in "
                "reconciler: please report it. The host was read all the same."
            )


def need_root(options: Options) -> None:
    """Only this machine takes root to be changed."""
    if options.host == "local" and os.geteuid() != 0:
        raise ReconcilerError(
            "Not permitted.",
            "Changing the host takes root: run it with sudo. Nothing was changed.",
            code=ExitCode.NOT_PERMITTED,
        )


def read_file(path: str) -> bytes:
    """A file that the user named; not there or not readable is a clear error."""
    try:
        return Path(path).read_bytes()
    except PermissionError:
        raise ReconcilerError(
            "A file can't be read.", f"{path}: permission denied.", code=ExitCode.NOT_PERMITTED
        ) from None
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise ReconcilerError("A file can't be read.", f"{path}: {why}.", code=ExitCode.USAGE) from None


def load_state(path: str, data: bytes | None = None) -> tuple[Desired, Source]:
    """A state file and where it comes from; warnings about it go to stderr."""
    import hashlib

    from reconciler.host.local.git import describe
    from reconciler.plan.document import Git, Source
    from reconciler.state.errors import format_error
    from reconciler.state.load import load_with_notes

    content = read_file(path) if data is None else data
    desired, notes = load_with_notes(path, content)
    for note in notes:
        say(f"Warning: {format_error(note)}")
    found = describe(Path(path))
    git = Git(*found) if found is not None else None
    return desired, Source(path, hashlib.sha256(content).hexdigest(), git)


def write_new(path: Path, text: str, *, overwrite: bool) -> None:
    """Writes a result to a file that the user named."""
    try:
        with path.open("w" if overwrite else "x", encoding="utf-8") as file:
            file.write(text)
            file.flush()
    except FileExistsError:
        raise ReconcilerError(
            "The file exists already.",
            f"{path} is never overwritten. Name another one, or remove it.",
            code=ExitCode.FAILED,
        ) from None
    except OSError as error:
        code = ExitCode.NOT_PERMITTED if isinstance(error, PermissionError) else ExitCode.FAILED
        raise ReconcilerError("A file can't be written.", f"{path}: {error.strerror}.", code=code) from None


def write_private(path: Path, text: str) -> None:
    """Writes a plan, which only its owner may read (0600): replaced as a whole, and a symlink itself rather than what
    it points to, unless that is no file at all (`/dev/stdout`, a FIFO)."""
    from reconciler.files import replace_file

    try:
        if path.exists() and not path.is_file() and not path.is_dir():
            with path.open("a", encoding="utf-8") as stream:
                stream.write(text)
        else:
            replace_file(path, text, 0o600)
    except OSError as error:
        code = ExitCode.NOT_PERMITTED if isinstance(error, PermissionError) else ExitCode.FAILED
        raise ReconcilerError("A file can't be written.", f"{path}: {error.strerror}.", code=code) from None
