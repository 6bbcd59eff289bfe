"""When a deferred message is tried again, when its sender is warned, and when it is given up (qmgr(8), postconf(5)).

Pure arithmetic on wall-clock seconds.
"""

from dataclasses import dataclass

from gatepost.config.settings import Settings
from gatepost.mail.envelope import Message


@dataclass(frozen=True, slots=True)
class Backoff:
    """The parameters of the same names, in seconds; `delay_warning_time` 0: senders are not warned."""

    minimal_backoff_time: float = 300
    maximal_backoff_time: float = 4000
    maximal_queue_lifetime: float = 5 * 86400
    bounce_queue_lifetime: float = 5 * 86400
    delay_warning_time: float = 0

    @classmethod
    def from_settings(cls, settings: Settings) -> "Backoff":
        """Raises ConfigError for a bad value."""
        return cls(
            settings.minimal_backoff_time,
            settings.maximal_backoff_time,
            settings.maximal_queue_lifetime,
            settings.bounce_queue_lifetime,
            settings.delay_warning_time,
        )

    def next_attempt(self, message: Message, now: float) -> float:
        """The message waits as long again as it has been in the queue, within the two limits.

        So the delays double, and messages that came at different times are tried at different times.
        """
        delay = min(now - message.arrival, self.maximal_backoff_time)
        # The minimum wins if the limits are crossed; and if the clock was set back to before the arrival.
        return now + max(delay, self.minimal_backoff_time)

    def expired(self, message: Message, now: float) -> bool:
        """Whether a message that is deferred now is given up instead. A lifetime of 0 means a single attempt."""
        lifetime = self.maximal_queue_lifetime if message.sender else self.bounce_queue_lifetime
        return now >= message.arrival + lifetime

    def warning_due(self, message: Message, now: float) -> bool:
        """Whether a delay notice goes out now. Bounces, which nobody waits for, get none."""
        if not self.delay_warning_time or message.warn_sent or not message.sender:
            return False
        return now >= message.arrival + self.delay_warning_time
