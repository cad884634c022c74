"""What an apply came to, by address: done, failed with the words that came back, left; the verdict last."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from reconciler.report.actions import runs, sentence
from reconciler.report.folding import folded_by_pf
from reconciler.report.style import Style, clean, listed, paragraph, plural, quoted
from reconciler.report.verdict import host_name

_ADVICE = (
    (
        "pf.set_host_network",
        "A file of theirs may go before ours (/etc/systemd/network/00-reconciler.network): networkctl status "
        "INTERFACE, nmcli device show INTERFACE",
    ),
    ("pf.", "The driver may have said more: journalctl -k --since -10min"),
    ("vf.", "The driver may have said more: journalctl -k --since -10min"),
    ("pool.", "libvirt may have said more: journalctl -u libvirtd -u virtnetworkd --since -10min"),
    ("nic.detach", "The guest has to answer an unplug request: is it up, and does it support hot-plug?"),
    ("nic.", "libvirt may have said more: journalctl -u libvirtd -u virtqemud --since -10min"),
    ("domain.", "libvirt may have said more: journalctl -u libvirtd -u virtqemud --since -10min"),
    ("service.", "systemd may have said more: systemctl status, and journalctl -u, with the service's name"),
    ("kernel.", "What update-grub, or the boot loader's other command, says when it is called by hand"),
    ("hugepages.", "How memory is fragmented: cat /proc/buddyinfo"),
    ("modules.rebuild_initramfs", "By hand it is: update-initramfs -u, or dracut --force. Is there room on /boot?"),
    ("modules.unload", "Something may still use the module: lsmod has the count of its users."),
)


def render_result(
    document: dict[str, Any],
    outcomes: Sequence[dict[str, Any]],
    *,
    unmet: Sequence[str] = (),
    back: bool = False,
    color: bool,
    width: int = 0,
) -> str:
    """``document``: the plan that was carried out, or with ``back`` the actions that took one back. ``outcomes``:
    ``id``, ``outcome`` (changed, unchanged, failed, skipped; ``undone`` for what was done and taken back), ``error``
    and ``written`` (the host was asked for it) of its actions; an action without one was not reached.
    ``unmet``: why the host is not as declared, or as before, although every action succeeded."""
    view = _View(clean(document), clean(list(outcomes)), Style(color), width, back)
    sections = [view.done(), view.undone(), *view.failed(), view.left(), view.unmet(clean(list(unmet)))]
    sections.append([view.verdict(bool(unmet))])
    return "\n\n".join("\n".join(section) for section in sections if section) + "\n"


class _View:
    def __init__(
        self, document: dict[str, Any], outcomes: list[dict[str, Any]], style: Style, width: int, back: bool
    ) -> None:
        self.document, self.style, self.width = document, style, width
        self.wanted = "as it was before" if back else "as declared"
        self.again = "take back the rest with: reconciler rollback" if back else "apply again"
        self.actions: list[dict[str, Any]] = document.get("actions") or []
        self.by_id = {action["id"]: action for action in self.actions}
        self.outcomes = {item["id"]: item for item in outcomes}

    def outcome(self, action: dict[str, Any]) -> str:
        """What an action came to; ``skipped`` if it was not reached."""
        return str(self.outcomes.get(action["id"], {}).get("outcome", "skipped"))

    def of(self, *outcomes: str) -> list[dict[str, Any]]:
        """The actions that came to one of these, in the order of the plan."""
        return [action for action in self.actions if self.outcome(action) in outcomes]

    def done(self) -> list[str]:
        if not self.of("failed", "skipped", "undone"):
            return []  # The progress has told it, and nothing else is worth knowing.
        return self._list("Done:", "green", self.of("changed"))

    def undone(self) -> list[str]:
        return self._list("Done and taken back:", "yellow", self.of("undone"))

    def _list(self, title: str, colour: str, actions: Iterable[dict[str, Any]]) -> list[str]:
        lines = [f"  {run.sentence}" for run in runs(actions)]
        return [self.style.paint(title, "bold", colour), *lines] if lines else []

    def failed(self) -> list[list[str]]:
        """A block per failure: address and what, the words that came back, what may help."""
        return [self._failure(action) for action in self.of("failed")]

    def _failure(self, action: dict[str, Any]) -> list[str]:
        outcome = self.outcomes[action["id"]]
        lines = [f"{self.style.paint('Failed:', 'bold', 'red')} {sentence(action)}"]
        lines += quoted(outcome.get("error") or "No reason was given.", width=self.width)
        asked = outcome.get("written", True)  # What was never asked for has nothing to say about it.
        advice = next((text for prefix, text in _ADVICE if asked and action["op"].startswith(prefix)), "")
        return lines + (paragraph(advice, indent=2, hang=2, width=self.width) if advice else [])

    def left(self) -> list[str]:
        """What was not done, by what it waits for."""
        waiting: dict[str, list[dict[str, Any]]] = {}
        for action in self.of("skipped"):
            waiting.setdefault(self._root(action), []).append(action)
        lines: list[str] = []
        for root, actions in waiting.items():
            why = f", since it needs what failed ({sentence(self.by_id[root])})" if root else ", not begun"
            lines += self._list(f"Left{why}:", "yellow", actions)
        return lines

    def _root(self, action: dict[str, Any]) -> str:
        """Id of the failed action that this one needs, over others that were left; "" if there is none."""
        seen: set[str] = set()
        todo: list[str] = list(action.get("needs") or [])
        while todo:
            need = todo.pop()
            if need in seen or need not in self.by_id:
                continue
            seen.add(need)
            if self.outcome(self.by_id[need]) == "failed":
                return need
            todo += self.by_id[need].get("needs") or []
        return ""

    def unmet(self, why: list[str]) -> list[str]:
        """What is not as declared in the end."""
        lines = [line for item in why for line in paragraph(item, indent=2, hang=2, width=self.width)]
        return [self.style.paint(f"Not {self.wanted}:", "bold", "red"), *lines] if lines else []

    def verdict(self, unmet: bool = False) -> str:
        changed, failed = self.of("changed"), self.of("failed")
        left, undone, total = self.of("skipped"), self.of("undone"), len(self.actions)
        host = host_name(self.document)
        if not failed and not left and not undone and unmet:
            done = f"{plural(total, 'action')} on {host} succeeded"
            text = f"Not converged: {done}, and it is not {self.wanted} all the same."
            return self.style.paint(text, "bold", "red")
        if not failed and not left and not undone:
            right = len(self.of("unchanged"))
            already = f" {right} of them {'was' if right == 1 else 'were'} already right." if right else ""
            text = f"Done: {plural(total, 'action')} on {host}.{already}"
            return self.style.paint(text, "bold", "green")
        why = f" at {listed(folded_by_pf(action['address'] for action in failed))}" if failed else ""
        word = "Failed" if failed else "Stopped"
        begun = [action for action in failed if self.outcomes[action["id"]].get("written")]
        perhaps = " What failed may have taken effect in part." if begun else ""
        if changed:
            text = (
                f"{word} part-way{why}: {len(changed)} of {plural(total, 'action')} done, "
                f"{len(failed)} failed, {len(left)} left.{perhaps} {host} is in between: "
                + (f"solve this and {self.again}." if failed else f"{self.again} to go on.")
            )
        elif undone:
            text = f"{word}{why}, and taken back: what was done on {host} was undone."
        elif begun:
            text = f"{word}{why}: no change was completed on {host}.{perhaps} Solve this and {self.again}."
        else:
            text = f"{word}{why}: nothing was changed on {host}."
        return self.style.paint(text, "bold", "red" if failed else "yellow")
