"""From TOML values to the file's model: keys, types and simple limits, each mistake in plain words.

What is wrong is taken out, so that the rules can go on with the rest and one run finds everything.
"""

from __future__ import annotations

import json
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from reconciler.state.address import address
from reconciler.state.desired import VF_ATTRIBUTES
from reconciler.state.findings import Findings, thing
from reconciler.state.positions import Path
from reconciler.state.spec import StateSpecFile

SCHEMA = 1


def check_schema(raw: dict[str, Any], findings: Findings) -> bool:
    """Whether the file speaks the language of this version; if not, complaining of the rest is idle."""
    number = raw.get("schema")
    if number is None:
        findings.error(("schema",), "schema-missing", f"Write schema = {SCHEMA} at the top.", at="")
    elif type(number) is int and number != SCHEMA:
        findings.error(("schema",), "schema-unknown", f"schema = {show(number)}: this version reads schema = {SCHEMA}.")
        return False
    return True


def check_shape(raw: dict[str, Any], findings: Findings) -> StateSpecFile:
    """The model of the file without what is wrong in it, which goes to ``findings``. Changes ``raw``."""
    while True:
        try:
            return StateSpecFile.model_validate(raw)
        except ValidationError as error:
            details = error.errors(include_url=False, include_context=True, include_input=False)
        for detail in details:
            _report(detail, raw, findings)
        for detail in details:
            _take_out(raw, detail["loc"])


def show(value: object) -> str:
    """A value as the file would write it, shortened."""
    if isinstance(value, str):
        text = json.dumps(value, ensure_ascii=False)
    elif isinstance(value, bool):
        text = str(value).lower()
    elif isinstance(value, int) and abs(value) > 10**20:
        text = "a huge number"
    elif isinstance(value, list | dict):
        text = "[…]" if isinstance(value, list) else "{…}"
    else:
        text = str(value)
    return text if len(text) <= 60 else text[:59] + "…"


def _at(raw: Any, key: Path) -> Any:
    for part in key:
        raw = raw[part]
    return raw


def _take_out(raw: dict[str, Any], key: Path) -> None:
    """Removes the key, or the whole array in which it is an element."""
    table = raw
    for part, following in zip(key, [*key[1:], None], strict=True):
        if part not in table:
            return  # already gone, with what was around it
        if following is None or not isinstance(table[part], dict):
            del table[str(part)]
            return
        table = table[part]


# ---------------------------------------------------------------------------- pydantic's words in ours


_EXPECTED = {
    "int_type": "an integer",
    "bool_type": "true or false",
    "string_type": "a string",
    "list_type": "an array",
    "dict_type": "a table",
    "model_type": "a table",
}


def _report(detail: ErrorDetails, raw: dict[str, Any], findings: Findings) -> None:
    kind, key = detail["type"], detail["loc"]
    value = _at(raw, key)
    field = thing(key)[1] or address(str(key[-1]))
    if isinstance(key[-1], int):
        field = f"an entry of {key[-2]}"
    context = detail.get("ctx", {})
    if kind == "extra_forbidden":
        _report_unknown(key, findings)
    elif kind == "literal_error":
        allowed = [str(choice) for choice in choices_at(key)]
        hint = findings.suggest(value, allowed) if isinstance(value, str) else ""
        choices = ", ".join(show(choice) for choice in allowed)
        findings.error(key, "wrong-value", f"{field} = {show(value)}: allowed are {choices}{hint or '.'}")
    elif kind in ("greater_than_equal", "less_than_equal"):
        least = kind == "greater_than_equal"
        limit = f"at least {context['ge']}" if least else f"at most {context['le']}"
        findings.error(key, "out-of-range", f"{field} = {show(value)}: it has to be {limit}.")
    else:
        expected = _EXPECTED.get(kind, detail["msg"])
        if key[-1] == "pf" and key[:1] == ("domain",):
            expected = "the name of a PF, or an array of names"
        hint = f"it has to be {expected}, not {_type_hint(kind, value)}"
        findings.error(key, "wrong-type", f"{field} = {show(value)}: {hint}.")


def _type_hint(kind: str, value: object) -> str:
    if kind == "int_type" and isinstance(value, str) and value.isdecimal():
        return "a string: write it without quotes"
    if kind == "bool_type" and isinstance(value, str) and value.lower() in ("true", "false"):
        return f"a string: write {value.lower()} without quotes"
    if kind in ("dict_type", "model_type") and isinstance(value, list):
        return "an array: write [name], not [[name]]"
    if kind == "string_type" and type(value) is int:
        return "an integer: write it in quotes"
    names: list[tuple[type, str]] = [
        (bool, "a boolean"),
        (int, "an integer"),
        (float, "a float"),
        (str, "a string"),
        (list, "an array"),
        (dict, "a table"),
    ]
    return next((name for of, name in names if isinstance(value, of)), "a date or time")


def _report_unknown(key: Path, findings: Findings) -> None:
    name = str(key[-1])
    around = key[:-1]
    where = f"[{address(*around)}]" if around else "the file"
    if around[:1] == ("pf",) and around[2:] == ("vf_defaults",) and name == "mac":
        findings.error(key, "shared-mac", "mac is not allowed in vf_defaults: give each VF its own, in vf.N.")
        return
    hint = _misplaced(around, name) or findings.suggest(name, keys_at(around)) or "."
    findings.error(key, "unknown-key", f"{show(name)} is no key of {where}{hint}")


def _misplaced(around: Path, name: str) -> str:
    """Where a key that exists elsewhere belongs."""
    pf = around[:1] == ("pf",)
    if pf and len(around) == 2 and name in VF_ATTRIBUTES:
        table = "vf.N" if name == "mac" else "vf_defaults, or in vf.N"
        return f"; it is an attribute of VFs: write it in {table}."
    if pf and around[2:] == ("vf_defaults",) and name in ("driver", "vf_driver"):
        return "; the driver of all VFs is vf_driver of the PF."
    return ""


# ---------------------------------------------------------------------------- the words of the model


def keys_at(key: Path) -> list[str]:
    """The keys that the table at a path may have."""
    model: Any = StateSpecFile
    for part in key:
        model = _inside(model, part)
    if not (isinstance(model, type) and issubclass(model, BaseModel)):
        return []
    return [field.alias or name for name, field in model.model_fields.items()]


def choices_at(key: Path) -> tuple[Any, ...]:
    """The choices of the key at a path that takes one of several words."""
    model: Any = StateSpecFile
    for part in key:
        model = _inside(model, part)
    return get_args(model)


def _inside(model: Any, part: str | int) -> Any:
    if isinstance(model, type) and issubclass(model, BaseModel):
        names = {field.alias or name: field for name, field in model.model_fields.items()}
        return _plain(names[str(part)].annotation)
    return get_args(model)[-1]  # dict[str, X] and list[X]


def _plain(annotation: Any) -> Any:
    """``X`` of ``X | None``."""
    choices = [choice for choice in get_args(annotation) if choice is not type(None)]
    return choices[0] if type(None) in get_args(annotation) else annotation
