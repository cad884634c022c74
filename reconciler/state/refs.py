"""References to VFs, as the state file writes them: ``int/3``, ``int/8-62``, ``"4-7"``, ``"1,3,5-7"``."""

from __future__ import annotations

import re
from collections.abc import Iterable

MAX_INDEX = 65535
"""SR-IOV counts VFs in 16 bits; anything above is a slip of the pen, and is refused before it is expanded."""

_INDEX = r"(0|[1-9][0-9]{0,4})"
_ITEM = rf"{_INDEX}(-{_INDEX})?"
INDEXES_PATTERN = rf"^{_ITEM}(,{_ITEM})*$"
"""What JSON Schema can say of an index key or of the part behind the slash."""

PF_NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$"
VFS_PATTERN = rf"^[A-Za-z0-9][A-Za-z0-9_-]{{0,62}}/{_ITEM}(,{_ITEM})*$"
VF_PATTERN = rf"^[A-Za-z0-9][A-Za-z0-9_-]{{0,62}}/{_INDEX}$"

_NUMBER = re.compile(r"[0-9]+")
_FORM = 'write an index ("3"), a range ("4-7") or a list of them ("1,3,5-7")'


class RefError(ValueError):
    """A reference that can't be read; the text says what is wrong with it."""


def parse_indexes(text: str) -> tuple[int, ...]:
    """The VF indexes that ``text`` names, in rising order.

    Raises RefError for a wrong form, a range that runs backwards, an index that is named twice and an index
    above MAX_INDEX.
    """
    found: set[int] = set()
    for low, high in _ranges(text):
        indexes = range(low, high + 1)
        twice = found.intersection(indexes)
        if twice:
            raise RefError(f'"{_short(text)}" names VF {min(twice)} twice')
        found.update(indexes)
    return tuple(sorted(found))


def lowest_index(text: str) -> int | None:
    """The lowest of `parse_indexes`, without expanding; None where that raises RefError for its form."""
    try:
        return min(low for low, _ in _ranges(text))
    except RefError:
        return None


def is_single(text: str) -> bool:
    """Whether an index key is one plain number, which wins over ranges and lists."""
    return _NUMBER.fullmatch(text) is not None


def parse_vfs(text: str) -> tuple[str, tuple[int, ...]]:
    """``int/8-10`` is ``("int", (8, 9, 10))``. Raises RefError like `parse_indexes`."""
    name, slash, indexes = text.partition("/")
    if not slash or not name or not indexes:
        raise RefError(
            f'"{_short(text)}" is no reference to a VF: write the name of a PF, a slash and the index, such as "int/3"'
        )
    return name, parse_indexes(indexes)


def format_indexes(indexes: Iterable[int]) -> str:
    """The shortest text that `parse_indexes` reads back: ``1,3,5-7``."""
    runs: list[list[int]] = []
    for index in sorted(set(indexes)):
        if runs and index == runs[-1][1] + 1:
            runs[-1][1] = index
        else:
            runs.append([index, index])
    return ",".join(str(low) if low == high else f"{low}-{high}" for low, high in runs)


def _ranges(text: str) -> list[tuple[int, int]]:
    ranges = []
    for item in text.split(","):
        first, dash, last = item.partition("-")
        low = _index(first, text)
        high = _index(last, text) if dash else low
        if high < low:
            raise RefError(f'the range "{item}" runs backwards: write "{high}-{low}"')
        ranges.append((low, high))
    return ranges


def _index(text: str, whole: str) -> int:
    if not text.isascii() or not _NUMBER.fullmatch(text):
        raise RefError(f'"{_short(whole)}" names no VF: {_FORM}')
    if text != "0" and text.startswith("0"):
        raise RefError(f'"{_short(text)}" has leading zeros: write "{_short(text.lstrip("0") or "0")}"')
    if len(text) > 5 or int(text) > MAX_INDEX:
        raise RefError(f'the index "{_short(text)}" is absurd: a PF has at most {MAX_INDEX} VFs')
    return int(text)


def _short(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "…"


_UNITS = {"G": 1024 * 1024, "M": 1024, "K": 1}
_PAGE_SIZE = re.compile(r"([1-9][0-9]{0,9})([KMG])")


def page_size_kib(text: str) -> int | None:
    """KiB of a size of huge pages (``2M``); ``None`` for what can be none: they are powers of two, and larger than the
    smallest page (include/linux/hugetlb.h, hugepages-NkB)."""
    found = _PAGE_SIZE.fullmatch(text)
    if found is None:
        return None
    kib = int(found[1]) * _UNITS[found[2]]
    return kib if kib > 4 and kib & (kib - 1) == 0 else None


def page_size(kib: int) -> str:
    """``2M`` of 2048: the largest unit that it is a whole number of."""
    unit, factor = next((unit, factor) for unit, factor in _UNITS.items() if kib % factor == 0)
    return f"{kib // factor}{unit}"
