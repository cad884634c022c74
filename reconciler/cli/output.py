"""Everything that the commands print goes through here: made harmless, and never in the way of the exit code."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TextIO

from reconciler.diagnostics import ReconcilerError, StateFileError
from reconciler.exit_codes import ExitCode
from reconciler.report.style import visible


def say(text: str) -> None:
    """A message on stderr, whose control characters are written out (its line breaks stay). Whether anybody can read it
    changes nothing: a terminal may be gone."""
    with contextlib.suppress(OSError, ValueError):
        print("\n".join(visible(line) for line in text.split("\n")), file=sys.stderr, flush=True)


def complain(error: ReconcilerError) -> int:
    """Tells an error, each finding of a state file on a line; returns its exit code."""
    if isinstance(error, StateFileError):
        from reconciler.state.errors import format_error

        for diagnostic in error.diagnostics:
            say(format_error(diagnostic))
    else:
        say(f"Error: {error.summary} {error.detail}".rstrip())
    return error.code


def put(text: str, *, done: bool = False) -> bool:
    """A result on stdout. A reader that has gone (`| head`) has what it wanted: False is returned. Any other failure
    is an error, unless the result is of something that is ``done`` already: then it is only told."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        mute(sys.stdout)
        return False
    except OSError as error:
        mute(sys.stdout)
        failure = cannot_print(error)
        if not done:
            raise failure from None
        complain(failure)
    return True


def cannot_print(error: OSError) -> ReconcilerError:
    """A result that could not be written."""
    return ReconcilerError(
        "The output can't be written.", f"Standard output: {error.strerror or error}.", code=ExitCode.FAILED
    )


def mute(stream: TextIO) -> None:
    """What is still in the stream goes nowhere: Python would complain once more when it closes it."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def open_streams() -> None:
    """Streams that were closed before we began (`>&-`) go nowhere."""
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "r" if name == "stdin" else "w", encoding="utf-8"))  # noqa: SIM115
