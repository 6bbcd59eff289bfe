"""local(8) from a Foundation."""

from gatepost.cleanup.interface import QueueWriter
from gatepost.config.settings import Settings
from gatepost.delivery.local import LocalAgent, LocalParts
from gatepost.delivery.status_filter import StatusFilter
from gatepost.maillog.sink import ProgramLog
from gatepost.master.foundation import Foundation
from gatepost.master.notices import make_cleanup


def local_agent(foundation: Foundation, settings: Settings, log: ProgramLog, writer: QueueWriter) -> LocalAgent:
    """The agent of a `local` transport; `writer` takes what aliases send on."""
    cleanup = make_cleanup(foundation, writer, foundation.mail_log)
    tables = foundation.tables.logged_by(log.warning, log.error)
    statuses = tables.maps("local_delivery_status_filter", settings.local_delivery_status_filter)
    parts = LocalParts(
        foundation.aliases,
        foundation.local_domains.is_local_domain,
        cleanup,
        foundation.open_content,
        status_filter=StatusFilter(statuses, log.warning) if statuses else None,
    )
    return LocalAgent(settings, log, parts)
