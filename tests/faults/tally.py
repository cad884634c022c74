"""How many points were tried and lost, by operation and kind of fault."""

from __future__ import annotations

from collections import Counter

TRIED: Counter[tuple[str, str]] = Counter()
LOST: Counter[tuple[str, str]] = Counter()


def table() -> list[str]:
    """One row per operation, one column per kind of fault: ``tried`` or ``tried/LOST n``."""
    operations = sorted({operation for operation, _ in TRIED})
    rows = []
    for kind in sorted({kind for _, kind in TRIED}):
        cells = [f"{TRIED[item, kind]}{f' LOST {lost}' if (lost := LOST[item, kind]) else ''}" for item in operations]
        total = sum(TRIED[item, kind] for item in operations)
        rows.append([kind, *cells, f"{total}"])
    lines = [["fault at", *operations, "all"], *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    shown = ["  ".join(f"{cell:>{width}}" for cell, width in zip(line, widths, strict=True)) for line in lines]
    return [*shown, f"{sum(TRIED.values())} points tried, {sum(LOST.values())} lost"]
