"""An smtpd worker's process: thousands of SMTP sessions."""

import asyncio
import gc
import os
import socket
import time
from collections.abc import Callable

from gatepost.ipc.messages import Flow, Frame, Hello
from gatepost.master.accepting import Accepting
from gatepost.master.decision_log import DecisionLog
from gatepost.master.foundation import Foundation
from gatepost.master.listeners import Listener
from gatepost.master.notices import make_cleanup
from gatepost.master.plan import Plan
from gatepost.master.queue_link import RANGE, QueueLink
from gatepost.master.servers import LinkedRates, pause, server_environment
from gatepost.master.sessions import Connections
from gatepost.master.verification import LinkedServices
from gatepost.master.workers import Worker
from gatepost.smtpd.environment import ServerEnvironment
from gatepost.smtpd.intake import Intake


async def serve_smtpd(plan: Plan, slot: int, leash: socket.socket) -> None:
    worker = Worker(plan, leash)
    foundation = Foundation(plan.configuration, worker.log, files=plan.files("smtpd"))
    settings = foundation.settings
    intake = Intake(settings.in_flow_delay, pause)

    def told(frame: Frame) -> None:
        if isinstance(frame, Flow):
            intake.told(frame.behind, frame.full)

    program = worker.log.program("smtpd")

    def unanswered(too_much: bool, messages: int, octets: int) -> None:
        if too_much:
            what = f"{messages} messages ({octets} octets) wait for its answer"
            program.warning(f"the queue manager is slow: {what}; new mail has to wait")
        else:
            program.info("the queue manager answers: new mail is taken in again")
        intake.silent(too_much)

    link = QueueLink(
        plan.queue_path,
        lambda: Hello("smtpd", os.getpid(), ids=RANGE),
        queue_directory=str(plan.queue_directory),
        long_ids=settings.enable_long_queue_ids,
        clock=time.time,
        flush_log=worker.log.flush,
        on_frame=told,
        on_welcome=lambda welcome: intake.told(False, False),  # a new queue manager: it will tell what it thinks
        on_unanswered=unanswered,
    )
    cleanup = make_cleanup(foundation, link, worker.log)
    rates = LinkedRates(link.count, link.tell, program.warning)
    verification = LinkedServices(link)
    worker.on_outage = link.outage
    link.start()
    await worker.before_over(link.ready)
    decisions = DecisionLog.of(plan.configuration, plan.smtpd_processes(), program.warning)

    def environment(listener: Listener, connections: Connections) -> ServerEnvironment:
        env = server_environment(
            foundation,
            listener.service,
            cleanup,
            rates,
            link.free,
            connections.stressed,
            verification.ask,
            verification.flush,
            intake,
            ticket_secret=plan.ticket_secret,
        )
        if decisions is not None:
            decisions.watch(env.policy, listener.service)
        return env

    await serve_listeners(worker, plan, slot, environment)
    await link.close()
    if decisions is not None:
        await decisions.close()
    worker.log.flush()


async def serve_listeners(
    worker: Worker, plan: Plan, slot: int, environment: Callable[[Listener, Connections], ServerEnvironment]
) -> None:
    """Take clients until it is over, and serve them until they have gone."""
    accepting = Accepting(worker.log.program("smtpd").warning)
    limits = []
    for number, listener in enumerate(plan.listeners):
        load = plan.load_of(number, slot, worker.log.program("master").warning)
        connections = Connections(load, accepting.session_gone)
        limits.append(connections)
        factory = connections.factory(environment(listener, connections))
        for sock in listener.sockets[slot]:
            accepting.listen(sock, factory)
    gc.collect()
    gc.freeze()  # what is here by now stays for good: the collector need not walk it again and again
    worker.serve()
    await worker.over.wait()
    await accepting.close()
    await asyncio.gather(*[connections.gone(lambda: worker.hurry) for connections in limits])
