"""The entry point: arguments in, exit code out. The one place where errors become messages and exit codes."""

from __future__ import annotations

import contextlib
import os
import sys

from reconciler.diagnostics import ReconcilerError, StateFileError
from reconciler.exit_codes import ExitCode

_GLOBAL_WITH_VALUE = ("--host", "--libvirt", "--state-dir", "--color")
_GLOBAL_FLAGS = ("-v", "--verbose")


def main(argv: list[str] | None = None) -> None:
    """Runs the command and ends the process with its exit code."""
    arguments = sys.argv[1:] if argv is None else argv
    if arguments in (["--version"], ["-V"]):
        from reconciler import __version__

        print(f"reconciler {__version__}")
        sys.exit(ExitCode.OK)
    code = run(arguments)
    with contextlib.suppress(BrokenPipeError):
        sys.stdout.flush()
        sys.exit(code)
    # The reader of our output has gone (`| head`). Python would complain once more when it closes stdout.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(code)


def run(arguments: list[str]) -> int:
    """Runs the command; every error is printed to stderr and becomes an exit code."""
    from reconciler.cli.app import app

    verbose = any(flag in arguments for flag in _GLOBAL_FLAGS)
    try:
        return int(app(args=globals_first(arguments), prog_name="reconciler", standalone_mode=False) or 0)
    except StateFileError as error:
        from reconciler.state.errors import format_error

        for diagnostic in error.diagnostics:
            print(format_error(diagnostic), file=sys.stderr)
        return ExitCode.INVALID
    except ReconcilerError as error:
        _complain(error.summary, error.detail)
        return error.code
    except KeyboardInterrupt:
        _complain("Interrupted.", "Nothing was changed.")
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        return ExitCode.OK
    except Exception as error:  # noqa: BLE001  the last resort: a message in place of a traceback
        return _unexpected(error, verbose)


def _unexpected(error: Exception, verbose: bool) -> int:
    """Usage errors of the argument parser, which come as its own exceptions, and faults of our own."""
    message = getattr(error, "format_message", None)
    if message is not None:
        context = getattr(error, "ctx", None)
        if not message():  # No command at all: the parser has shown the help.
            return ExitCode.USAGE
        _complain("Wrong usage.", message())
        if context is not None:
            print(f"Try: {context.command_path} --help", file=sys.stderr)
        return ExitCode.USAGE
    if type(error).__name__ == "Abort":
        _complain("Interrupted.", "Nothing was changed.")
        return ExitCode.INTERRUPTED
    if type(error).__name__ == "Exit":
        return int(getattr(error, "exit_code", 0))
    if verbose:
        import traceback

        traceback.print_exc()
    detail = f"{type(error).__name__}: {error}. This is a fault in reconciler: please report it with the output of -v."
    _complain("Something unexpected happened.", detail)
    return ExitCode.FAILED


def _complain(summary: str, detail: str) -> None:
    text = f"{summary} {detail}".rstrip()
    print(
        "Error: " + "".join(c if c.isprintable() or c == "\n" else f"\\x{ord(c):02x}" for c in text),
        file=sys.stderr,
    )


def globals_first(arguments: list[str]) -> list[str]:
    """Global options may stand anywhere: they are moved before the command, where the parser wants them."""
    front: list[str] = []
    rest: list[str] = []
    items = iter(arguments)
    for item in items:
        if item == "--":
            rest += [item, *items]
        elif item in _GLOBAL_WITH_VALUE:
            front += [item, *_one(items)]
        elif item in _GLOBAL_FLAGS or item.startswith(tuple(f"{name}=" for name in _GLOBAL_WITH_VALUE)):
            front.append(item)
        else:
            rest.append(item)
    return front + rest


def _one(items: object) -> list[str]:
    value = next(items, None)  # type: ignore[call-overload]
    return [] if value is None else [value]
