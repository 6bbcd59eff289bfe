"""What the scheduler says of itself in the log: feedback for analysts, clogged destinations for operators.

The sentences are Postfix's, so that they are found where others have asked about them.
"""

from collections.abc import Callable

from gatepost.config.settings import Settings
from gatepost.qmgr.concurrency import Feedback, TransportParameters
from gatepost.qmgr.jobs import UNLIMITED, Destination
from gatepost.qmgr.suspended import CRASHED, Reason

Say = Callable[[str], None]

_KINDS = {"": 0, "concurrency": 1, "sqrt_concurrency": 2}


def transport_failure(name: str, reason: Reason) -> str:
    """Why the transport is left alone for a while."""
    if reason == CRASHED:
        cause = "see a previous warning/fatal/panic logfile record for the problem description"
        return f"transport {name} failure -- {cause}"
    return f"connect to transport private/{name}: Connection refused"


class FeedbackLog:
    """destination_concurrency_feedback_debug: every step of every window."""

    def __init__(self, settings: Settings, info: Say) -> None:
        self._settings = settings
        self._info = info

    def transport(self, name: str, parameters: TransportParameters) -> None:
        """A transport is used for the first time."""
        self._parameter(name, "positive", parameters.positive_feedback, parameters.initial_concurrency)
        self._parameter(name, "negative", parameters.negative_feedback, parameters.initial_concurrency)

    def _parameter(self, transport: str, sign: str, feedback: Feedback, window: int) -> None:
        parameter = f"{transport}_destination_concurrency_{sign}_feedback"
        if not self._settings.defined(parameter):
            parameter = f"default_destination_concurrency_{sign}_feedback"
        kind = _KINDS[feedback.per]
        self._info(f"{transport}: {parameter} feedback type {kind} value at {window}: {feedback.at(window):g}")

    def finished(self, destination: Destination, window: int, failed: bool) -> None:
        """A delivery ended; `window` is what it was before."""
        parameters = destination.transport.parameters
        place = "qmgr_queue_throttle" if failed else "qmgr_queue_unthrottle"
        limit = parameters.concurrency_limit
        if failed:
            given = window and destination.size
        else:
            given = window and not 0 < limit <= window and window < destination.busy + parameters.initial_concurrency
        if given:
            feedback = parameters.negative_feedback if failed else parameters.positive_feedback
            self._info(f"{place}: feedback {feedback.at(window):g}")
        self._info(
            f"{place}: queue {destination.name}: limit {limit} window {destination.size}"
            f" success {destination.success:g} failure {destination.failure:g}"
            f" fail_cohorts {destination.failed_cohorts:g}"
        )


class ClogWarnings:
    """A destination whose mail takes up a fifth of the active queue is told of, each qmgr_clog_warn_time seconds.

    `active` counts the messages of the active queue.
    """

    def __init__(self, settings: Settings, warn: Say) -> None:
        self.active: Callable[[], int] = lambda: 0
        self._warn = warn
        self._interval = settings.qmgr_clog_warn_time
        self._limit = settings.qmgr_message_active_limit
        wanted = settings.helpful_warnings and self._interval > 0
        # So many messages, waiting and under way, are not worth a word.
        self.harmless = self._limit // 5 if wanted else UNLIMITED

    def clogged(self, destination: Destination, now: float) -> None:
        """More than `harmless` messages are for this one."""
        if now < destination.warn_at:
            return
        destination.warn_at = now + self._interval
        length, active = destination.waiting + destination.busy, self.active()
        warn, transport = self._warn, destination.transport
        limit = transport.parameters.concurrency_limit
        warn(f"mail for {destination.name} is using up {length} of {active} active queue entries")
        if length < 0.9 * active:
            warn("this may slow down other mail deliveries")
        if 0 < limit <= destination.busy + 1:
            warn(f"you may need to increase the main.cf {transport.name}_destination_concurrency_limit from {limit}")
        elif destination.size > self._limit:
            warn(f"you may need to increase the main.cf qmgr_message_active_limit from {self._limit}")
        elif len(transport.destinations) > 1:
            warn(f"you may need a separate master.cf transport for {destination.name}")
        else:
            warn(f"you may need to reduce {transport.name} connect and helo timeouts")
            warn("so that Postfix quickly skips unavailable hosts")
            warn("you may need to increase the main.cf minimal_backoff_time and maximal_backoff_time")
            warn("so that Postfix wastes less time on undeliverable mail")
            warn(f"you may need to increase the master.cf {transport.name} process limit")
        warn("please avoid flushing the whole queue when you have")
        warn("lots of deferred mail, that is bad for performance")
        warn("to turn off these warnings specify: qmgr_clog_warn_time = 0")
