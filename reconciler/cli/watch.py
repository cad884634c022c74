"""``reconciler watch``."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from reconciler.cli.apply import refuse_recorded
from reconciler.cli.hook import STATE_FILE, TENANTS
from reconciler.cli.options import Options, need_root, read_file
from reconciler.cli.output import put, say
from reconciler.exit_codes import ExitCode
from reconciler.report.style import visible

if TYPE_CHECKING:
    from reconciler.apply.watch import Watch
    from reconciler.host.protocol import Events
    from reconciler.state.desired import Desired


def watch(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="The state file of this host.")] = STATE_FILE,
    once: Annotated[bool, typer.Option("--once", help="Look once, and end.")] = False,
) -> int:
    """Correct VFs as guests come and go: with what the file declares and else the driver's defaults, whoever started
    or stopped the guest. Sets attributes only, and on a VF that somebody has only what nobody notices."""
    from reconciler.apply.hygiene import Tenants
    from reconciler.apply.watch import Watch
    from reconciler.host.open import open_events, open_writer

    options: Options = context.obj
    refuse_recorded(options)
    read_file(str(file))  # A wrong name is a wrong usage; later on the file may go and come.
    need_root(options)
    events = open_events(options.host, options.libvirt)
    stop = Stop(events)
    try:
        watching = Watch(
            options.reader(),
            open_writer(options.host, options.libvirt),
            Tenants(TENANTS if options.host == "local" else options.state_dir / "guests"),
            StateFile(str(file)).read,
            options.state_dir,
            options.lock,
        )
        if once:
            return _once(watching)
        watching.run(events, stop.asked, tell, _complain)
        return ExitCode.OK
    finally:
        events.close()


def _once(watching: Watch) -> int:
    done = watching.once()
    for change in done.corrected:
        tell(str(change))
    for complaint in [*done.complaints, *filter(None, [done.busy])]:
        _complain(complaint)
    return done.code


def tell(line: str) -> None:
    """A correction on a line of its own, whatever the guest is called."""
    put(f"{visible(line)}\n", done=True)


def _complain(text: str) -> None:
    say(f"reconciler: {text}")


class Stop:
    """Ctrl-C and SIGTERM end it between two passes."""

    def __init__(self, events: Events) -> None:
        self._asked = False
        self._events = events
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._note)

    def asked(self) -> bool:
        """Whether to stop."""
        return self._asked

    def _note(self, number: int, frame: object) -> None:
        self._asked = True
        self._events.wake()


class StateFile:
    """The state file as it is now, parsed again when it has changed."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._data: bytes | None = None
        self._desired: Desired | None = None

    def read(self) -> Desired:
        """Raises `ReconcilerError` when there is none at present, or an invalid one."""
        from reconciler.state.load import load

        data = read_file(self._path)
        if self._desired is None or data != self._data:
            self._desired = None
            self._desired, self._data = load(self._path, data), data
        return self._desired
