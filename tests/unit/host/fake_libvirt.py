"""As much of libvirt's Python binding as is used, with the state of one imagined host."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import ModuleType
from typing import Any


class libvirtError(Exception):
    """With a code and a message, as the binding's own."""

    def __init__(self, text: str, code: int = 1, domain: int = 10) -> None:
        super().__init__(text)
        self.code, self.domain = code, domain

    def get_error_message(self) -> str:
        return str(self)

    def get_error_code(self) -> int:
        return self.code

    def get_error_domain(self) -> int:
        return self.domain


class Thing:
    """A domain, a network or a port: methods that return what they were given, or raise it."""

    def __init__(self, name: str, **answers: Any) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.answers = {
            "name": name,
            "UUIDString": f"uuid of {name}",
            "isActive": 0,
            "isPersistent": 1,
            "autostart": 0,
            **answers,
        }

    def __getattr__(self, method: str) -> Callable[..., Any]:
        if method not in self.answers:
            raise AttributeError(method)

        def call(*arguments: Any) -> Any:
            self.calls.append((method, *arguments))
            answer = self.answers[method]
            answer = answer(*arguments) if callable(answer) else answer
            if isinstance(answer, Exception):
                raise answer
            return answer

        return call


class FakeLibvirt(ModuleType):
    """The module; `connection` answers everything, `opened` counts."""

    libvirtError = libvirtError
    VIR_DOMAIN_XML_SECURE = 1
    VIR_DOMAIN_XML_INACTIVE = 2
    VIR_NETWORK_XML_INACTIVE = 1
    VIR_DOMAIN_AFFECT_LIVE = 1
    VIR_DOMAIN_AFFECT_CONFIG = 2
    VIR_CONNECT_LIST_DOMAINS_ACTIVE = 1
    VIR_CONNECT_LIST_DOMAINS_PERSISTENT = 4
    VIR_CONNECT_LIST_DOMAINS_AUTOSTART = 1024
    VIR_FROM_RPC = 7
    VIR_FROM_REMOTE = 13
    VIR_ERR_NO_DOMAIN = 42
    VIR_ERR_NO_NETWORK = 43
    VIR_ERR_NO_SUPPORT = 3
    VIR_ERR_NO_NETWORK_PORT = 109

    def __init__(self) -> None:
        super().__init__("libvirt")
        self.opened: list[str] = []
        self.refuses: libvirtError | None = None
        self.domains: list[Thing] = []
        self.networks: list[Thing] = []
        self.connection = Thing(
            "connection",
            getLibVersion=11003000,
            getURI="qemu:///system",
            getType="QEMU",
            isAlive=1,
            listAllDomains=self._listed,
            listAllNetworks=lambda flags: self.networks,
            lookupByName=lambda name: self._find(self.domains, name, 42),
            networkLookupByName=lambda name: self._find(self.networks, name, 43),
            networkDefineXML=None,
            defineXML=None,
        )

    def _listed(self, flags: int) -> list[Thing]:
        which = {0: "name", 1: "isActive", 4: "isPersistent", 1024: "autostart"}[flags]
        return [domain for domain in self.domains if domain.answers[which]]

    @staticmethod
    def _find(things: list[Thing], name: str, code: int) -> Any:
        found = [thing for thing in things if thing.answers["name"] == name]
        return found[0] if found else libvirtError(f"no {name}", code)

    def registerErrorHandler(self, handler: object, context: object) -> None:
        """Takes it."""

    def open(self, uri: str, kind: str = "rw") -> Thing:
        self.opened.append(kind)
        if self.refuses:
            raise self.refuses
        return self.connection

    def openReadOnly(self, uri: str) -> Thing:
        return self.open(uri, "ro")


def hang(*_: object) -> None:
    """Longer than any deadline of a test."""
    time.sleep(1)
