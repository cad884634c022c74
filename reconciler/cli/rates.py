"""``reconciler inspect --watch``: what VFs carry, live."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any

from reconciler.cli.interrupts import Interrupted
from reconciler.cli.options import Options
from reconciler.cli.output import put
from reconciler.exit_codes import ExitCode

if TYPE_CHECKING:
    from reconciler.host.protocol import Reader

_LOOK_AGAIN = 5.0
"""Seconds after which it is looked again who has which VF; at once when their number has changed."""


def watch_rates(options: Options, interval: float, count: int | None) -> int:
    """Shows the rates every ``interval`` seconds, ``count`` times or until Ctrl-C, which is how it ends: 0."""
    from reconciler.plan.rates import Meter, build_rates
    from reconciler.report.rates_text import render_rates

    stop, reader, meter = _stop(), options.reader(), Meter()
    terminal = sys.stdout.isatty()
    seen = _Seen(options, reader)
    build_rates(seen.inventory, reader.count(seen.pfs), meter)
    last, shown = time.monotonic(), 0
    with _screen(terminal) as show:
        while shown != count and not stop.wait(max(0.0, last + interval - time.monotonic())):
            began, last = last, time.monotonic()
            counted = reader.count(seen.pfs)
            document = build_rates(seen.inventory, counted, meter)
            text = render_rates(
                document,
                seconds=round(last - began, 1),
                at=datetime.now().strftime("%H:%M:%S"),
                color=options.colored(sys.stdout),
                height=_height() if terminal else 0,
            )
            if not show(text):
                break
            shown += 1
            if shown != count:
                seen.again(changed=any(set(counted[pf.id].vfs) - {vf.index for vf in pf.vfs} for pf in seen.pfs))
    return ExitCode.OK


class _Seen:
    """Who has which VF."""

    def __init__(self, options: Options, reader: Reader) -> None:
        self._options, self._reader = options, reader
        self._look()

    def again(self, *, changed: bool) -> None:
        """Looks again when it is time."""
        if changed or time.monotonic() >= self._until:
            self._look()

    def _look(self) -> None:
        from reconciler.plan.inventory import build_inventory

        snapshot = self._reader.observe()
        self.inventory = build_inventory(snapshot)
        self.pfs = list(snapshot.pfs.values())
        self._until = time.monotonic() + _LOOK_AGAIN


def _stop() -> threading.Event:
    """Set by the first Ctrl-C or SIGTERM; the second leaves at once."""
    stop = threading.Event()

    def note(number: int, frame: object) -> None:
        if stop.is_set():
            raise Interrupted
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, note)
    return stop


def _height() -> int:
    import shutil

    return shutil.get_terminal_size().lines - 1


@contextlib.contextmanager
def _screen(terminal: bool) -> Iterator[Callable[[str], bool]]:
    """How a table is shown: in the place of the last one on a terminal, else below it."""
    if not terminal:
        first = True

        def below(text: str) -> bool:
            nonlocal first
            told, first = text if first else f"\n{text}", False
            return put(told)

        yield below
        return

    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    with Live(console=Console(), auto_refresh=False, transient=False) as live:

        def instead(text: str) -> bool:
            live.update(Text.from_ansi(text.rstrip("\n"), no_wrap=True), refresh=True)
            return True

        yield instead


def refuse(view: Any, output: object, interval: float | None, count: int | None, *, watch: bool) -> str:
    """What is wrong with these options together; "" for nothing."""
    if not watch:
        return "--interval and --count are for --watch." if interval is not None or count is not None else ""
    if view != "text" or output is not None:
        return "--watch shows a table as it goes: no --format, --json or --output with it."
    return ""
