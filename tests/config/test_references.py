from gatepost.config.main_cf import MainCf
from gatepost.config.references import restriction_classes, undefined_names


def test_restriction_classes_are_expanded() -> None:
    main = MainCf.parse(b"smtpd_restriction_classes = a, $more\nmore = b\n", "main.cf")
    assert restriction_classes(main.settings) == {"a", "b"}


def test_undefined_names() -> None:
    main = MainCf.parse(b"a = $b ${c?d} $myhostname $a\n", "main.cf")
    assert undefined_names(main.settings, []) == [("main.cf", "b")]
