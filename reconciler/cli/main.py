"""The entry point: arguments in, exit code out. The one place where errors become messages and exit codes."""

from __future__ import annotations

import errno
import gc
import sys
from types import ModuleType

from reconciler.cli.interrupts import Interrupted
from reconciler.cli.output import cannot_print, complain, mute, open_streams, say
from reconciler.diagnostics import ReconcilerError
from reconciler.exit_codes import ExitCode

_GLOBAL_WITH_VALUE = ("--host", "--libvirt", "--state-dir", "--color")
_GLOBAL_FLAGS = ("-v", "--verbose")
_OBJECTS_BETWEEN_COLLECTIONS = 200_000
"""Python's own 700 are for programs whose objects come and go. Those of a plan stay: looking through them over and over
took a third of the time for 10,000 VFs."""


def main(argv: list[str] | None = None) -> None:
    """Runs the command and ends the process with its exit code."""
    gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS)
    _without_plugins()
    open_streams()
    arguments = sys.argv[1:] if argv is None else argv
    if arguments in (["--version"], ["-V"]):
        from reconciler import __version__

        print(f"reconciler {__version__}")
        code: int = ExitCode.OK
    else:
        code = run(arguments)
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        mute(sys.stdout)
    except OSError as error:
        mute(sys.stdout)
        code = code or complain(cannot_print(error))
    try:
        sys.stderr.flush()
    except (OSError, ValueError):
        mute(sys.stderr)  # Else Python ends with 120 in place of our code.
    gc.freeze()  # The process ends: looking for garbage once more took a quarter of all the time.
    sys.exit(code)


def _without_plugins() -> None:
    """pydantic looks through the metadata of every installed package for plugins of its own, which takes as long as
    reading a large host. A tool that runs as root has no use for code that another package brings: there are none."""
    loader = ModuleType("pydantic.plugin._loader")
    loader.__dict__["get_plugins"] = tuple
    sys.modules.setdefault(loader.__name__, loader)


def run(arguments: list[str]) -> int:
    """Runs the command; every error is printed to stderr and becomes an exit code."""
    from reconciler.cli.app import command_line

    front, rest = globals_first(arguments)
    verbose = any(flag in arguments for flag in _GLOBAL_FLAGS)
    try:
        app = command_line(rest[0] if rest else "")
        return int(app(args=[*front, *rest], prog_name="reconciler", standalone_mode=False) or 0)
    except ReconcilerError as error:
        return complain(error)
    except (KeyboardInterrupt, Interrupted):
        return _interrupted()
    except BrokenPipeError:  # Of the parser's help; results go through `put`.
        return ExitCode.OK
    except Exception as error:  # noqa: BLE001  the last resort: a message in place of a traceback
        return _unexpected(error, verbose)


def _interrupted() -> int:
    say("Error: Interrupted. Nothing was changed.")
    return ExitCode.INTERRUPTED


def _unexpected(error: Exception, verbose: bool) -> int:
    """Usage errors of the argument parser, which come as its own exceptions, and faults of our own."""
    message = getattr(error, "format_message", None)
    if message is not None:
        context = getattr(error, "ctx", None)
        if message():  # Without a message there was no command at all, and the parser has shown the help.
            say(f"Error: Wrong usage. {message()}")
            if context is not None:
                say(f"Try: {context.command_path} --help")
        return ExitCode.USAGE
    if type(error).__name__ == "Abort":
        return _interrupted()
    if type(error).__name__ == "Exit":
        return int(getattr(error, "exit_code", 0))
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EIO) and error.filename is None:
        mute(sys.stdout)  # The parser's help; results go through `put`.
        return complain(cannot_print(error))
    if verbose:
        import traceback

        say(traceback.format_exc())
    say(
        f"Error: Something unexpected happened. {type(error).__name__}: {error}. This is a fault in reconciler: please "
        "report it with the output of -v."
    )
    return ExitCode.FAILED


def globals_first(arguments: list[str]) -> tuple[list[str], list[str]]:
    """Global options may stand anywhere: they are moved before the command, where the parser wants them. The options,
    and the rest."""
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
    return front, rest


def _one(items: object) -> list[str]:
    value = next(items, None)  # type: ignore[call-overload]
    return [] if value is None else [value]
