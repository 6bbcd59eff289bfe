from gatepost.bounce.template import ALL


def test_all_end_with_the_signature() -> None:
    for template in ALL:
        assert template.text.endswith("\n\n                   The mail system\n")
        assert template.text.startswith("This is the mail system at host $myhostname.\n\n")
