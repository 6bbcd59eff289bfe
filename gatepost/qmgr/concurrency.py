"""How many deliveries may go to one destination at a time (Postfix SCHEDULER_README, "Concurrency scheduling").

A destination's window grows when deliveries complete without connection or handshake failure and shrinks when they do
not. Feedback below 1 gathers until it makes a whole step: growth comes at the end of a sequence of successes,
shrinking at the beginning of a sequence of failures. A pseudo-cohort is as many deliveries as the window is large;
when enough of them failed, without a success between, the destination is dead for a while.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from gatepost.config.master_cf import Service
from gatepost.config.settings import Settings
from gatepost.config.values import split_list

# Sums of fractions such as 1/3 must reach 1 in spite of rounding.
_ROUNDING = 1e-6

Per = Literal["", "concurrency", "sqrt_concurrency"]


@dataclass(frozen=True, slots=True)
class Feedback:
    """The amount of feedback per delivery, 0 to 1, divided by the window, its square root, or nothing."""

    amount: float = 1.0
    per: Per = ""

    def at(self, window: int) -> float:
        if not self.per:
            return self.amount
        return self.amount / (window if self.per == "concurrency" else math.sqrt(window))


def parse_feedback(text: str) -> Feedback:
    """`number`, `number / number`, `number / concurrency` or `number / sqrt_concurrency`; else ValueError."""
    amount_text, slash, divisor = (part.strip() for part in text.partition("/"))
    amount = float(amount_text)
    if divisor == "concurrency" or divisor == "sqrt_concurrency":
        feedback = Feedback(amount, "concurrency" if divisor == "concurrency" else "sqrt_concurrency")
    elif not slash:
        feedback = Feedback(amount)
    else:
        number = float(divisor)
        if not number > 0:
            raise ValueError(f"{text}: the divisor must be positive")
        feedback = Feedback(amount / number)
    if not 0 <= feedback.amount <= 1:
        raise ValueError(f"{text}: feedback must be in the range 0 to 1")
    return feedback


@dataclass(frozen=True, slots=True)
class TransportParameters:
    """What the scheduler must know of a transport. Limits of 0 are none, times are seconds.

    `concurrency_limit`, `recipient_limit`, `rate_delay`, the feedbacks and `failed_cohort_limit` are those of
    TRANSPORT_destination_...; `process_limit` is maxproc of master.cf; `dead_time` is minimal_backoff_time,
    `sick_time` how long a destination that was dead is remembered (after that, its mail was tried again);
    `deferred`: the transport is in defer_transports; `missing`: master.cf has no such transport, which is told of each
    `retry_time` (transport_retry_time); `slot_cost`, `slot_loan`, `slot_discount` (in percent) and
    `minimum_slots` rule preemption: TRANSPORT_delivery_slot_... and TRANSPORT_minimum_delivery_slots; `memory_limit`,
    `extra_memory_limit`, `refill_limit` and `refill_delay` rule how many recipients are in memory:
    TRANSPORT_recipient_limit, _extra_recipient_limit, _recipient_refill_limit and _recipient_refill_delay.
    """

    process_limit: int = 100
    concurrency_limit: int = 20
    initial_concurrency: int = 5
    recipient_limit: int = 50
    positive_feedback: Feedback = Feedback()
    negative_feedback: Feedback = Feedback()
    failed_cohort_limit: float = 1
    rate_delay: float = 0
    transport_rate_delay: float = 0
    dead_time: float = 300
    sick_time: float = 4600
    deferred: bool = False
    retry_time: float = 60
    missing: bool = False
    slot_cost: int = 5
    slot_loan: int = 3
    slot_discount: int = 50
    minimum_slots: int = 3
    memory_limit: int = 20_000
    extra_memory_limit: int = 1000
    refill_limit: int = 100
    refill_delay: float = 5

    def __post_init__(self) -> None:
        if self.rate_delay > 0:
            # The delay is between the end of one delivery and the start of the next.
            object.__setattr__(self, "concurrency_limit", 1)
        if 0 < self.concurrency_limit < self.initial_concurrency:
            object.__setattr__(self, "initial_concurrency", self.concurrency_limit)


def transport_parameters(settings: Settings, services: Mapping[str, Service], transport: str) -> TransportParameters:
    """The parameters of a transport; one without a line in master.cf has the defaults. Raises ConfigError."""
    value = settings.transport
    service = services.get(transport)
    maxproc = service.maxproc if service else None
    return TransportParameters(
        process_limit=settings.default_process_limit if maxproc is None else maxproc,
        concurrency_limit=value(transport, "destination_concurrency_limit"),
        initial_concurrency=value(transport, "initial_destination_concurrency"),
        recipient_limit=value(transport, "destination_recipient_limit"),
        positive_feedback=parse_feedback(value(transport, "destination_concurrency_positive_feedback")),
        negative_feedback=parse_feedback(value(transport, "destination_concurrency_negative_feedback")),
        failed_cohort_limit=value(transport, "destination_concurrency_failed_cohort_limit"),
        rate_delay=value(transport, "destination_rate_delay"),
        transport_rate_delay=value(transport, "transport_rate_delay"),
        dead_time=settings.minimal_backoff_time,
        sick_time=settings.minimal_backoff_time + settings.maximal_backoff_time + settings.queue_run_delay,
        deferred=transport in split_list(settings.defer_transports),
        retry_time=settings.transport_retry_time,
        missing=bool(services) and service is None,
        slot_cost=value(transport, "delivery_slot_cost"),
        slot_loan=value(transport, "delivery_slot_loan"),
        slot_discount=value(transport, "delivery_slot_discount"),
        minimum_slots=value(transport, "minimum_delivery_slots"),
        memory_limit=value(transport, "recipient_limit"),
        extra_memory_limit=value(transport, "extra_recipient_limit"),
        refill_limit=value(transport, "recipient_refill_limit"),
        refill_delay=value(transport, "recipient_refill_delay"),
    )


class Window:
    """The concurrency window of one destination, `size` deliveries wide; `busy` of them are under way.

    A dead destination has `size` 0.
    """

    __slots__ = ("busy", "failed_cohorts", "failure", "size", "success")

    def __init__(self, parameters: TransportParameters) -> None:
        self.size = parameters.initial_concurrency
        self.busy = 0
        self.success = 0.0
        self.failure = 0.0
        self.failed_cohorts = 0.0

    def succeeded(self, parameters: TransportParameters) -> None:
        """A delivery, which still counts as busy, ended without connection or handshake failure."""
        self.failed_cohorts = 0.0
        size = self.size
        limit = parameters.concurrency_limit
        if size >= limit > 0:
            return
        if not size:
            self.revive(parameters)
            return
        # The window keeps near what is in use, or negative feedback would come to bear too late.
        if size >= self.busy + parameters.initial_concurrency:
            return
        feedback = parameters.positive_feedback.at(size)
        self.success += feedback
        # Half a step is rounded up, as Postfix does.
        while self.success + feedback / 2 >= 1:
            self.size += 1
            self.success -= 1
            self.failure = 0.0
        if self.size > limit > 0:
            self.size = limit

    def failed(self, parameters: TransportParameters) -> bool:
        """A delivery, which still counts as busy, met a connection or handshake failure; whether that is the end."""
        size = self.size
        if not size:
            return False
        self.failed_cohorts += 1 / size
        if 0 < parameters.failed_cohort_limit <= self.failed_cohorts + _ROUNDING:
            self.size = 0
            return True
        feedback = parameters.negative_feedback.at(size)
        self.failure -= feedback
        while self.failure - feedback / 2 < 0:
            self.size -= 1
            self.success = 0.0
            self.failure += 1
        self.size = max(self.size, 1)
        return False

    def revive(self, parameters: TransportParameters) -> None:
        """The destination was dead and is given another chance: the best concurrency is anyone's guess."""
        self.size = self.busy or parameters.initial_concurrency
        self.success = self.failure = self.failed_cohorts = 0.0
