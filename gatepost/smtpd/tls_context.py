"""The SSLContext that a listener's handshakes use now: made anew when certificates and keys change."""

import ssl
from collections.abc import Callable

from gatepost.maillog.sink import ProgramLog
from gatepost.smtpd.tls_maker import ContextMaker
from gatepost.smtpd.tls_tickets import TicketKeys
from gatepost.tables.key_files import LOOK_INTERVAL, KeyFiles, Renewed, UnreadableFile
from gatepost.tls import tickets
from gatepost.tls.values import BadTlsValue


class ListenerContext:
    """`current` is what handshakes use; None while it cannot be made, of which the log has been told."""

    def __init__(
        self,
        maker: ContextMaker,
        files: KeyFiles,
        ticket_keys: TicketKeys,
        log: ProgramLog,
        service: str,
        clock: Callable[[], float],
    ) -> None:
        """`service`: the listener's name. `clock`: monotonic seconds."""
        self._maker = maker
        self._files = files
        self._ticket_keys = ticket_keys
        self._log = log
        self._service = service
        self._clock = clock
        self._period = -1
        self._renewed: Renewed[ssl.SSLContext] | None = None
        self._next_try = 0.0
        self._tried: object = None
        self._try()

    def current(self) -> ssl.SSLContext | None:
        if self._renewed is None:
            if self._clock() < self._next_try:
                return None
            self._next_try = self._clock() + LOOK_INTERVAL
            if self._files.signatures() == self._tried:
                return None
            self._try()
            if self._renewed is None:
                return None
        context = self._renewed.current()
        if self._maker.lifetime:
            self._set_ticket_keys(context)
        return context

    def _try(self) -> None:
        self._next_try = self._clock() + LOOK_INTERVAL
        self._tried = self._files.signatures()
        try:
            self._renewed = Renewed(
                self._files, self._maker.make, self._service, failures=(BadTlsValue,), renewed=self._forget_period
            )
        except (BadTlsValue, UnreadableFile) as error:
            for line in error.lines:
                self._log.warning(line)

    def _forget_period(self, made: ssl.SSLContext) -> None:
        self._period = -1

    def _set_ticket_keys(self, context: ssl.SSLContext) -> None:
        period = self._ticket_keys.period(self._maker.lifetime)
        if period != self._period:
            self._period = period
            # What decides of a client's certificate decides of who may resume which session.
            label = repr((self._service, self._maker.trust))
            tickets.set_keys(context, self._ticket_keys.keys(label, period))
