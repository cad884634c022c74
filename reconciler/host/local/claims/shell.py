"""Lines of shell that make VFs or set them: ``echo 4 > …/sriov_numvfs`` and ``ip link set … vf …``. Variables and loops
over a list of words, ``{0..3}`` or ``$(seq 0 3)`` are followed; anything else that computes is not, and its line is
told. Nor are other scripts that one calls."""

from __future__ import annotations

import itertools
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping

from reconciler.host.local.claims.cards import Cards, Source, vf_index
from reconciler.host.local.claims.files import MOST_IN_A_LINE
from reconciler.host.model import Pf

_WORTH_A_LOOK = re.compile(r"sriov_numvfs|sriov_drivers_autoprobe|\blink\b|/mtu\b")
_ASSIGNMENT = re.compile(
    r"\s*(?:export\s+|local\s+|readonly\s+)?([A-Za-z_]\w*)=(\"[^\"]*\"|'[^']*'|[^\s;&|]*)\s*(?:;|$)"
)
_ASSIGNED = re.compile(r"\s*(?:export\s+|local\s+|readonly\s+)?([A-Za-z_]\w*)=")
_LOOP = re.compile(r"(?:^|(?<=[\s;(\"']))for\s+([A-Za-z_]\w*)\s+in\s+([^;]+)")
_SEQUENCE = re.compile(
    r"(?:\$\(|`)\s*seq\s+(?:(?P<first>\d{1,5})\s+)?(?P<last>\d{1,5})\s*(?:\)|`)|\{(?P<from>\d{1,5})\.\.(?P<to>\d{1,5})\}"
)
_COMPUTES = re.compile(r"[$`]|%[iI]|\{[^\s{}]*[,.]")
"""What is left of it after variables have their values; ``%i`` is the instance of a unit that is a template."""
_UNKNOWN = "$()"
"""Stands for what isn't followed."""
_VARIABLE = re.compile(r"\$\{?([A-Za-z_]\w*)\}?")
_WRITE = re.compile(
    r"(?:echo|printf)\s+(?:-n\s+)?[\"']?(?P<value>\d+)(?:\\n)?[\"']?\s*(?:>>?|\|\s*(?:sudo\s+)?tee\s+(?:-a\s+)?)\s*"
    r"[\"']?(?P<path>/sys/[^\s\"';|&>]+)"
)
_TO_SYSFS = re.compile(
    r"(?:>|\btee\b(?:\s+-a)?)\s*[\"']?(?P<path>[^\s\"';|&>]*/(?:sriov_numvfs|sriov_drivers_autoprobe))\b"
)
_APART = re.compile(r";|&&|\|\||\bdo\b|\bthen\b|\belse\b")
_MOST = 256
"""Of what a line with variables may stand for: all VFs of four cards."""
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
    for number, whole in lines:
        line = whole[:MOST_IN_A_LINE]
        if line.lstrip().startswith("#"):
            continue
        for loop in _LOOP.finditer(line):
            known[loop[1]] = [word for text in _expanded(source, loop[2], known) for word in _words(text)]
        assigned, simple = _ASSIGNED.match(line), _ASSIGNMENT.match(line)
        if assigned is not None:
            known[assigned[1]] = list(_expanded(source, simple[2].strip("\"'") if simple else _UNKNOWN, known))
        for text in _expanded(source, line, known):
            _read(source, number, text, cards)


def _words(text: str) -> Iterator[str]:
    """What a loop goes over; one that computes its list stands for itself, as something that is not known."""
    written = _SEQUENCE.sub(lambda match: " ".join(_sequence(match)), text)
    if "$(" in written or "`" in written:
        yield _UNKNOWN
    else:
        yield from (word.strip("\"'") for word in itertools.islice(written.split(), _MOST))


def _sequence(match: re.Match[str]) -> Iterator[str]:
    first, last = (match["from"], match["to"]) if match["to"] is not None else (match["first"] or "1", match["last"])
    step = 1 if int(first) <= int(last) or match["to"] is None else -1
    return (str(number) for number in itertools.islice(range(int(first), int(last) + step, step), _MOST))


def _expanded(source: Source, line: str, known: Mapping[str, list[str]]) -> Iterator[str]:
    """The line with every value that its variables may have; as it is, when that would be too much."""
    written = _VARIABLE.findall(line)
    names = list(dict.fromkeys(name for name in written if name in known))
    for values in itertools.islice(itertools.product(*(known[name] for name in names)), _MOST):
        chosen = dict(zip(names, values, strict=True))
        size = len(line) + sum(len(chosen.get(name, "")) for name in written)
        if size > 2 * MOST_IN_A_LINE or size > source.left:
            yield line
            return
        source.left -= size
        yield _VARIABLE.sub(lambda match, chosen=chosen: chosen.get(match[1], match[0]), line)  # type: ignore[misc]


def _read(source: Source, number: int, text: str, cards: Cards) -> None:
    for match in _WRITE.finditer(text):
        found, field = cards.at(match["path"])
        for pf in found:
            source.say(pf, field, match["value"], number)
    for command in _APART.split(text):
        written = _TO_SYSFS.search(command) if _COMPUTES.search(command) is not None else None
        if written is not None and (_COMPUTES.search(written["path"]) or cards.at(written["path"])[0]):
            source.not_followed.append(number)
        if " link " in command:
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
    name, rest = rest[0], rest[1:]
    found, of_vf = cards.named(name), rest[:1] == ["vf"]
    if of_vf and (found or _COMPUTES.search(name)) and any(_COMPUTES.search(word) for word in (name, *rest)):
        source.not_followed.append(number)
    vf = vf_index(rest[1]) if of_vf and len(rest) > 1 else None
    for pf in found:
        if of_vf and vf is not None:
            pairs = itertools.pairwise(rest[2:])
            source.say_all(pf, vf, [(_WORDS[key], value, number) for key, value in pairs if key in _WORDS])
        elif not of_vf:
            _say_of_link(source, pf, rest, number)


def _say_of_link(source: Source, pf: Pf, words: list[str], number: int) -> None:
    for word, following in itertools.zip_longest(words, words[1:], fillvalue=""):
        if word in ("up", "down"):
            source.say(pf, "link", word, number)
        elif word == "mtu":
            source.say(pf, "mtu", following, number)
