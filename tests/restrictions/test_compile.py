import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatepost.config.errors import ConfigError
from gatepost.restrictions.registry import REMOVED, registered
from tests.restrictions.world import ACCESS_DENIED, ALICE, NOBODY, SERVER_ERROR, World, answers, stranger

PROTECTION = (
    "in parameter smtpd_relay_restrictions or smtpd_recipient_restrictions, specify at least one working instance of: "
    "reject_unauth_destination, defer_unauth_destination, reject, defer, defer_if_permit or check_relay_domains"
)


@pytest.mark.parametrize(
    "main_cf",
    [
        "smtpd_relay_restrictions = ",
        "smtpd_relay_restrictions = permit, reject",
        "smtpd_relay_restrictions = warn_if_reject reject",
        "smtpd_relay_restrictions = Reject",
        "smtpd_relay_restrictions = c\nsmtpd_restriction_classes = c\nc = permit_mynetworks, c",
        "smtpd_relay_restrictions = c\nsmtpd_restriction_classes = c\nc = permit, reject",
        "smtpd_relay_restrictions = c\nc = reject",
        "compatibility_level = 0",
    ],
)
def test_no_open_relay_starts(main_cf: str) -> None:
    with pytest.raises(ConfigError) as caught:
        World(main_cf)
    assert str(caught.value) == PROTECTION


@pytest.mark.parametrize(
    "main_cf",
    [
        "smtpd_relay_restrictions = reject",
        "smtpd_relay_restrictions = \nsmtpd_recipient_restrictions = permit_mynetworks defer_if_permit permit",
        "smtpd_relay_restrictions = warn_if_reject reject reject_unauth_destination",
        "smtpd_relay_restrictions = c, permit\nsmtpd_restriction_classes = d, c\nc = d\nd = defer",
        "smtpd_relay_restrictions = check_relay_domains",
    ],
)
def test_protected_hosts_start(main_cf: str) -> None:
    World(main_cf)


def test_a_class_needs_a_definition() -> None:
    with pytest.raises(ConfigError, match="restriction class `c' needs a definition"):
        World("smtpd_restriction_classes = c")


async def test_names_in_any_case_classes_as_they_are() -> None:
    classes = "smtpd_restriction_classes = cls\ncls = Permit\n"
    assert await answers(classes + "smtpd_recipient_restrictions = cls REJECT", ALICE) == ["OK"]
    assert await answers(classes + "smtpd_recipient_restrictions = CLS reject", ALICE) == [SERVER_ERROR]
    assert await answers("smtpd_recipient_restrictions = REJECT", ALICE) == [ACCESS_DENIED]


@pytest.mark.parametrize(
    ("item", "warning"),
    [
        ("bogus", 'unknown smtpd restriction: "bogus"'),
        (
            "check_client_access",
            'restriction check_client_access: bad argument "check_client_access": need maptype:mapname',
        ),
        ("check_client_access foo", 'restriction check_client_access: bad argument "foo": need maptype:mapname'),
        ("sleep x", "restriction sleep must be followed by number"),
        ("sleep", "restriction sleep must be followed by number"),
        ("check_policy_service", "restriction check_policy_service must be followed by transport:server"),
        (
            "check_relay_domains",
            'support for restriction "check_relay_domains" has been removed in Postfix 3.9; '
            'instead, specify "permit_mynetworks, reject_unauth_destination"',
        ),
    ],
)
async def test_what_cannot_be_evaluated(item: str, warning: str) -> None:
    world = World(f"smtpd_recipient_restrictions = warn_if_reject {item}")
    assert await world.rcpt(stranger(), ALICE) == SERVER_ERROR
    assert world.take_log() == [
        f"warning: {warning}",
        "NOQUEUE: reject: RCPT from stranger.example[80.62.116.127]: 451 4.3.5 Server configuration error; "
        "from=<a@client.example> to=<alice@ours.example> proto=SMTP helo=<client.example>",
    ]


@pytest.mark.parametrize("name", sorted(REMOVED))
async def test_removed_names_answer_451_and_are_told_of(name: str) -> None:
    world = World(f"smtpd_client_restrictions = permit_mynetworks {name}, reject")
    assert await world.rcpt(stranger(), ALICE) == SERVER_ERROR
    assert [parameter for parameter, _ in world.policy.problems()] == ["smtpd_client_restrictions"]


def test_problems_are_told_at_load() -> None:
    world = World(
        "smtpd_recipient_restrictions = reject_unauth_destination, permit, c\n"
        "smtpd_helo_restrictions = nonsense, check_helo_access nosuch:table\n"
        "smtpd_sender_restrictions = warn_if_reject reject, permit_mynetworks, reject\n"
        "smtpd_restriction_classes = c\nc = sleep 1, reject_rbl_client dnsbl.example=1.2.3, other"
    )
    assert world.policy.problems() == [
        ("c", 'reject_rbl_client dnsbl.example=1.2.3: need "." at "1.2.3><"'),
        ("c", 'unknown smtpd restriction: "other"'),
        ("smtpd_helo_restrictions", 'unknown smtpd restriction: "nonsense"'),
        ("smtpd_helo_restrictions", "nosuch:table is unavailable: unsupported dictionary type: nosuch"),
        ("smtpd_recipient_restrictions", "restriction `c' after `permit' is ignored"),
    ]


async def test_a_bare_table_means_the_stage_s_own_access_check() -> None:
    table = "inline:{{80.62=reject C}, {client.example=reject D}, {a@client.example=reject S}, {alice@=reject R}}"
    assert await answers(f"smtpd_client_restrictions = {table}", ALICE) == [
        "554 5.7.1 <stranger.example[80.62.116.127]>: Client host rejected: C"
    ]
    assert await answers(f"smtpd_helo_restrictions = {table}", ALICE) == [
        "554 5.7.1 <client.example>: Helo command rejected: D"
    ]
    assert await answers(f"smtpd_sender_restrictions = {table}", ALICE) == [
        "554 5.7.1 <a@client.example>: Sender address rejected: S"
    ]
    assert await answers(f"smtpd_recipient_restrictions = {table}", ALICE) == [
        "554 5.7.1 <alice@ours.example>: Recipient address rejected: R"
    ]
    classes = f"smtpd_restriction_classes = c\nc = {table}\n"
    assert await answers(f"{classes}smtpd_client_restrictions = c", ALICE) == [
        "554 5.7.1 <stranger.example[80.62.116.127]>: Client host rejected: C"
    ]


async def test_data_lists_have_no_access_check_of_their_own() -> None:
    world = World("smtpd_data_restrictions = inline:{a=b}")
    reply = await world.policy.data(stranger())
    assert reply is not None and reply.line() == SERVER_ERROR
    assert world.take_log()[0] == (
        "warning: specify one of (check_client_access, check_reverse_client_hostname_access, check_helo_access, "
        'check_sender_access, check_recipient_access, check_etrn_access) before Data command restriction "inline:{a=b}"'
    )


async def test_what_follows_a_final_item_is_ignored_and_told() -> None:
    ignored = "warning: restriction `reject' after `permit' is ignored"
    for text in ("permit reject", "PERMIT reject", "warn_if_reject permit reject"):
        world = World(f"smtpd_recipient_restrictions = {text}")
        assert await world.rcpt(stranger(), ALICE) == "OK"
        assert world.take_log() == [ignored]
    world = World("smtpd_recipient_restrictions = reject permit")
    assert await world.rcpt(stranger(), ALICE) == ACCESS_DENIED
    assert world.take_log()[1:] == ["warning: restriction `permit' after `reject' is ignored"]
    world = World("smtpd_recipient_restrictions = warn_if_reject reject permit")
    assert await world.rcpt(stranger(), ALICE) == "OK"
    assert len(world.take_log()) == 1


async def test_a_class_that_names_itself_comes_to_an_end() -> None:
    main_cf = "smtpd_restriction_classes = c\nc = sleep 0, c\nsmtpd_recipient_restrictions = c"
    assert await answers(main_cf, ALICE) == [SERVER_ERROR]


_WORDS = [entry.name for entry in registered()] + [alias for entry in registered() for alias in entry.aliases]
_ITEM = st.sampled_from([*_WORDS, *REMOVED, "warn_if_reject", "cls", "inline:{a=b}", "{", "}", ":", "hash:", "7"])
_LIST = st.one_of(st.lists(_ITEM, max_size=8).map(" ".join), st.text(st.characters(exclude_categories=["Cs", "Cc"])))


@settings(max_examples=150, deadline=None)
@given(_LIST, _LIST, st.sampled_from(["client", "helo", "sender", "relay", "recipient"]))
async def test_any_list_compiles_and_answers(text: str, in_class: str, stage: str) -> None:
    text, in_class = text.replace("$", ""), in_class.replace("$", "")
    main_cf = f"smtpd_{stage}_restrictions = {text}\nsmtpd_restriction_classes = cls\ncls = {in_class}"
    try:
        world = World(main_cf)
    except ConfigError:
        return
    for recipient in (ALICE, NOBODY):
        reply = await world.rcpt(stranger(), recipient)
        assert reply == "OK" or reply[0] in "45"
