"""Recipients in chunks of 100, and what became of them: which are done, which wait and why.

A state is kept per chunk as JSON: `[done, [[dsn, text, who], ...]]`, where `done` and `who` are bitmaps (bit 0 is the
chunk's first recipient). Recipients that share a reason share its text. No state at all means: all open, none tried.
"""

from collections.abc import Iterator

import msgspec

CHUNK = 100
"""Recipients per chunk."""


class Reason(msgspec.Struct, array_like=True):
    """Why the recipients in the bitmap `who` wait."""

    dsn: str
    text: str
    who: int


class ChunkState(msgspec.Struct, array_like=True):
    """What became of one chunk's recipients; methods take positions within the chunk as bitmaps or numbers."""

    done: int = 0
    reasons: list[Reason] = msgspec.field(default_factory=list)

    def mark_done(self, who: int) -> None:
        """These need no further attempt: they leave their reasons."""
        self.done |= who
        self._forget_reasons(who)

    def mark_deferred(self, position: int, dsn: str, text: str) -> None:
        """This one waits, for this reason only."""
        who = 1 << position
        self._forget_reasons(who)
        for reason in self.reasons:
            if reason.text == text and reason.dsn == dsn:
                reason.who |= who
                return
        self.reasons.append(Reason(dsn, text, who))

    def open(self, count: int) -> list[int]:
        """Positions of the recipients that are not done, of the chunk's `count`."""
        if not self.done:
            return list(range(count))
        return [position for position in range(count) if not self.done >> position & 1]

    def waiting(self) -> Iterator[tuple[int, tuple[str, str]]]:
        """Position, and (DSN, text), of each recipient that has a reason and is not done."""
        for reason in self.reasons:
            pair = (reason.dsn, reason.text)
            who = reason.who & ~self.done
            while who:
                lowest = who & -who
                yield lowest.bit_length() - 1, pair
                who ^= lowest

    def _forget_reasons(self, who: int) -> None:
        if self.reasons:
            for reason in self.reasons:
                reason.who &= ~who
            self.reasons = [reason for reason in self.reasons if reason.who]


_decoder = msgspec.json.Decoder(ChunkState)
_encoder = msgspec.json.Encoder()


def decode_state(text: str | None) -> ChunkState:
    """A stored state; raises msgspec.DecodeError or msgspec.ValidationError when it is damaged."""
    return _decoder.decode(text) if text else ChunkState()


def encode_state(state: ChunkState) -> str | None:
    """The text to store; None for the state of a fresh chunk."""
    return _encoder.encode(state).decode() if state.done or state.reasons else None
