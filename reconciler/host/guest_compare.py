"""Is everything that was sent to libvirt in what it gives back? What libvirt adds by itself (addresses, controllers,
defaults) is no difference, nor is another way to write the same: units, the case of a MAC, an alias of a machine."""

from __future__ import annotations

import re

from reconciler.host.local.libvirt_xml import Element, parse

_MAC = re.compile(r"[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}")
_UUID = re.compile(r"[0-9a-fA-F]{8}-?([0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}")
_NUMBER = re.compile(r"0[xX][0-9a-fA-F]+|[0-9]+")
_IN_ORDER = {"interface", "disk"}
"""The guest counts these by their order where no address tells them apart."""
_NAMING = ("name", "dev", "type", "index", "address", "bus", "slot", "id", "file")
_SIZED = ("memory", "size")
"""Attributes that an attribute ``unit`` is about."""
_UNITS = {
    **dict.fromkeys(("b", "byte", "bytes"), 1),
    **{name: 1024**power for power, letter in enumerate("kmgtpe", 1) for name in (letter, f"{letter}ib")},
    **{f"{letter}b": 1000**power for power, letter in enumerate("kmgtpe", 1)},
}
"""Bytes (docs/formatdomain.rst, Memory Allocation)."""


def missing(sent: str, found: str) -> list[str]:
    """What of one definition is not in the other one: its place, and what is there. Raises ValueError for no XML."""
    one, other = parse(sent, whole=True), parse(found, whole=True)
    if one.tag != other.tag:
        return [f"{_tag(one)} -> {_tag(other)}"]
    return _differences(one, other, "")


def same(one: str, other: str) -> bool:
    """Whether neither has what the other hasn't."""
    return not missing(one, other) and not missing(other, one)


def _differences(sent: Element, found: Element, place: str) -> list[str]:
    given, there = _attributes(sent), _attributes(found)
    different = [
        f"{place or '/'} {name}: {value} -> {there.get(name, 'none')}"
        for name, value in given.items()
        if not _equal(value, there.get(name), place, name)
    ]
    text, other = _text(sent), _text(found)
    if text and not _equal(text, other, place, ""):
        different.append(f"{place or '/'}: {text} -> {other or 'none'}")
    for tag in dict.fromkeys(child.tag for child in sent):
        different += _of_children([c for c in sent if c.tag == tag], [c for c in found if c.tag == tag], place)
    return different


def _of_children(sent: list[Element], found: list[Element], place: str) -> list[str]:
    """Each one sent has one of its own there. First those that are there as they were sent, then by what is left."""
    left, lost, last = list(found), [], -1
    order = {id(element): number for number, element in enumerate(found)}
    for number, element in enumerate(sent):
        where = f"{place}/{_tag(element)}"
        after = last if element.tag in _IN_ORDER else -1
        fits = [c for c in left if order[id(c)] > after and not _element_differs(element, c, where)]
        if fits:
            left.remove(fits[0])
            last = order[id(fits[0])]
        else:
            lost.append((number, element))
    different = []
    for number, element in lost:
        name = f"{place}/{_tag(element)}" + (f"[{number + 1}]" if len(sent) > 1 else "")
        if left:
            different += _element_differs(element, left.pop(0), name) or [f"{name} is at another place"]
        else:
            different.append(f"{name} ({_told(element)}) is not there")
    return different


def _element_differs(sent: Element, found: Element, place: str) -> list[str]:
    different = _differences(sent, found, place)
    tail = " ".join((sent.tail or "").split())
    if tail and tail != " ".join((found.tail or "").split()):
        different.append(f"the text after {place}: {tail}")
    return different


def _equal(sent: str, found: str | None, place: str, name: str) -> bool:
    if found is None:
        return False
    if sent == found:
        return True
    if place == "/os/type" and name == "machine":
        kind = "i440fx" if sent == "pc" else sent
        return re.fullmatch(rf"(pc-)?{re.escape(kind)}-[\w.]+", found) is not None
    if (_MAC.fullmatch(sent) and _MAC.fullmatch(found)) or (_UUID.fullmatch(sent) and _UUID.fullmatch(found)):
        return sent.replace("-", "").lower() == found.replace("-", "").lower()
    if place.startswith("/metadata") or not (_NUMBER.fullmatch(sent) and _NUMBER.fullmatch(found)):
        return False
    return _number(sent) == _number(found)


def _number(text: str) -> int:
    """As libvirt reads addresses: hexadecimal with 0x, else decimal."""
    return int(text, 16) if text[:2].lower() == "0x" else int(text)


def _attributes(element: Element) -> dict[str, str]:
    """With sizes in bytes, and without their unit."""
    found = {str(name): str(value) for name, value in element.attrib.items()}
    factor = _factor(element)
    if factor is None:
        return found
    del found["unit"]
    return {
        name: str(int(value) * factor) if name in _SIZED and value.isdecimal() else value
        for name, value in found.items()
    }


def _text(element: Element) -> str:
    text = (element.text or "").strip()
    factor = _factor(element)
    return str(int(text) * factor) if factor is not None and text.isdecimal() else text


def _factor(element: Element) -> int | None:
    """Bytes of the element's unit; ``None``: it has none that is known."""
    return None if _is_comment(element) else _UNITS.get((element.get("unit") or "").lower())


def _is_comment(element: Element) -> bool:
    return not isinstance(element.tag, str)


def _tag(element: Element) -> str:
    return "comment" if _is_comment(element) else str(element.tag).rpartition("}")[2]


def _told(element: Element) -> str:
    """What tells it from others of its kind."""
    if _is_comment(element):
        return (element.text or "").strip()
    named = [e for e in element.iter() if not _is_comment(e) and any(e.get(name) for name in _NAMING)]
    words = [f"{_tag(e)} {next(e.get(name) or '' for name in _NAMING if e.get(name))}" for e in named[:3]]
    return ", ".join(words) or (element.text or "").strip() or "empty"
