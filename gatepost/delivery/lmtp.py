"""The LMTP delivery agent, lmtp(8): as the SMTP client, to `unix:path` or `inet:host:port`, without MX look-ups."""

from typing import BinaryIO

import msgspec

from gatepost.delivery.smtp import SmtpAgent
from gatepost.delivery.smtp_addresses import Target
from gatepost.delivery.smtp_delivery import Failure, SmtpDelivery, take_left
from gatepost.delivery.smtp_demand import NOTHING
from gatepost.delivery.smtp_destination import Destination, split_lmtp_destinations
from gatepost.delivery.smtp_transaction import SmtpTransaction
from gatepost.protocol.lmtp_client import LmtpClientProtocol
from gatepost.protocol.smtp_client_events import Event, Kind


class LmtpTransaction(SmtpTransaction):
    """Each recipient has a reply of its own."""

    __slots__ = ()

    def take(self, event: Event) -> None:
        reply = event.reply
        if event.kind is not Kind.ANSWER or reply is None:
            super().take(event)
            return
        self._done.add(event.recipient)
        recipient = self._recipients[event.recipient]
        if reply.code // 100 == 2:
            self._delivery.sent(recipient, self._target, reply, self._uses, self._dsn_action)
        else:
            self._delivery.fail([recipient], self._target, self._said(reply, "end of DATA"), self._uses)


class FinalLmtpTransaction(LmtpTransaction):
    """With lmtp_assume_final: what the server took is delivered."""

    __slots__ = ()

    without_dsn = "delivered"


class LmtpAgent(SmtpAgent):
    """Implements DeliveryAgent for transports of the program lmtp. Made as SmtpAgent is, with lmtp_* parameters."""

    protocol = LmtpClientProtocol
    fallback_parameter = "lmtp_fallback_relay"

    def _transaction_type(self) -> type[SmtpTransaction]:
        return FinalLmtpTransaction if self._params.assume_final else LmtpTransaction

    async def _visit_sites(self, delivery: SmtpDelivery, content: bytes | BinaryIO) -> None:
        nexthop = delivery.request.nexthop
        if nexthop.startswith("unix:"):
            await self._visit_socket(delivery, content, nexthop[5:])
        else:
            await super()._visit_sites(delivery, content)

    def _sites(self, nexthop: str) -> tuple[str, ...]:
        return split_lmtp_destinations(nexthop)

    def _resolved(self, site: str) -> Destination:
        return msgspec.structs.replace(super()._resolved(site), use_mx=False, service="")

    async def _visit_socket(self, delivery: SmtpDelivery, content: bytes | BinaryIO, path: str) -> None:
        """There is only this one server."""
        if self._params.fallback_relay:
            listed = " ".join(self._params.fallback_relay)
            self._warn(f'ignoring "{self.fallback_parameter} = {listed}" setting for non-TCP connections')
        target = Target(self._params.myhostname, path, 0)
        delivery.final_server = True
        demands = self._demands(delivery, path)
        demand = NOTHING if demands is None else await demands.of_socket(target, delivery)
        if demand is not None and not await self._reuse(delivery, content, path, target, demand):
            session = await self._opener.open(delivery, target, demand)
            if session is not None:
                await self._use(delivery, content, session, path)
        if delivery.left:
            delivery.attempt.connected()
            why = delivery.why or Failure("4.3.0", "server unavailable or unable to receive mail")
            delivery.fail_site(take_left(delivery), None, why)
