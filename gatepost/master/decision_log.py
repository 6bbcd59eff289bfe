"""What a worker keeps of its refusals, so that `gatepost explain` can tell of them later (gatepost_decision_log).

Mail that is accepted costs nothing. A refusal is gone through once more, with notes, when the client has its answer;
under a flood of them only so many in a second, and of the others the answer alone is kept.
"""

import asyncio
import os
import time
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from gatepost.audit.explain.decision_files import Decision, DecisionFiles, frame
from gatepost.audit.explain.replay import Replay, asked_of, kept_facts
from gatepost.audit.place import where_set
from gatepost.config.configuration import Configuration
from gatepost.config.master_cf import Service
from gatepost.config.settings import Settings
from gatepost.restrictions.evaluate import AccessPolicy
from gatepost.restrictions.facts import SessionFacts

DIRECTORY = "decisions"
"""In gatepost_queue_directory."""

KEPT = frozenset(("reject", "hold", "discard", "filter", "redirect"))
"""Decisions that somebody may ask about later, by their words in the log."""

DELAY = 0.05
"""Seconds for which decisions wait for others to be written with."""

EXPLAINED = 20
"""In a second, by one process: with the events. Of more the answers are kept."""

WAITING = 1000
"""Decisions that are not written yet; more are not kept."""

PATIENCE = 1.0
"""Seconds for finding out the reasons of one: name service may not have kept what it could not tell."""

CLOSING = 3.0
"""Seconds that the end of a process waits for what is not written yet."""

BATCH = 16 * 1024
"""Octets that are written at once."""


_OWN_FAILURE = "451 4.3."


def configuration_values(configuration: Configuration) -> dict[str, dict[str, str]]:
    """What main.cf and master.cf say, for comparison later."""
    return {
        "main.cf": {name: setting.value for name, setting in sorted(configuration.main.settings.items())},
        "master.cf": {
            f"{service.name}/{service.type}": " ".join([*service.fields[:8], *service.words])
            for service in configuration.master
        },
    }


class DecisionLog:
    """Of one process. `warn` takes the one warning that there is if files cannot be written."""

    def __init__(
        self,
        files: DecisionFiles,
        configuration: Configuration,
        warn: Callable[[str], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._files = files
        self._configuration = configuration
        self._warn = warn
        self._clock = clock
        self._waiting: deque[tuple[Decision, SessionFacts | None, str]] = deque()
        self._policies: dict[str, tuple[AccessPolicy, Settings]] = {}
        self._replays: dict[str, Replay] = {}
        self._task: asyncio.Task[None] | None = None
        self._second = 0
        self._count = 0
        self._name = ""
        self._broken = False

    @classmethod
    def of(cls, configuration: Configuration, writers: int, warn: Callable[[str], None]) -> "DecisionLog | None":
        """As the parameters say; `writers`: how many processes serve. None: nothing is to be kept."""
        settings = configuration.settings
        if not settings.gatepost_decision_log:
            return None
        directory = Path(settings.gatepost_queue_directory) / DIRECTORY
        files = DecisionFiles(directory, settings.gatepost_decision_log_size, writers, time.time, os.getpid())
        return cls(files, configuration, warn)

    def watch(self, policy: object, service: Service) -> None:
        """Keep what this listener's policy decides."""
        assert isinstance(policy, AccessPolicy)
        self._policies[service.name] = (policy, self._configuration.settings_for(service))
        policy.parts.told = partial(self._told, service.name)

    def _told(self, listener: str, facts: SessionFacts, verb: str, text: str) -> None:
        if verb not in KEPT or self._broken or len(self._waiting) >= WAITING:
            return
        now = self._clock()
        if int(now) != self._second:
            self._second, self._count = int(now), 0
        self._count += 1
        # A server that has just failed to answer is not asked once more; the log has told which one.
        again = self._count <= EXPLAINED and not text.startswith(_OWN_FAILURE)
        kept = kept_facts(facts, discarded=verb == "discard") if again else None
        decision = Decision(now, listener, asked_of(facts), facts.stage, verb, text)
        self._waiting.append((decision, kept, listener))
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._work())

    async def _work(self) -> None:
        try:
            frames = await self._frames()
            while frames:
                await asyncio.sleep(DELAY)
                for data in _batches(frames):
                    self._files.write(data)
                frames = await self._frames()
        except OSError as error:
            self._broken = True
            self._waiting.clear()
            self._warn(f"gatepost_decision_log: decisions are not kept: {error}")
        finally:
            self._task = None

    async def _frames(self) -> list[bytes]:
        """What has come to be written, explained at once: a table may be edited soon. Raises OSError."""
        frames = []
        while self._waiting:
            decision, facts, listener = self._waiting.popleft()
            if not self._name:
                self._name = self._files.keep_configuration(configuration_values(self._configuration))
            decision.configuration = self._name
            if facts is not None:
                await self._explain(decision, facts, listener)
                await asyncio.sleep(0)  # mail goes first
            frames.append(frame(decision))
        return frames

    async def _explain(self, decision: Decision, facts: SessionFacts, listener: str) -> None:
        try:
            async with asyncio.timeout(PATIENCE):
                await self._replay(listener).explain(decision, facts)
        except TimeoutError:
            decision.events = []
        except Exception as fault:
            # A fault of ours costs the reasons of one decision, and is told.
            decision.events = []
            context = {"message": f"gatepost_decision_log, {decision.reply}", "exception": fault}
            asyncio.get_running_loop().call_exception_handler(context)

    def _replay(self, listener: str) -> Replay:
        """Made when it is needed for the first time."""
        replay = self._replays.get(listener)
        if replay is None:
            policy, settings = self._policies[listener]
            replay = self._replays[listener] = Replay(policy, partial(where_set, settings), time.perf_counter)
        return replay

    async def close(self) -> None:
        """Write what waits, as far as that is soon done."""
        if self._task is not None:
            await asyncio.wait([self._task], timeout=CLOSING)
        self._files.close()


def _batches(frames: list[bytes]) -> Iterator[bytes]:
    """Frames put together, not many more octets than BATCH each."""
    data = b""
    for one in frames:
        data += one
        if len(data) >= BATCH:
            yield data
            data = b""
    if data:
        yield data
