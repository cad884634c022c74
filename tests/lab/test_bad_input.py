"""Files that can't be right: a clear message, the right exit code, no traceback, and a host that nobody touched.

All of these share one host, since none of them may change it.
"""

from collections.abc import Iterator

import pytest

from tests.lab.conftest import WORK, Host

NETDEV = '[pf.int]\nmatch = { name = "enp1s0" }\n'

INVALID = {
    "broken.toml": ("schema = 1\n[pf.int\nvfs = 2\n", "broken.toml:2:"),
    "empty.toml": ("", "empty.toml:1:1:"),
    "keys.toml": (f"schema = 1\n{NETDEV}vsf = 2\n", "did you mean"),
    "beyond.toml": (f"schema = 1\n{NETDEV}vfs = 2\n[pf.int.vf.2]\nvlan = 1\n", "pf.int.vf.2"),
    "mac.toml": (f'schema = 1\n{NETDEV}vfs = 2\n[pf.int.vf.0]\nmac = "01:00:5e:00:00:01"\n', "pf.int.vf.0"),
    "rates.toml": (
        f"schema = 1\n{NETDEV}vfs = 2\n[pf.int.vf.1]\nmin_tx_rate = 9\nmax_tx_rate = 5\n",
        "min_tx_rate",
    ),
    "word.toml": (
        'schema = 1\n[pf.int]\nmatch = { name = "enp1s0" }\nhost_network = "managed"\n',
        'allowed are "ignore"',
    ),
    "schema.toml": ("schema = 7\n", "schema"),
    "pf-markup.toml": ('schema = 1\n[pf."[bold]x"]\nvfs = 2\n', "[bold]x"),
    "pf-path.toml": ('schema = 1\n[pf."../etc"]\nvfs = 2\n', "../etc"),
    "module-path.toml": ('schema = 1\n[modules]\nblacklist = ["../../passwd"]\n', "../../passwd"),
    "module-markup.toml": ('schema = 1\n[modules]\nblacklist = ["[bold]igbvf"]\n', "[bold]igbvf"),
    "module-line.toml": ('schema = 1\n[modules]\nblacklist = ["a\\ninstall b /bin/sh"]\n', r"a\ninstall"),
    "pool-path.toml": ('schema = 1\n[pool."../x"]\nstate = "absent"\n', "../x"),
    "pool-line.toml": ('schema = 1\n[pool."a\\nb"]\nstate = "absent"\n', r"a\nb"),
    "guest-line.toml": ('schema = 1\n[domain."a\\nb".nic.x]\nstate = "absent"\nvf = "int/1"\n', r"a\nb"),
}
"""What can't be a state file, and what the message has to contain."""


@pytest.fixture(scope="module")
def untouched(host: Host) -> Iterator[Host]:
    """A host that is the same at the end as it was at the beginning."""
    before = host.observed()
    yield host
    assert host.changes_since(before) == []
    assert host.sh("ls -A /var/lib/reconciler 2>/dev/null || true") == ""


def test_every_rule_of_the_file_is_reported_with_its_place(untouched: Host) -> None:
    for name, (content, _) in INVALID.items():
        untouched.put(name, content)
    ran = untouched.reconciler(f"validate {' '.join(INVALID)}").expect(65)
    for name, (_, said) in INVALID.items():
        lines = [line for line in ran.stderr.splitlines() if line.startswith(f"{name}:")]
        assert any(said in line for line in lines), f"{name}: {said!r} is not in {lines}\n{ran.text}"


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (r"{ printf '\211PNG\r\n\032\n'; cat /bin/true; }", "bad.toml:1:1:"),
        ("{ printf 'schema = 1\\n#'; head -c 52428800 /dev/zero | tr '\\0' x; }", "52428"),
        ("true", "bad.toml:1:1:"),
        ("printf '[modules\\n'", "bad.toml:1:"),
    ],
    ids=["binary", "50 MB", "empty", "broken"],
)
def test_apply_refuses_what_is_no_state_file(untouched: Host, make: str, says: str) -> None:
    untouched.sh(f"{make} >{WORK}/bad.toml")
    ran = untouched.reconciler("apply bad.toml --yes").expect(65)
    assert ran.stdout == ""
    assert says in ran.stderr
    assert len(ran.stderr) < 1000


NASTY = """
schema = 1

[pf.a]
match = { name = "[bold]enp1s0" }
vfs = 1

[pf.b]
match = { name = "enp1s0';reboot;'" }
vfs = 1

[domain."[bold]..web1 'quoted'".nic."[link]x"]
vf = "b/0"
"""


def test_nasty_names_are_shown_as_they_are_and_found_nowhere(untouched: Host) -> None:
    untouched.put("nasty.toml", NASTY)
    ran = untouched.reconciler("apply nasty.toml --yes").expect(1)
    ran.says("[bold]enp1s0", "enp1s0';reboot;'", "[bold]..web1 'quoted'", "enp1s0", "enp2s0", "enp3s0")


def test_a_file_that_is_not_there_and_an_option_that_is_not_there_are_wrong_usage(untouched: Host) -> None:
    untouched.reconciler("plan missing.toml").expect(64).says("missing.toml", "No such file")
    untouched.reconciler("apply --force nasty.toml").expect(64).says("--force")


GOOD = f"schema = 1\n{NETDEV}vfs = 2\n"


def test_without_a_terminal_and_without_yes_nothing_is_done(untouched: Host) -> None:
    untouched.put("good.toml", GOOD)
    ran = untouched.reconciler("apply good.toml", input="yes\n").expect(64)
    ran.says("--yes", "Nothing was changed")


def test_without_root_the_plan_is_shown_and_nothing_is_done(untouched: Host) -> None:
    untouched.sh(f"chmod 755 /root {WORK}")
    nobody = "setpriv --reuid=nobody --regid=nogroup --clear-groups"
    ran = untouched.reconciler("apply good.toml --yes", prefix=nobody).expect(77)
    ran.says("pf.int", "root", "Nothing was changed")


def test_a_host_name_that_differs_is_refused(untouched: Host) -> None:
    untouched.put("other.toml", f'{GOOD}[host]\nname = "r620-01"\n')
    untouched.reconciler("apply other.toml --yes").expect(5).says("r620-01", "lab")
