"""local(8) from a Foundation."""

from gatepost.cleanup.interface import QueueWriter
from gatepost.cleanup.pipeline import MailCleanup
from gatepost.config.settings import Settings
from gatepost.delivery.local import LocalAgent, LocalParts
from gatepost.maillog.sink import ProgramLog
from gatepost.master.foundation import Foundation


def local_agent(foundation: Foundation, settings: Settings, log: ProgramLog, writer: QueueWriter) -> LocalAgent:
    """The agent of a `local` transport; `writer` takes what aliases send on."""
    cleanup_log = foundation.mail_log.program("cleanup")
    cleanup = MailCleanup(foundation.settings, writer, cleanup_log, foundation.rewriter, foundation.virtual_aliases)
    parts = LocalParts(foundation.aliases, foundation.local_domains.is_local_domain, cleanup, foundation.open_content)
    return LocalAgent(settings, log, parts)
