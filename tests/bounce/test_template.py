from gatepost.bounce.template import DELAY, FAILURE, SUCCESS, VERIFY, filled


def test_names_are_filled_in() -> None:
    text = filled(DELAY.text, "mail.ours.example", 5400, 600000)
    assert "for more than 1 hour(s).\nIt will be retried until it is 6 day(s) old.\n" in text
    assert text.startswith("This is the mail system at host mail.ours.example.\n\n####")


def test_all_end_with_the_signature() -> None:
    for template in (FAILURE, DELAY, SUCCESS, VERIFY):
        text = filled(template.text, "h", 0, 0)
        assert text.endswith("\n\n                   The mail system\n")
        assert "$" not in text
