"""Lines of shell that make VFs or set them: ``echo 4 > …/sriov_numvfs`` and ``ip link set … vf …``. Variables and loops
over a list of words are followed; anything else that computes is not."""

from __future__ import annotations

import itertools
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping

from reconciler.host.local.claims.cards import Cards, Source

_WORTH_A_LOOK = re.compile(r"sriov_numvfs|sriov_drivers_autoprobe|\bip\b.*\blink\b|/mtu\b")
_ASSIGNMENT = re.compile(
    r"\s*(?:export\s+|local\s+|readonly\s+)?([A-Za-z_]\w*)=(\"[^\"]*\"|'[^']*'|[^\s;&|]*)\s*(?:;|$)"
)
_LOOP = re.compile(r"\s*for\s+([A-Za-z_]\w*)\s+in\s+([^;]+?)\s*(?:;|$)")
_VARIABLE = re.compile(r"\$\{?([A-Za-z_]\w*)\}?")
_WRITE = re.compile(
    r"(?:echo|printf)\s+(?:-n\s+)?[\"']?(?P<value>\d+)(?:\\n)?[\"']?\s*(?:>>?|\|\s*(?:sudo\s+)?tee\s+(?:-a\s+)?)\s*"
    r"[\"']?(?P<path>/sys/[^\s\"';|&>]+)"
)
_APART = re.compile(r";|&&|\|\||\bdo\b|\bthen\b|\belse\b")
_MOST = 64
"""Of what a line with variables may stand for."""
_WORDS = {
    "mac": "mac",
    "vlan": "vlan",
    "qos": "qos",
    "proto": "vlan_proto",
    "rate": "max_tx_rate",
    "max_tx_rate": "max_tx_rate",
    "min_tx_rate": "min_tx_rate",
    "spoofchk": "spoofchk",
    "trust": "trust",
    "state": "link_state",
    "query_rss": "query_rss",
}
"""ip-link(8)."""


def worth_a_look(text: str) -> bool:
    """Whether it may have such lines."""
    return _WORTH_A_LOOK.search(text) is not None


def read_lines(
    source: Source, lines: Iterable[tuple[int, str]], cards: Cards, variables: Mapping[str, list[str]] | None = None
) -> None:
    """Adds to `source` what these numbered lines say, in their order."""
    known = {name: list(values) for name, values in (variables or {}).items()}
    for number, line in lines:
        if line.lstrip().startswith("#"):
            continue
        loop, assigned = _LOOP.match(line), _ASSIGNMENT.match(line)
        if loop is not None:
            known[loop[1]] = [word for part in loop[2].split() for word in _expanded(part.strip("\"'"), known)]
        elif assigned is not None:
            known[assigned[1]] = list(_expanded(assigned[2].strip("\"'"), known))
        for text in _expanded(line, known):
            _read(source, number, text, cards)


def _expanded(line: str, known: Mapping[str, list[str]]) -> Iterator[str]:
    """The line with every value that its variables may have."""
    names = list(dict.fromkeys(name for name in _VARIABLE.findall(line) if name in known))
    for values in itertools.islice(itertools.product(*(known[name] for name in names)), _MOST):
        chosen = dict(zip(names, values, strict=True))
        yield _VARIABLE.sub(lambda match, chosen=chosen: chosen.get(match[1], match[0]), line)  # type: ignore[misc]


def _read(source: Source, number: int, text: str, cards: Cards) -> None:
    for match in _WRITE.finditer(text):
        found, field = cards.at(match["path"])
        for pf in found:
            source.say(pf, field, match["value"], number)
    if " link " in text:
        for command in _APART.split(text):
            _ip_link(source, number, command, cards)


def _ip_link(source: Source, number: int, command: str, cards: Cards) -> None:
    try:
        words = shlex.split(command.strip("'\" \t"), comments=True)
    except ValueError:
        words = command.split()
    place = next((i for i, word in enumerate(words) if word == "ip" or word.endswith("/ip")), None)
    if place is None or "link" not in words[place:] or "set" not in words[place:]:
        return
    rest = words[words.index("set", place) + 1 :]
    if rest[:1] == ["dev"]:
        rest = rest[1:]
    if not rest:
        return
    found, rest = cards.named(rest[0]), rest[1:]
    vf = int(rest[1]) if rest[:1] == ["vf"] and len(rest) > 1 and rest[1].isdecimal() else None
    for pf in found:
        if vf is not None:
            pairs = itertools.pairwise(rest[2:])
            source.say_all(pf, vf, [(_WORDS[key], value, number) for key, value in pairs if key in _WORDS])
            continue
        for word, following in itertools.zip_longest(rest, rest[1:], fillvalue=""):
            if word in ("up", "down"):
                source.say(pf, "link", word, number)
            elif word == "mtu":
                source.say(pf, "mtu", following, number)
