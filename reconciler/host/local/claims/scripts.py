"""ifupdown, rc.local, sysfsutils, tmpfiles.d, systemd units and cron: places where lines that write to sysfs stand."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from reconciler.host.local.claims.cards import Cards, Source, fits
from reconciler.host.local.claims.files import Files
from reconciler.host.local.claims.shell import read_lines, worth_a_look
from reconciler.host.model import Claim
from reconciler.host.platform import OwnerName

_SCRIPTS: tuple[tuple[OwnerName, str, str], ...] = (
    ("ifupdown", "etc/network/if-pre-up.d", ""),
    ("ifupdown", "etc/network/if-up.d", ""),
    ("systemd unit", "etc/systemd/system", ".service"),
    ("cron", "etc/cron.d", ""),
)
_TMPFILES = tuple(f"{f}/tmpfiles.d" for f in ("etc", "run", "usr/local/lib", "usr/lib"))
_COMMANDS = ("pre-up", "up", "post-up")
_SYSFS = re.compile(r"\s*(?P<path>[^#=\s]\S*)\s*=\s*(?P<value>\S+)")
_MOST_SOURCES = 100
_WILD = "*?["
_MOST_PATTERN = 1000
_SHOWN = 100
"""Characters of a pattern in a note."""


def read_scripts(files: Files, cards: Cards) -> Iterator[Claim]:
    """All of them."""
    yield from _interfaces(files, cards)
    for owner, name in (("rc.local", "etc/rc.local"), ("rc.local", "etc/rc.d/rc.local"), ("cron", "etc/crontab")):
        path = files.root / name
        if name.startswith("etc/rc") and not _runs(path):
            continue
        yield from _script(files, cards, "rc.local" if owner == "rc.local" else "cron", path)
    for kind, folder, ending in _SCRIPTS:
        for path in files.folder(folder, ending):
            yield from _script(files, cards, kind, path)
    for path in (files.root / "etc/sysfs.conf", *files.folder("etc/sysfs.d", ".conf")):
        yield from _sysfs(files, cards, path)
    for path in files.layered(_TMPFILES, ".conf"):
        yield from _tmpfiles(files, cards, path)


def _runs(path: Path) -> bool:
    """systemd runs an rc.local only when it may be executed (systemd-rc-local-generator(8))."""
    try:
        return bool(path.stat().st_mode & 0o111)
    except OSError:
        return False


def _script(files: Files, cards: Cards, owner: OwnerName, path: Path) -> Source:
    text, source = files.text(path), Source(owner, files.shown(path))
    if text is not None and worth_a_look(text):
        read_lines(source, enumerate(text.splitlines(), 1), cards)
        files.say_what_is_not_followed(path, source.not_followed)
    return source


def _sysfs(files: Files, cards: Cards, path: Path) -> Source:
    """``class/net/enp1s0/device/sriov_numvfs = 4``, below /sys."""
    source = Source("sysfsutils", files.shown(path))
    for number, line in enumerate((files.text(path) or "").splitlines(), 1):
        match = _SYSFS.match(line)
        if match is not None:
            found, field = cards.at(match["path"])
            for pf in found:
                source.say(pf, field, match["value"], number)
    return source


def _tmpfiles(files: Files, cards: Cards, path: Path) -> Source:
    """``w /sys/class/net/enp1s0/device/sriov_numvfs - - - - 4`` (tmpfiles.d(5))."""
    source = Source("tmpfiles", files.shown(path))
    for number, line in enumerate((files.text(path) or "").splitlines(), 1):
        words = line.split(maxsplit=6)
        if len(words) == 7 and words[0].rstrip("!-^=~+") == "w":
            found, field = cards.at(words[1])
            for pf in found:
                source.say(pf, field, words[6], number)
    return source


# ---------------------------------------------------------------------------- interfaces(5)


def _interfaces(files: Files, cards: Cards) -> Iterator[Claim]:
    """The file and what it includes, each once."""
    waiting, seen = [files.root / "etc/network/interfaces"], set[Path]()
    while waiting and len(seen) < _MOST_SOURCES:
        path = waiting.pop(0)
        if path in seen:
            continue
        seen.add(path)
        text = files.text(path)
        if text is not None:
            source, included = Source("ifupdown", files.shown(path)), list[Path]()
            _stanzas(files, source, text, cards, path, included)
            files.say_what_is_not_followed(path, source.not_followed)
            waiting += included
            yield from source


def _stanzas(files: Files, source: Source, text: str, cards: Cards, path: Path, included: list[Path]) -> None:
    names: list[str] = []
    for number, line in _joined(text):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if words[0] in ("source", "source-directory", "source-dir"):
            included += _included(files, path, words[0] != "source", words[1:])
        elif words[0] in ("iface", "mapping"):
            names = words[1:2]
        elif words[0] in ("auto", "rename", "no-auto-down", "no-scripts", "template") or words[0].startswith("allow-"):
            names = []
        elif words[0] in _COMMANDS:
            command = line.split(None, 1)[1] if len(words) > 1 else ""
            read_lines(source, [(number, command)], cards, {"IFACE": names} if names else {})
        elif words[0] == "mtu" and len(words) > 1:
            for name in names:
                for pf in cards.named(name):
                    source.say(pf, "mtu", words[1], number)


def _joined(text: str) -> Iterator[tuple[int, str]]:
    joined, start = "", 0
    for number, line in enumerate(text.splitlines(), 1):
        start = start or number
        if line.endswith("\\"):
            joined += line[:-1]
            continue
        yield start, joined + line
        joined, start = "", 0


def _included(files: Files, path: Path, folder: bool, patterns: list[str]) -> list[Path]:
    """What the patterns name. Those with wildcards in a folder's name are not followed: they may name anything."""
    found: list[Path] = []
    for pattern in patterns[:_MOST_SOURCES]:
        below = pattern.lstrip("/") if pattern.startswith("/") else str(path.parent.relative_to(files.root) / pattern)
        place, _, name = below.rpartition("/")
        exact = below if folder else place
        if len(pattern) > _MOST_PATTERN or any(character in exact for character in _WILD):
            files.unread.append(f"{files.shown(path)} includes {pattern[:_SHOWN]}, which was not followed.")
        elif folder:
            found += files.folder(below)
        elif any(character in name for character in _WILD):
            found += [item for item in files.folder(place) if fits(name, [item.name])]
        elif not os.path.isdir(files.root / below):
            found.append(files.root / below)
    return found
