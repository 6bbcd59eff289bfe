from gatepost.net.company import AT_A_TIME, IN_A_ROW, Company


def test_several_at_a_time_in_a_row() -> None:
    company = Company()
    for number in range(IN_A_ROW):
        company.came(1.0 + number * AT_A_TIME / 2)
        assert not company.expected
    company.came(1.0 + IN_A_ROW * AT_A_TIME / 2)
    assert company.expected


def test_one_that_comes_later_begins_a_new_row() -> None:
    company = Company()
    for moment in (1.0, 2.0, 3.0):
        for _ in range(IN_A_ROW):
            company.came(moment)
    assert not company.expected


def test_the_same_one_again_is_no_company() -> None:
    company = Company()
    for _ in range(2 * IN_A_ROW):
        company.came(1.0, another=False)
    assert not company.expected


def test_alone_several_times_in_a_row() -> None:
    company = Company()
    company.expected = True
    for had in (False,) * (IN_A_ROW - 1) + (True,) + (False,) * (IN_A_ROW - 1):
        company.had(had)
        assert company.expected
    company.had(False)
    assert not company.expected
    company.came(1.0)
    assert not company.expected
