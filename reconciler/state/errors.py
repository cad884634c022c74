"""What can be wrong with a state file: one constant sentence per code, and the one line that users see."""

from __future__ import annotations

from reconciler.diagnostics import Diagnostic

SUMMARIES = {
    # the file
    "file-too-large": "The state file is too large.",
    "not-utf8": "The state file is not UTF-8 text.",
    "toml-syntax": "The state file is not valid TOML.",
    "toml-nesting": "The state file is nested too deeply.",
    "schema-missing": "The file does not say its schema.",
    "schema-unknown": "The schema is unknown.",
    # keys and values
    "unknown-key": "The key is unknown.",
    "wrong-type": "The value has the wrong type.",
    "wrong-value": "The value is none of those allowed.",
    "out-of-range": "The number is out of range.",
    "invalid-name": "The name is not allowed.",
    "invalid-argument": "The kernel argument is not allowed.",
    "repeated-argument": "A kernel argument is declared twice.",
    "invalid-id": "The PCI address or id is not valid.",
    "invalid-reference": "The reference can't be read.",
    "invalid-index": "The VF index can't be read.",
    "too-many-vfs": "The file names too many VFs.",
    "repeated-entry": "The list has an entry twice.",
    "loaded-and-blacklisted": "A module is to be loaded and kept away.",
    "repeated-service": "The service is declared twice.",
    "invalid-page-size": "This is no size of huge pages.",
    "repeated-page-size": "A size of huge pages is declared twice.",
    # MACs
    "invalid-mac": "The MAC address is not valid.",
    "multicast-mac": "The MAC address is a multicast address.",
    "zero-mac": "The MAC address is zero.",
    "repeated-mac": "The MAC address is used twice.",
    "shared-mac": "Several VFs can't have one MAC address.",
    "mac-needs-hostdev": "A guest can choose its MAC address only with hostdev.",
    # PFs and VFs
    "missing-match": "The PF does not say which card it is.",
    "incomplete-match": "The match is incomplete.",
    "repeated-match": "Two PFs match the same card.",
    "overlapping-ranges": "Two ranges name the same VF.",
    "index-beyond-vfs": "The PF does not have this VF.",
    "rate-order": "The minimum rate is above the maximum rate.",
    # pools and NICs
    "undeclared": "The reference is to something that is not declared.",
    "absent-pool": "The pool is declared absent.",
    "pool-source": "A pool names either a PF or its VFs.",
    "empty-pool": "The pool has no VFs.",
    "nic-source": "A NIC names exactly one of pool, vf and pf.",
    "spread-without-list": "Only NICs with a choice of PFs can be spread.",
    "failover-bridge": "The failover names no bridge.",
    "failover-needs-mac": "Failover with a plain hostdev needs a MAC.",
    "method-with-pool": "A NIC from a pool has no method.",
    "vf-used-twice": "A VF is given away twice.",
    "vf-disagreement": "The VF and the NIC that uses it disagree.",
    "needs-hostdev": "This VLAN setting needs method hostdev.",
    "too-many-nics": "The domain has more VFs than the policy allows.",
}


def format_error(diagnostic: Diagnostic) -> str:
    """``FILE:LINE:COLUMN: ADDRESS: message``, always one line: what can't be printed is escaped.

    A finding without a place has no line and column, one about the whole file no address.
    """
    place = diagnostic.path
    if diagnostic.line:
        place += f":{diagnostic.line}:{diagnostic.column}"
    message = f"{diagnostic.summary} {diagnostic.detail}".strip()
    if diagnostic.severity != "error":
        message = f"{diagnostic.severity}: {message}"
    return printable(": ".join(part for part in (place, diagnostic.address, message) if part))


def printable(text: str) -> str:
    """``text`` with control characters, line breaks and invisible signs written as escapes."""
    if text.isprintable():
        return text
    return "".join(sign if sign.isprintable() else _escape(sign) for sign in text)


def _escape(sign: str) -> str:
    return sign.encode("unicode_escape").decode("ascii")
