"""Signals during an apply."""

from __future__ import annotations

import contextlib
import os
import signal

from reconciler.exit_codes import ExitCode


class Interrupts:
    """The first Ctrl-C or SIGTERM ends the run after the step under way, the second at once; a lost terminal doesn't.
    ``then``: what follows the first, in words."""

    def __init__(self, then: str) -> None:
        self._asked = False
        self._then = then
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._note)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    def _note(self, number: int, frame: object) -> None:
        if self._asked:
            _say("Interrupted twice: left at once, in the middle. The journal has how far it came: reconciler history")
            os._exit(ExitCode.PARTIAL)
        self._asked = True
        _say(f"Interrupted: the step under way is finished, and {self._then}. Once more leaves at once.")

    def asked(self) -> bool:
        """Whether to stop."""
        return self._asked


def _say(text: str) -> None:
    with contextlib.suppress(OSError):  # Not by print, which may be in the middle of something.
        os.write(2, f"\n{text}\n".encode())
