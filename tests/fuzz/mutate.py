"""Documents that somebody has damaged, or wrote to do harm: made from real ones, so that most of each is right."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

Draw = Callable[[st.SearchStrategy[Any]], Any]

TEXTS = [
    *("", " ", ".", "..", "../..", "/", "a/b", "a/../b", "-rf", "--help", "none", "0", "x" * 300, "x" * 70_000),
    *("\x00", "a\nb", "a\tb", "\x1b[31mred", "\x1b]0;title\x07", "\x7f", "\x9b2J", "[red]x[/red]", "[/]", "\u202eabc"),
    *("\u2028", "é" * 130, "\ud800", "${x}", "`x`", "$(x)", "<a>&amp;", "|", "@all", "{0}", "%s", "*"),
    *("pci/0000:01:00.0", "pci/..", "pci/../../x", "pci/0000:01:00.0/..", "pci/0000:01:00.0\n", "netdevsim/netdevsim1"),
    *("0000:01:00.0", "0000:01:10.0", "ffffffff:ff:1f.7", "0000:01:00.0/../x"),
    *("00:00:00:00:00:00", "01:00:5e:00:00:01", "52:54:00:6D:90:00", "52:54:00:6d:90:00", "52-54-00-6d-90-00"),
    *("up", "down", "hostdev", "interface", "pool", "vfio-pci", "kernel", "802.1ad", "disable", "absent", "present"),
    *(
        "web1",
        "db1",
        "int",
        "ext",
        "enp1s0",
        "int/3",
        "int/0-6",
        "sriov-ext",
        "ua-rec-data",
        "hostdev0",
        "igb",
        "ixgbe",
    ),
    *("unchanged", "skipped"),
    *("guest", "management", "changed", "failed", "run", "begin", "done", "end", "armed", "confirmed", "2026-01-01"),
]
HUGE = 10**5000
"""More digits than Python reads."""
NUMBERS = [0, 1, -1, 2, 3, 7, 8, 63, 4094, 4095, 5000, 65535, 65536, 2**31, 2**32, 2**63, -(2**70), 10**30, HUGE]
NUMBERS += [0.0, 1.5, -1.5, 1e308, float("inf"), float("nan")]
DEEP: Any = json.loads("[" * 150 + "]" * 150)
OTHERS: list[Any] = [None, True, False, [], {}, [[]], [None], {"": None}, ["", ""], [["pci/0000:01:00.0", 1]], DEEP]
values = st.one_of(
    st.sampled_from(TEXTS), st.sampled_from(NUMBERS), st.sampled_from(OTHERS), st.text(max_size=5), st.integers()
)


def damaged(draw: Draw, document: Any) -> Any:
    """The document with one to three things changed in it."""
    document = copy.deepcopy(document)
    for _ in range(draw(st.integers(1, 3))):
        document = _change(draw, document)
    return document


def _change(draw: Draw, document: Any) -> Any:
    table, key = _somewhere(draw, document)
    if table is None:
        return copy.deepcopy(draw(values))
    match draw(
        st.sampled_from(
            ("like", "like", "like", "like", "like", "like", "value", "other", "other", "drop", "twice", "name")
        )
    ):
        case "like":
            table[key] = _like(draw, table[key])
        case "value":
            table[key] = copy.deepcopy(draw(values))
        case "other":
            other, at = _somewhere(draw, document)
            table[key] = copy.deepcopy(other[at]) if other is not None else None
        case "drop":
            del table[key]
        case "twice" if isinstance(table, list):
            table.insert(key, copy.deepcopy(table[key]))
        case _ if isinstance(table, dict):
            name = draw(st.one_of(st.sampled_from(TEXTS), st.sampled_from(list(table)), st.text(max_size=5)))
            table[name] = table.pop(key)
    return document


def _like(draw: Draw, value: Any) -> Any:
    """Another value of the same kind."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return draw(st.one_of(st.integers(-1, 8), st.integers(0, 5000), st.sampled_from(NUMBERS[:18])))
    if isinstance(value, str):
        return draw(st.sampled_from(TEXTS))
    if isinstance(value, list):
        return value[: draw(st.integers(0, len(value)))]
    return {} if isinstance(value, dict) else None


def _somewhere(draw: Draw, document: Any) -> tuple[Any, Any]:
    """A table or list within the document, and a key of it; (None, None): the document itself."""
    found: tuple[Any, Any] = (None, None)
    here = document
    while isinstance(here, dict | list) and here:
        keys = list(here) if isinstance(here, dict) else list(range(len(here)))
        deeper = [key for key in keys if isinstance(here[key], dict | list) and here[key]]
        key = draw(st.sampled_from(deeper if deeper and draw(st.integers(0, 3)) else keys))
        found, here = (here, key), here[key]
        if draw(st.integers(0, 11)) == 11:
            break
    return found


def cut(draw: Draw, data: bytes) -> bytes:
    """Bytes with a few of them cut out, put in, or another."""
    found = bytearray(data)
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(found)))
        end = min(len(found), at + draw(st.sampled_from((0, 1, 1, 5, 100, 10**9))))
        found[at:end] = draw(st.one_of(st.binary(max_size=4), st.just(bytes(found[at:end]) * 2)))
    return bytes(found)


def to_json(document: Any) -> bytes:
    """JSON, with what JSON doesn't have (NaN, halves of surrogate pairs, huge numbers) as Python would write it."""
    return _plain(document).encode()


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)}: {_plain(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_plain, value)) + "]"
    if value == HUGE:
        return "9" * 5000
    return json.dumps(value)


def to_toml(document: dict[str, Any]) -> bytes:
    """TOML, each table in one line."""
    lines = [f"{_text(key)} = {_toml(value)}\n" for key, value in document.items()]
    return "".join(lines).encode("utf-8", "surrogatepass")


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_text(key)} = {_toml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    if isinstance(value, str):
        return _text(value)
    if value is None or isinstance(value, bool):
        return "''" if value is None else str(value).lower()
    return "9" * 5000 if value == HUGE else repr(value)


def _text(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def damaged_json(draw: Draw, data: bytes) -> bytes:
    """A JSON text, damaged as a document or as bytes."""
    try:
        document = json.loads(data)
    except ValueError:  # It was damaged as bytes before.
        return cut(draw, data)
    if draw(st.integers(0, 7)) == 0:
        return cut(draw, data)
    return to_json(damaged(draw, document))


def damaged_lines(draw: Draw, data: bytes) -> bytes:
    """A text with a JSON document on each line."""
    lines = data.splitlines()
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(lines) - 1)) if lines else 0
        match draw(st.sampled_from(("line", "line", "line", "drop", "twice", "move", "cut"))):
            case "line" if lines:
                lines[at] = damaged_json(draw, lines[at]) if lines[at].startswith(b"{") else b"{}"
            case "drop":
                del lines[at : at + 1]
            case "twice":
                lines[at:at] = lines[at : at + 1]
            case "move":
                lines = lines[at:] + lines[:at]
            case _:
                return cut(draw, b"\n".join([*lines, b""]))
    return b"\n".join([*lines, b""])
