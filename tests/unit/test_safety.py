"""What the package never does, found in its own code: no shell, no code out of data, no second way to read XML."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "reconciler"
XML = "host/local/libvirt_xml.py"
"""The one file that parses XML."""
CHILD = "host/local/standing.py"
"""Talks to its own child process by pickle, over a socket that nobody else has."""
YAML = "host/local/claims/yaml_tree.py"
"""Reads other tools' YAML, as nodes: nothing is made of them."""
_CALLS = {
    *("eval", "exec", "compile", "__import__"),
    *("os.system", "os.popen", "os.execl", "os.execlp", "os.execvp", "os.spawnl", "os.spawnlp", "os.startfile"),
    *("subprocess.getoutput", "subprocess.getstatusoutput", "asyncio.create_subprocess_shell", "commands.getoutput"),
    *("yaml.load", "marshal.loads", "shelve.open", "tempfile.mktemp"),
}
_MODULES = {"pickle", "marshal", "shelve", "yaml", "xml", "lxml", "ElementTree", "minidom", "telnetlib", "pty"}
_ALLOWED = {(XML, "lxml"), (CHILD, "pickle"), (YAML, "yaml")}
_PARSERS = {"fromstring", "parse", "XML", "iterparse", "XMLParser", "HTMLParser", "fromstringlist", "XMLPullParser"}


def findings(source: str, name: str) -> Iterator[str]:
    """What is forbidden in a file's source."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            if called in _CALLS:
                yield f"{called}()"
            if any(word.arg == "shell" and not _is_false(word.value) for word in node.keywords):
                yield "shell="
            if called.startswith("etree.") and called.removeprefix("etree.") in _PARSERS and name != XML:
                yield f"{called}()"
        modules = (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
        for module in modules:
            top = module.partition(".")[0]
            if top in _MODULES and (name, top) not in _ALLOWED:
                yield f"import {module}"


def _is_false(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is False


def test_no_shell_no_code_from_data_and_one_xml_parser() -> None:
    files = sorted(PACKAGE.rglob("*.py"))
    assert len(files) > 150
    found = {
        f"{path.relative_to(PACKAGE)}: {item}"
        for path in files
        for item in findings(path.read_text(), str(path.relative_to(PACKAGE)))
    }
    assert not found


@pytest.mark.parametrize(
    "source",
    [
        "import subprocess\nsubprocess.run('ls', shell=True)",
        "import os\nos.system('ls')",
        "os.popen('ls')",
        "eval('1')",
        "exec(text)",
        "import pickle",
        "from yaml import load",
        "from xml.etree import ElementTree",
        "import xml.dom.minidom",
        "from lxml import etree",
        "etree.fromstring(text)",
    ],
)
def test_the_search_finds_it(source: str) -> None:
    assert list(findings(source, "cli/x.py"))


def test_the_one_parser_is_made_in_one_place_and_follows_nothing() -> None:
    tree = ast.parse((PACKAGE / XML).read_text())
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    parsing = [call for call in calls if ast.unparse(call.func).removeprefix("etree.") in _PARSERS - {"parse"}]
    assert sorted(ast.unparse(call.func) for call in parsing) == ["etree.XMLParser", "etree.fromstring"]
    options = {word.arg: ast.unparse(word.value) for call in parsing for word in call.keywords}
    assert options["resolve_entities"] == options["load_dtd"] == options["huge_tree"] == "False"
    assert options["no_network"] == "True"


def test_of_yaml_only_nodes_are_read() -> None:
    tree = ast.parse((PACKAGE / YAML).read_text())
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and "yaml." in ast.unparse(node.func)]
    assert [ast.unparse(call.func) for call in calls] == ["yaml.compose_all"]
    assert [ast.unparse(word.value) for word in calls[0].keywords] == ["yaml.SafeLoader"]


def test_commands_get_names_behind_two_dashes() -> None:
    """A value in a command line that isn't fixed has ``--`` before it, or is an option's."""
    checked = [
        _check_command(node, command, path.name)
        for path in sorted((PACKAGE / "host/local").glob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("run", "_command", "_systemd")
        for command in node.args[:1]
        if isinstance(command, ast.List)
    ]
    assert sum(checked) >= 4  # modprobe (twice), rmmod, systemctl


def _check_command(call: ast.Call, command: ast.List, name: str) -> bool:
    """Whether it has a value in it."""
    words = [item.value if isinstance(item, ast.Constant) else None for item in command.elts]
    free = [
        number
        for number, item in enumerate(command.elts)
        if words[number] is None
        and not ast.unparse(item).startswith(("f'--", 'f"--', "*passed_on", "*by_keyword", "*argv", "*(f"))
    ]
    if free:
        assert "--" in words[: free[0]], f"{name}: {ast.unparse(call)}"
    return bool(free)
