"""Signals while a host is being changed."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable
from typing import Literal

from reconciler.exit_codes import ExitCode

Phase = Literal["steps", "last", "back", "end", "over"]

_NO_TERMINAL_LEFT_WITHOUT = b"\x1b[?25h"
"""The cursor, which the live view hides."""


class Interrupts:
    """The first Ctrl-C or SIGTERM is answered by what the run is at: a step is finished and no other begun, a rollback
    comes to its end. The second leaves at once. A lost terminal stops nothing. ``then``: what follows the first one
    during the steps, in words; ``armed``: what a timer will do, "" when there is none."""

    def __init__(self, then: str, phase: Phase = "steps", armed: Callable[[], str] = lambda: "") -> None:
        self._asked = False
        self._then = then
        self._armed = armed
        self._phase: Phase = phase
        self._code: int = ExitCode.PARTIAL
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._note)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    def enter(self, phase: Phase) -> None:
        """From now on the run is at this."""
        self._phase = phase

    def over(self, code: int) -> None:
        """The run has ended with this exit code; only its result is still to be shown."""
        self._phase, self._code = "over", code

    def asked(self) -> bool:
        """Whether to stop."""
        return self._asked

    def _note(self, number: int, frame: object) -> None:
        if self._asked or self._phase == "over":
            self._leave()
        self._asked = True
        _say(f"Interrupted: {self._answer()}. Once more leaves at once.")

    def _answer(self) -> str:
        match self._phase:
            case "steps":
                return f"the step under way is finished, and {self._then}"
            case "last":
                return "what is under way can't be taken back, and is done to its end"
            case "back":
                return "what is being taken back is taken back to its end"
            case _:
                return "all steps are done, and what they came to is being recorded"

    def _leave(self) -> None:
        if self._phase != "over":
            told = ["Interrupted twice: left at once, in the middle.", self._armed()]
            _say(" ".join([*filter(None, told), "The journal has how far it came: reconciler history"]))
        if os.isatty(2):
            _write(_NO_TERMINAL_LEFT_WITHOUT)
        os._exit(self._code)


class Interrupted(BaseException):
    """Ctrl-C or SIGTERM before anything was changed. Not KeyboardInterrupt, of which the parser makes a silent end."""


def interruptible() -> None:
    """Until a host is being changed, both signals end the command: nothing was changed, exit 130."""

    def end(number: int, frame: object) -> None:
        raise Interrupted

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)


def _say(text: str) -> None:
    _write(f"\n{text}\n".encode())  # Not by print, which may be in the middle of something.


def _write(data: bytes) -> None:
    with contextlib.suppress(OSError):
        os.write(2, data)
