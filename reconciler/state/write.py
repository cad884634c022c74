"""Writing a state file."""

from __future__ import annotations

from typing import Any

import tomlkit
from tomlkit.items import Table

_INLINE = frozenset({"match", "failover"})


def render(state: dict[str, Any], remarks: list[str]) -> str:
    """TOML text of a state file given as plain data; ``remarks`` become comments at the top."""
    document = tomlkit.document()
    document.add(tomlkit.comment(":schema ../schemas/host-state.schema.json"))
    for remark in remarks:
        document.add(tomlkit.comment(f"Left out: {_one_line(remark)}."))
    for key, value in state.items():
        if isinstance(value, dict):
            document.add(tomlkit.nl())
            document.add(key, _table(value, depth=1))
        else:
            document.add(key, value)
    return tomlkit.dumps(document).replace("# :schema", "#:schema", 1)


def render_part(tables: dict[str, Any]) -> str:
    """TOML text of some of a state file's tables, to be put into one."""
    document = tomlkit.document()
    for key, value in tables.items():
        document.add(key, _table(value, depth=1))
    return tomlkit.dumps(document)


def _table(data: dict[str, Any], depth: int) -> Table:
    nested = [key for key, value in data.items() if isinstance(value, dict) and key not in _INLINE]
    table = tomlkit.table(is_super_table=len(nested) == len(data))
    for key, value in data.items():
        if key in _INLINE:
            inline = tomlkit.inline_table()
            inline.update(value)
            table.add(key, inline)
        elif isinstance(value, dict):
            table.add(key, _table(value, depth + 1))
        else:
            table.add(key, value)
    return table


def _one_line(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text)
