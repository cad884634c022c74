"""``plan`` for several state files: a bad one doesn't stop the others, and of recorded hosts, a fleet's folder of
snapshots, as many are planned at once as there are cores. What two files say of one host is compared."""

from __future__ import annotations

import io
import sys
from contextlib import closing, redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from reconciler.cli.interrupts import interruptible
from reconciler.cli.options import read_file
from reconciler.cli.output import complain, put, say
from reconciler.cli.planned import View, exit_code, plan_one, print_plan
from reconciler.cli.several import FileOnHost, contradicting
from reconciler.cli.workers import spread
from reconciler.diagnostics import ReconcilerError, StateFileError
from reconciler.exit_codes import ExitCode

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from reconciler.cli.options import Options


def plan_all(options: Options, files: Sequence[str], view: View) -> Iterator[int]:
    """Prints the plans in the order of the files, each as soon as it is there; their exit codes, and those of what is
    wrong between files."""
    if not options.host.startswith("snapshot:"):
        yield from _of_one_host(options, files, view)
        return
    interruptible()
    contents = dict(_read_once(files))
    hosts: list[_Host] = []
    work = partial(_printed, options, view, contents)
    with closing(spread(work, files, _lost)) as results:
        for result in results:
            if result.err:
                say(result.err.rstrip("\n"))
            yield result.code
            if result.out and not put(result.out):
                return  # Nobody reads any more.
            if result.host is not None:
                hosts.append(result.host)
    for group in sharing(hosts):
        yield from _compared(options, group, contents)


def _of_one_host(options: Options, files: Sequence[str], view: View) -> Iterator[int]:
    """All files are for a host that is here: one after the other."""
    read: list[FileOnHost] = []
    for path in files:
        try:
            planned = plan_one(options, path, view.targets)
        except ReconcilerError as error:
            yield complain(_with_name(error, path))
            continue
        read.append(FileOnHost(path, planned.desired, planned.observed))
        print_plan(options, planned.document, view.format, lines=True)
        yield exit_code(planned.document, view.detailed)
    yield from map(complain, contradicting(read))


@dataclass(frozen=True, slots=True)
class _Host:
    """For which host a file is."""

    path: str
    machine_id: str
    name: str
    """What the file says itself; "" if it doesn't."""


@dataclass(frozen=True, slots=True)
class _Printed:
    """What is to be said of a file."""

    code: int
    out: str
    err: str
    host: _Host | None


class _Kept(io.StringIO):
    """What would be printed on a stream, which is a terminal if that one is."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._terminal = stream.isatty()

    def isatty(self) -> bool:
        return self._terminal


def _printed(options: Options, view: View, contents: Mapping[str, bytes], path: str) -> _Printed:
    """A file's plan, or its error: whatever it is, the others go on."""
    out, err = _Kept(sys.stdout), _Kept(sys.stderr)
    host = None
    with redirect_stdout(out), redirect_stderr(err):
        try:
            planned = plan_one(options, path, view.targets, contents.get(path))
            host = _Host(path, planned.observed.host.machine_id, planned.desired.host_name or "")
            print_plan(options, planned.document, view.format, lines=True)
            code: int = exit_code(planned.document, view.detailed)
        except ReconcilerError as error:
            code = complain(_with_name(error, path))
        except Exception as error:  # noqa: BLE001  a fault with one file is told, and is not one of all others
            code = _unexpected(error, path, options.verbose)
    return _Printed(code, out.getvalue(), err.getvalue(), host)


def _with_name(error: ReconcilerError, path: str) -> ReconcilerError:
    """An error that says which of the files it is about."""
    if isinstance(error, StateFileError) or error.detail.startswith(f"{path}:"):
        return error
    return ReconcilerError(error.summary, f"{path}: {error.detail}", code=error.code)


def _unexpected(error: Exception, path: str, verbose: bool) -> int:
    if verbose:
        import traceback

        say(traceback.format_exc())
    say(
        f"Error: Something unexpected happened. {path}: {type(error).__name__}: {error}. This is a fault in "
        "reconciler: please report it with the output of -v."
    )
    return ExitCode.FAILED


def _lost(path: str, ended: str) -> _Printed:
    """The process that was to plan this file has died: it ran out of memory, or somebody ended it."""
    text = f"Error: This file was not planned. {path}: its process was ended ({ended}). Plan it by itself to see why.\n"
    return _Printed(ExitCode.FAILED, "", text, None)


def _read_once(files: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    """What can be read but once (a pipe, as in `plan <(…)`): whoever comes first would have it. What can't be read is
    left out: whoever is to plan it says why."""
    for path in dict.fromkeys(files):
        with suppress(OSError, ReconcilerError):
            if Path(path).exists() and not Path(path).is_file() and not Path(path).is_dir():
                yield path, read_file(path)


def sharing(hosts: Iterable[_Host]) -> Iterator[list[_Host]]:
    """Files that may be for one host: of one machine, and with one name as far as they have any."""
    machines: dict[str, list[_Host]] = {}
    for host in hosts:
        machines.setdefault(host.machine_id, []).append(host)
    for group in machines.values():
        if any(not host.name for host in group):
            yield from [group] if len(group) > 1 else []
            continue
        names: dict[str, list[_Host]] = {}
        for host in group:
            names.setdefault(host.name, []).append(host)
        yield from (same for same in names.values() if len(same) > 1)


def _compared(options: Options, group: Sequence[_Host], contents: Mapping[str, bytes]) -> Iterator[int]:
    """Contradictions between these files, which are read once more: of a fleet not all is kept in memory."""
    from reconciler.state.load import load

    try:
        read = []
        for host in group:
            data = contents[host.path] if host.path in contents else read_file(host.path)
            desired = load(host.path, data)
            read.append(FileOnHost(host.path, desired, options.observe(options.reader(desired))))
    except ReconcilerError as error:
        yield complain(error)
        return
    yield from map(complain, contradicting(read))
