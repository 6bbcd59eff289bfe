from hypothesis import given
from hypothesis import strategies as st

from gatepost.queue.chunks import CHUNK, ChunkState, decode_state, encode_state

POSITIONS = st.integers(0, CHUNK - 1)
MARKS = st.lists(
    st.one_of(
        st.tuples(st.just("done"), POSITIONS, st.just("")),
        st.tuples(st.just("deferred"), POSITIONS, st.sampled_from(["timeout", "full", "ä\0"])),
    )
)


def test_a_fresh_chunk_has_no_state() -> None:
    assert encode_state(ChunkState()) is None
    assert decode_state(None).open(3) == [0, 1, 2]


def test_recipients_share_a_reason() -> None:
    state = ChunkState()
    for position in range(CHUNK):
        state.mark_deferred(position, "4.4.1", "connection timed out")
    assert len(state.reasons) == 1
    assert len(encode_state(state) or "") < 80


@given(MARKS)
def test_marks_are_kept(marks: list[tuple[str, int, str]]) -> None:
    state = ChunkState()
    done: set[int] = set()
    reasons: dict[int, tuple[str, str]] = {}
    for act, position, text in marks:
        if act == "done":
            state.mark_done(1 << position)
            done.add(position)
        else:
            state.mark_deferred(position, "4.0.0", text)
            reasons[position] = ("4.0.0", text)
    state = decode_state(encode_state(state))
    assert state.open(CHUNK) == [position for position in range(CHUNK) if position not in done]
    # A reason that comes after the end, which nobody gives, is not shown.
    assert dict(state.waiting()) == {position: pair for position, pair in reasons.items() if position not in done}
