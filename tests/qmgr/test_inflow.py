from gatepost.qmgr.inflow import InFlow


def test_changes_are_told_and_what_an_operator_should_know_is_logged() -> None:
    log: list[str] = []
    told: list[tuple[bool, bool]] = []
    flow = InFlow(lambda text: log.append(f"warning: {text}"), log.append)
    flow.active_full(False)
    flow.active_full(True)
    flow.listener = lambda behind, full: told.append((behind, full))
    flow.active_full(True)
    assert told == [] and flow.full
    flow.writer_behind(True, 2001, 300)
    flow.active_full(False)
    flow.writer_behind(False, 10, 20)
    assert told == [(True, True), (True, False), (False, False)]
    assert log == [
        "warning: the queue's disk is slow: 2001 messages (300 octets) wait to be written; new mail has to wait",
        "the queue's disk has caught up: new mail is taken in again",
    ]
