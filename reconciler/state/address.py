"""Addresses: the path of a thing in the state file, written as TOML would write it."""

from __future__ import annotations

import json
import re

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


def address(*parts: str | int) -> str:
    """``address("domain", "web.example", "nic", "data")`` is ``domain."web.example".nic.data``."""
    return ".".join(_key(str(part)) for part in parts)


def _key(part: str) -> str:
    return part if _BARE_KEY.fullmatch(part) else json.dumps(part, ensure_ascii=False)
