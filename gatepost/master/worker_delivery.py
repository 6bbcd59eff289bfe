"""A delivery worker's process."""

import gc
import os
import socket
import time

from gatepost.cleanup.interface import QueueWriter
from gatepost.delivery.discard import DiscardAgent
from gatepost.delivery.error import ErrorAgent
from gatepost.delivery.interface import DeliveryAgent
from gatepost.delivery.smtp import SmtpAgent
from gatepost.delivery.smtp_transcript import transcript_classes
from gatepost.delivery.virtual import VirtualAgent
from gatepost.ipc.messages import DeliveryDone, Draining, Hello
from gatepost.master.delivery_worker import DeliveryWorker
from gatepost.master.foundation import Foundation
from gatepost.master.local_delivery import local_agent
from gatepost.master.plan import Plan
from gatepost.master.privileges import forbid_core_dumps
from gatepost.master.queue_link import RANGE, QueueLink
from gatepost.master.services import transports
from gatepost.master.smtp_delivery import smtp_agent
from gatepost.master.workers import Worker


def make_agents(plan: Plan, foundation: Foundation, role: str, link: QueueWriter) -> dict[str, DeliveryAgent]:
    """The agents of this process: one per delivery transport of master.cf, with its `-o`."""
    agents: dict[str, DeliveryAgent] = {}
    for name, service in transports(plan.configuration).items():
        settings = foundation.configuration.settings_for(service)
        log = foundation.mail_log.program(service.program, settings.syslog_name)
        if service.program == "local":
            if role == "local" or plan.owner is None:
                agents[name] = local_agent(foundation, settings, log, link)
        elif role != "delivery":
            continue
        elif service.program in ("smtp", "lmtp"):
            agents[name] = smtp_agent(foundation, settings, service.program, log, link)
        elif service.program == "error":
            agents[name] = ErrorAgent(settings, log, retry=name == "retry")
        elif service.program == "discard":
            agents[name] = DiscardAgent(settings, log)
        elif service.program == "virtual":
            agents[name] = VirtualAgent(settings, log)
    if any(isinstance(agent, SmtpAgent) and agent.knows_passwords for agent in agents.values()):
        forbid_core_dumps()
    if role == "delivery":
        log = foundation.mail_log.program("error")
        agents.setdefault("retry", ErrorAgent(foundation.settings, log, retry=True))
    return agents


async def serve_delivery(plan: Plan, role: str, leash: socket.socket) -> None:
    worker = Worker(plan, leash)
    foundation = Foundation(plan.configuration, worker.log, files=None if role == "local" else plan.files(role))
    agents: dict[str, DeliveryAgent] = {}

    def report(done: DeliveryDone) -> None:
        delivery.unreported = delivery.unreported or not link.connected
        link.send(done)

    delivery = DeliveryWorker(role, os.getpid(), agents, report, lambda: link.connected)

    def hello() -> Hello:
        greeting = delivery.hello()
        greeting.ids = RANGE if forwards else 0
        return greeting

    content_owner = plan.owner.pw_uid if plan.owner is not None and role == "local" else -1
    link = QueueLink(
        plan.queue_path,
        hello,
        queue_directory=str(plan.queue_directory),
        content_owner=content_owner,
        long_ids=foundation.settings.enable_long_queue_ids,
        clock=time.time,
        flush_log=worker.log.flush,
        on_frame=delivery.frame,
        on_welcome=delivery.welcomed,
    )
    agents.update(make_agents(plan, foundation, role, link))
    forwards = any(
        service.program == "local" or transcript_classes(plan.configuration.settings_for(service))
        for name, service in transports(plan.configuration).items()
        if name in agents
    )
    worker.on_outage = link.outage
    link.start()
    gc.collect()
    gc.freeze()
    worker.serve()
    await worker.over.wait()
    await drain(worker, delivery, link)
    worker.log.flush()


async def drain(worker: Worker, delivery: DeliveryWorker, link: QueueLink) -> None:
    """Take no more requests, and end when all that were taken are done and reported."""
    delivery.draining = True
    nobody = worker.hurry and link.out  # and none will start any more
    if link.greeted and not nobody:
        # Requests may be on their way to us still, which would be lost with us.
        link.send(Draining())
        await worker.finished(delivery.released)
    await worker.finished(delivery.idle)
    if delivery.unreported and not nobody:
        # The results of deliveries must not be lost with us: their recipients would get the message again.
        await link.reach()
    await delivery.close()
    await link.close()
