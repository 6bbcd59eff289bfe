"""gatepost route, from the command line: what it says, and its exit statuses."""

import json
import os
import pwd
from pathlib import Path

import pytest

from gatepost.cli.program import run

MAIN_CF = """\
compatibility_level = 3.6
myhostname = mail.ours.example
mydestination = ours.example
alias_maps =
relayhost = [hub.example]
relay_domains = rel.example
virtual_alias_domains = v.example
virtual_alias_maps = texthash:{folder}/virtual
canonical_maps = regexp:{folder}/canonical
sender_canonical_maps = inline:{{ {{ old@x.example = s@x.example }} }}
transport_maps = cidr:{folder}/nothing, texthash:{folder}/transport
sender_dependent_relayhost_maps = inline:{{ {{ s@x.example = [other.example]:26 }} }}
sender_dependent_default_transport_maps = inline:{{ {{ t@x.example = slow }} }}
gatepost_retry_schedule_maps = texthash:{folder}/retry
gatepost_destination_rates = inline:{{ {{ hub.example = 10/s }} }}
smtp_destination_concurrency_limit = 7
slow_destination_rate_delay = 2s
defer_transports = put-off
gatepost_queue_directory = {folder}/queue
"""
MASTER_CF = """\
127.0.0.1:2525 inet n - n - - smtpd
127.0.0.1:2526 inet n - n - - smtpd
  -o content_filter=scan
smtp unix - - n - 33 smtp
relay unix - - n - - smtp
slow unix - - n - 1 smtp
put-off unix - - n - - smtp
local unix - n n - - local
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
"""
FILES = {
    "virtual": "# two\na@v.example one@rel.example,\n   two@far.example\nb@v.example joe@bad.example\n",
    "canonical": "/^nobody/ x@y.example\n/^from@(.*)$/ to@$1\n",
    "nothing": "",
    "transport": (
        "far.example smtp:[x.far.example], [y.far.example]\nbad.example error:5.7.1 No\nhole.example discard:\n"
        "off.example put-off:\nnone.example nosuch:\nslow.example slow:\nlater.example retry:4.7.1 Later\n"
    ),
    "retry": "far.example 5m 10m 1h; expire 2d\n[hub.example] 7m\n.deep.example 1m\n",
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "main.cf").write_text(MAIN_CF.format(folder=tmp_path))
    (tmp_path / "master.cf").write_text(MASTER_CF)
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    me = pwd.getpwuid(os.getuid())
    monkeypatch.setattr("gatepost.cli.route.owner_of", lambda settings: me)
    return tmp_path


class Answer:
    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str], *arguments: str) -> None:
        self.status = run("gatepost", ["route", "-c", str(folder), *arguments])
        self.out, self.err = capsys.readouterr()
        self.folder = folder

    def value(self, what: str) -> str:
        """`value  [origin]` of the first line about this."""
        start = f"{what}: "
        for line in self.out.replace(str(self.folder), "DIR").splitlines():
            if line.strip().startswith(start):
                return line.strip().removeprefix(start)
        raise AssertionError(self.out + self.err)


def ask(folder: Path, capsys: pytest.CaptureFixture[str], *arguments: str) -> Answer:
    return Answer(folder, capsys, *arguments)


def test_relay_host_and_limits(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answer = ask(folder, capsys, "joe@some.example")
    assert answer.status == 0
    assert answer.value("class") == "default  [no list of domains has it]"
    assert answer.value("transport") == "smtp  [default_transport (default)]"
    assert answer.value("next hop") == "[hub.example]  [relayhost (DIR/main.cf, line 5)]"
    assert answer.value("deliveries at a time, all destinations together") == "33  [DIR/master.cf, line 4]"
    own = "7  [smtp_destination_concurrency_limit (DIR/main.cf, line 16)]"
    assert answer.value("deliveries at a time to one destination") == own
    assert answer.value("recipients per delivery") == "50  [default_destination_recipient_limit (default)]"
    rate = (
        "10/s  [gatepost_destination_rates (DIR/main.cf, line 15), inline:{ { hub.example = 10/s } }, key hub.example]"
    )
    assert answer.value("deliveries per time") == rate
    schedule = "7m  [gatepost_retry_schedule_maps (DIR/main.cf, line 14), texthash:DIR/retry, key [hub.example], "
    assert answer.value("tried again after") == f"{schedule}DIR/retry, line 2]"
    assert answer.value("given up after") == "432000s  [bounce_queue_lifetime (default)]"


def test_aliases_and_tables_with_their_lines(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answer = ask(folder, capsys, "a@v.example", "--sender", "ann@x.example")
    assert answer.status == 0
    aliases = "[virtual_alias_maps (DIR/main.cf, line 8), texthash:DIR/virtual, key a@v.example, DIR/virtual, line 2]"
    assert answer.value("virtual alias") == f"one@rel.example, two@far.example  {aliases}".replace(", two", ",   two")
    assert answer.value("class") == "relay  [relay_domains (DIR/main.cf, line 6), item rel.example]"
    assert answer.value("recipient two@far.example") == "delivered"
    second = answer.out.replace(str(folder), "DIR").partition("recipient two@far.example")[2]
    entry = "[transport_maps (DIR/main.cf, line 11), texthash:DIR/transport, key far.example, DIR/transport, line 1]"
    assert f"next hop: [x.far.example], [y.far.example]  {entry}\n" in second
    assert "tried again after: 5m 10m 1h; expire 2d  [" in second and "given up after" not in second
    filtered = "what comes in by 127.0.0.1:2526 goes to a filter first: scan:rel.example"
    assert f"{filtered}  [content_filter ({folder}/master.cf, line 2)]\n" in answer.out


def test_nobody_in_a_virtual_alias_domain(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answer = ask(folder, capsys, "who@v.example")
    assert answer.value("class") == "virtual alias  [virtual_alias_domains (DIR/main.cf, line 7), item v.example]"
    assert answer.value("transport") == "error  [virtual_alias_maps (DIR/main.cf, line 8)]"
    told = "5.1.1 User unknown in virtual alias table  [virtual_alias_maps (DIR/main.cf, line 8)]"
    assert answer.value("next hop") == told


def test_canonical_address(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answer = ask(folder, capsys, "from@far.example")
    origin = "[canonical_maps (DIR/main.cf, line 9), regexp:DIR/canonical, key from@far.example, DIR/canonical, line 2]"
    assert answer.value("canonical address") == f"to@far.example  {origin}"
    assert answer.value("recipient to@far.example") == "delivered"


@pytest.mark.parametrize("sender", ["s@x.example", "old@x.example"])
def test_the_sender_decides(sender: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answer = ask(folder, capsys, "--sender", sender, "joe@some.example")
    assert answer.value("next hop").startswith(
        "[other.example]:26  [sender_dependent_relayhost_maps (DIR/main.cf, line 12)"
    )
    assert answer.value("given up after") == "432000s  [maximal_queue_lifetime (default)]"
    other = ask(folder, capsys, "--sender", "t@x.example", "joe@some.example")
    assert other.value("transport").startswith("slow  [sender_dependent_default_transport_maps (DIR/main.cf, line 13)")
    assert other.value("next hop") == "[hub.example]  [relayhost (DIR/main.cf, line 5)]"


def test_a_rate_delay_makes_deliveries_single(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answer = ask(folder, capsys, "joe@slow.example")
    assert answer.value("next hop") == "slow.example  [the recipient's domain]"
    origin = "[slow_destination_rate_delay (DIR/main.cf, line 17)]"
    assert answer.value("deliveries at a time to one destination") == f"1  {origin}"
    assert answer.value("pause between deliveries to one destination") == f"2s  {origin}"
    assert answer.value("deliveries at a time, all destinations together") == "1  [DIR/master.cf, line 6]"


@pytest.mark.parametrize(
    ("address", "outcome", "status"),
    [
        ("joe@ours.example", "delivered", 0),
        ("joe@hole.example", "discarded", 0),
        ("joe@bad.example", "comes back", 67),
        ("b@v.example", "comes back", 67),
        ("who@v.example", "comes back", 67),
        ("joe@a..example", "comes back", 67),
        ("joe@off.example", "waits", 69),
        ("joe@later.example", "waits", 69),
        ("joe@none.example", "waits", 69),
    ],
)
def test_outcomes(address: str, outcome: str, status: int, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answer = ask(folder, capsys, address)
    assert (f": {outcome}\n" in answer.out, answer.status) == (True, status), answer.out


@pytest.mark.parametrize(
    ("before", "broken", "told"),
    [
        ("relayhost = [hub.example]", "relayhost = [hub.example]\nrelocated_maps = fail:moved", "relocated_maps"),
        ("texthash:{folder}/virtual", "fail:aliases", "virtual_alias_maps"),
        ("regexp:{folder}/canonical", "texthash:{folder}/missing", "canonical_maps"),
        ("texthash:{folder}/retry", "fail:retry", "gatepost_retry_schedule_maps"),
        ("relay_domains = rel.example", "relay_domains = fail:domains", "relay_domains"),
    ],
)
def test_a_table_that_cannot_be_asked(
    before: str, broken: str, told: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before, broken = before.format(folder=folder), broken.format(folder=folder)
    path = folder / "main.cf"
    path.write_text(path.read_text().replace(before, broken))
    answer = ask(folder, capsys, "joe@some.example")
    assert answer.status == 75, answer.out
    assert "cannot tell now: " in answer.out and told in answer.out, answer.out


def test_json(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answer = ask(folder, capsys, "--json", "a@v.example", "joe@bad.example")
    first, second = map(json.loads, answer.out.splitlines())
    assert answer.status == 67
    assert [one["recipient"] for one in first["deliveries"]] == ["one@rel.example", "two@far.example"]
    assert first["deliveries"][0]["outcome"] == "deliver" and second["deliveries"][0]["outcome"] == "bounce"
    transport = next(step for step in first["deliveries"][1]["steps"] if step["what"] == "transport")
    origin = transport["origin"]
    assert (origin["parameter"], origin["line"], origin["key"]) == ("transport_maps", 11, "far.example")
    assert (origin["table_path"], origin["table_line"]) == (f"{folder}/transport", 1)
    assert first["filters"][0]["transport"] == "scan"


def test_command_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ask(folder, capsys).status == 64
    assert ask(folder, capsys, "a b c@").status == 64
    assert ask(folder / "none", capsys, "a@b.example").status == 1
    (folder / "main.cf").write_text((folder / "main.cf").read_text() + "smtp_connect_timeout = soon\n")
    answer = ask(folder, capsys, "a@b.example")
    assert answer.status == 1 and "smtp_connect_timeout" in answer.err


def test_help_reads_like_a_manual_page(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run("gatepost", ["route", "--help"])
    out = capsys.readouterr().out
    for title in ("NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXIT STATUS"):
        assert f"{title}\n" in out
    assert "75: a" in out


def test_each_address_is_explained_in_full(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever was remembered of one with the same recipient or destination."""
    one, other = (ask(folder, capsys, "joe@some.example", again) for again in ("joe@some.example", "eve@other.example"))
    first, again = one.out.split("joe@some.example, from <>\n")[1:]
    assert first == again and "[relayhost (" in first
    assert other.status == 0 and other.out.count("deliveries per time: 10/s") == 2


def test_what_is_no_unicode_is_no_address(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answer = ask(folder, capsys, "--json", "b\udcff@far.example")
    assert answer.status == 64 and "not UTF-8" in answer.err


def test_undeliverable_notices_go_nowhere(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        "recipient double-bounce@far.example: discarded" in ask(folder, capsys, "Double-Bounce@far.example").out.lower()
    )
