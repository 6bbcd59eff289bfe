from tests.restrictions.world import ACCESS_DENIED, ALICE, TRY_LATER, World, answers, stranger


async def test_codes() -> None:
    assert await answers("smtpd_recipient_restrictions = reject", ALICE) == [ACCESS_DENIED]
    assert await answers("smtpd_recipient_restrictions = reject\nreject_code = 421", ALICE) == [
        ACCESS_DENIED.replace("554 5", "421 4")
    ]
    assert await answers("smtpd_recipient_restrictions = defer", ALICE) == [TRY_LATER]
    assert await answers("smtpd_recipient_restrictions = defer\ndefer_code = 550", ALICE) == [
        TRY_LATER.replace("450 4", "550 5")
    ]


async def test_sleep() -> None:
    world = World("smtpd_recipient_restrictions = sleep 3, reject")
    assert await world.rcpt(stranger(), ALICE) == ACCESS_DENIED
    assert world.slept == [3]


async def test_pipelining() -> None:
    text = "503 5.5.0 <stranger.example[80.62.116.127]>: Client host rejected: Improper use of SMTP command pipelining"
    main_cf = "smtpd_client_restrictions = reject_unauth_pipelining"
    assert await answers(main_cf, ALICE) == ["OK"]
    assert await answers(main_cf, ALICE, facts=stranger(sent_ahead=True)) == [text]
