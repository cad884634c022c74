"""Progress of an apply: plain lines for a log, a live view for a terminal."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Literal, Protocol, TextIO

from reconciler.report.actions import run_key, runs
from reconciler.report.style import Style, clean, plural, visible

if TYPE_CHECKING:
    from rich.progress import TaskID

Outcome = Literal["changed", "unchanged", "failed", "skipped", "undone"]

_WORDS = {"changed": "done", "unchanged": "already right", "failed": "FAILED", "skipped": "left out"}
_COLOURS = {"changed": "green", "unchanged": "dim", "failed": "red", "skipped": "yellow"}


class Progress(Protocol):
    """What the executor tells while it works. Actions of a batch all begin before the first of them ends."""

    def start(self, total: int) -> None:
        """There are so many actions."""

    def begin(self, action: dict[str, Any]) -> None:
        """An action of the plan document (``id``, ``op``, ``address``, ``args``) is begun."""

    def end(self, action_id: str, outcome: Outcome, seconds: float, error: str = "") -> None:
        """It has come to this."""

    def finish(self) -> None:
        """No more is done, whatever the reason."""


def make_progress(stream: TextIO, *, color: bool) -> Progress:
    """The live view on a terminal, lines otherwise (and where rich is missing)."""
    lines = LineProgress(stream, color=color)
    if not stream.isatty():
        return lines
    try:
        import rich.progress  # noqa: F401
    except ImportError:
        return lines
    return LiveProgress(stream, color=color)


def _told(actions: list[dict[str, Any]]) -> str:
    """One sentence for actions that `run_key` holds together."""
    return runs(clean(actions))[0].sentence


class LineProgress:
    """A line per action, ``[4/14] pf.int: make 7 VFs: done (1.2 s)``; ``vf.set``s in a row share one."""

    def __init__(self, stream: TextIO, *, color: bool = False) -> None:
        self._stream, self._style = stream, Style(color)
        self._open: dict[str, dict[str, Any]] = {}
        self._held: list[dict[str, Any]] = []
        """Actions that ended alike and are told as one as soon as another follows."""
        self._key: Any = None
        self._seconds = 0.0
        self._total = self._count = 0
        self._announced = False

    def start(self, total: int) -> None:
        """Notes how many there are; what they are for is told by the first."""
        self._total, self._count, self._announced = total, 0, False

    def begin(self, action: dict[str, Any]) -> None:
        """Its own line is written when it is known how it ended."""
        self._announce(action["id"])
        self._open[action["id"]] = action

    def _announce(self, first: str) -> None:
        if not self._announced:
            self._announced = True
            doing = "Taking back:" if first.startswith("undo ") else "Applying"
            self._write(f"{doing} {plural(self._total, 'action')}.")

    def end(self, action_id: str, outcome: Outcome, seconds: float, error: str = "") -> None:
        """Writes the line, or holds it back as long as the same goes on."""
        self._announce(action_id)
        action = self._open.pop(action_id, {"id": action_id, "op": "", "address": visible(action_id)})
        error = error if outcome == "failed" else ""  # What is left out is explained in the result.
        key = None if error or not action["op"] else run_key(action)
        if self._held and (key is None or (key, outcome) != self._key):
            self._flush()
        self._held.append(action)
        self._key, self._seconds = (key, outcome), max(self._seconds, seconds)
        self._count += 1
        if key is None:
            self._flush(error)

    def _flush(self, error: str = "") -> None:
        if not self._held:
            return
        outcome = self._key[1]
        last, first = self._count, self._count - len(self._held) + 1
        number = f"{last}" if first == last else f"{first}-{last}"
        what = _told(self._held) if self._held[0]["op"] else self._held[0]["address"]
        word = self._style.paint(_WORDS.get(outcome, outcome), _COLOURS.get(outcome, ""))
        took = f" ({self._seconds:.1f} s)" if self._seconds >= 0.05 else ""
        self._write(f"[{number}/{self._total}] {what}: {word}{took}")
        for line in error.splitlines():
            self._write(f"    | {visible(line)}")
        self._held, self._key, self._seconds = [], None, 0.0

    def finish(self) -> None:
        """Writes what was held back."""
        self._flush()
        self._stream.flush()

    def _write(self, line: str) -> None:
        self._stream.write(line + "\n")


class LiveProgress:
    """A spinner with the current action and counts, and above it what is to be kept: failures."""

    def __init__(self, stream: TextIO, *, color: bool = True) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as Bar
        from rich.table import Column

        one_line = Column(no_wrap=True, overflow="ellipsis", ratio=1)
        console = Console(file=stream, no_color=not color, highlight=False, markup=False, emoji=False)
        self._bar = Bar(
            SpinnerColumn(),
            MofNCompleteColumn(),
            BarColumn(bar_width=20),
            TimeElapsedColumn(),
            TextColumn("{task.description}", markup=False, table_column=one_line),
            console=console,
            transient=True,
            expand=True,
        )
        self._task: TaskID | None = None
        self._open: dict[str, dict[str, Any]] = {}
        self._counts: Counter[str] = Counter()

    def start(self, total: int) -> None:
        """Shows the bar."""
        self._task = self._bar.add_task("", total=total)
        self._bar.start()

    def begin(self, action: dict[str, Any]) -> None:
        """Shows what is being done."""
        self._open[action["id"]] = action
        self._describe(_told([self._open[action["id"]]]))

    def end(self, action_id: str, outcome: Outcome, seconds: float, error: str = "") -> None:
        """Counts it; a failure stays on the screen."""
        action = self._open.pop(action_id, None)
        self._counts[outcome] += 1
        if outcome == "failed":
            what = _told([action]) if action else visible(action_id)
            self._print(f"FAILED: {what}", "bold red")
            for line in error.splitlines():
                self._print(f"    | {visible(line)}")
        if self._task is not None:
            self._bar.advance(self._task)
        self._describe(_told([next(iter(self._open.values()))]) if self._open else "")

    def finish(self) -> None:
        """Takes the bar away and leaves the counts."""
        self._bar.stop()
        counts = [f"{count} {_WORDS.get(outcome, outcome).lower()}" for outcome, count in self._counts.items()]
        if counts:
            self._print(", ".join(counts))

    def _describe(self, text: str) -> None:
        if self._task is not None:
            left_out = "".join(
                f"{count} {_WORDS[outcome].lower()}, "
                for outcome, count in self._counts.items()
                if outcome in ("failed", "skipped")
            )
            self._bar.update(self._task, description=left_out + text)

    def _print(self, text: str, style: str = "") -> None:
        from rich.text import Text

        self._bar.console.print(Text(text, style=style), soft_wrap=True)
