"""YAML with the lines on which things stand. The parser is loaded only where there are such files."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from reconciler.host.local.claims.files import Files

_MOST_NODES = 20_000
_MOST_BYTES = 64 * 1024
"""The parser takes a second for ten times as much."""
_NESTED = 60


@dataclass(slots=True)
class Tree:
    """A node: a scalar has a ``text``, a mapping ``keys``, a sequence ``items``."""

    line: int
    text: str | None = None
    keys: dict[str, Tree] = field(default_factory=dict)
    items: list[Tree] = field(default_factory=list)
    key_line: int = 0
    """Of a value: the line of its key."""

    def get(self, *path: str) -> Tree | None:
        """What stands below these keys."""
        here: Tree | None = self
        for name in path:
            here = here.keys.get(name) if here is not None else None
        return here

    def at(self, *path: str) -> str | None:
        """A scalar below these keys."""
        found = self.get(*path)
        return found.text if found is not None else None

    def walk(self) -> Iterator[Tree]:
        """This node and all below it."""
        yield self
        for child in (*self.keys.values(), *self.items):
            yield from child.walk()


def read_yaml(files: Files, path: Path) -> list[Tree]:
    """The documents of a file (JSON is YAML, too); none, with a note, if it is not YAML or can't be parsed here."""
    text = files.text(path)
    if text is None:
        return []
    if len(text) > _MOST_BYTES:
        files.note(path, f"it has more than {_MOST_BYTES // 1024} KiB")
        return []
    import yaml

    try:
        nodes = [node for node in yaml.compose_all(text, Loader=yaml.SafeLoader) if node is not None]
        count = [0]
        return [_tree(node, count, 0) for node in nodes]
    except yaml.MarkedYAMLError as error:
        mark = f", line {error.problem_mark.line + 1}" if error.problem_mark is not None else ""
        files.note(path, f"it is no YAML: {error.problem}{mark}")
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        files.note(path, f"it is no YAML that can be read: {str(error).splitlines()[0] if str(error) else 'too deep'}")
    return []


def _tree(node: Any, count: list[int], depth: int) -> Tree:
    """Aliases are followed, so what is small in the file may be large."""
    count[0] += 1
    if count[0] > _MOST_NODES or depth > _NESTED:
        raise ValueError("it is nested too deeply, or its aliases make it too large")
    line = node.start_mark.line + 1
    if node.id == "mapping":
        tree = Tree(line)
        for key, value in node.value:
            if key.id == "scalar":  # A key that stands there twice: the last one counts.
                tree.keys[key.value] = _tree(value, count, depth + 1)
                tree.keys[key.value].key_line = key.start_mark.line + 1
        return tree
    if node.id == "sequence":
        return Tree(line, items=[_tree(item, count, depth + 1) for item in node.value])
    return Tree(line, node.value)
