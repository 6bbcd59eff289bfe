"""The sender of probes. Stamps and their validity as Postfix 3.7.11's verify(8) and smtpd(8) have them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.mail.probe_sender import DIGITS, ProbeSender, stamp

NOW = 1_795_371_900


def completed(address: str) -> str:
    return address if "@" in address else f"{address}@ours.example"


def test_a_sender_that_never_changes() -> None:
    sender = ProbeSender("double-bounce", 0, completed)
    assert sender.at(0) == sender.at(NOW) == "double-bounce@ours.example"
    assert sender.is_valid("Double-Bounce@OURS.example", NOW)
    assert not sender.is_valid("double-bounce@other.example", NOW) and not sender.is_valid("", NOW)


@pytest.mark.parametrize("address", ["", "<>"])
def test_the_null_sender_never_changes(address: str) -> None:
    sender = ProbeSender(address, 1000, completed)
    assert sender.null and sender.at(NOW) == ""
    assert sender.is_valid("", NOW) and not sender.is_valid("double-bounce@ours.example", NOW)


@pytest.mark.parametrize("address", ["Verify@ours.example", "Verify"])
def test_a_sender_that_changes(address: str) -> None:
    sender = ProbeSender(address, 1000, completed)
    assert not sender.null
    assert sender.at(NOW) == "Verify1Y876@ours.example"
    for good in ("Verify1Y876@ours.example", "VERIFY1Y875@OURS.example", "verify01Y877@ours.example"):
        assert sender.is_valid(good, NOW)
    for bad in (
        "verify1Y874@ours.example",
        "verify1Y878@ours.example",
        "verify1y876@ours.example",  # the stamp's case counts
        "verify1Y876@other.example",
        "verify1Y876x@ours.example",
        "verify@ours.example",
        "1Y876@ours.example",
        "verify1Y876",
        "",
    ):
        assert not sender.is_valid(bad, NOW)


@given(st.integers(0, 1 << 40))
def test_stamps_are_numbers_in_base_31(epoch: int) -> None:
    value = 0
    for char in stamp(epoch):
        value = value * 31 + DIGITS.index(char)
    assert value == epoch


@given(st.text(max_size=40))
def test_any_address_can_be_asked_about(address: str) -> None:
    assert not ProbeSender("v", 10, completed).is_valid(address + "@", NOW)
