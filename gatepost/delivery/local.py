"""local(8): mail for the users of this host, by alias or into their mailboxes.

Not here yet: `.forward`, commands, files and lists in aliases.
"""

import asyncio
import os
import socket
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import BinaryIO

import msgspec
from msgspec.structs import replace

from gatepost.cleanup.interface import Cleanup
from gatepost.config.settings import Settings
from gatepost.config.values import split_list
from gatepost.delivery.checked_content import checked
from gatepost.delivery.local_forward import forward
from gatepost.delivery.local_process import run_apart
from gatepost.delivery.mailbox import Identity, MailCopy, Outcome
from gatepost.delivery.maildir import deliver_to_maildir
from gatepost.delivery.mbox import LockRules, MboxRules, deliver_to_mbox
from gatepost.delivery.report import AttemptLog
from gatepost.delivery.status_filter import StatusFilter
from gatepost.ipc.messages import DeliveryDone, DeliveryRecipient, DeliveryRequest
from gatepost.mail.address import fold, split_address, split_extension
from gatepost.mail.headers import headers
from gatepost.mail.status import Action, RecipientStatus
from gatepost.maillog.sink import ProgramLog
from gatepost.rewrite.aliases import AliasError, Aliases
from gatepost.tables.accounts import user_of
from gatepost.tables.table import LookupTemporaryFailure

_REQUIRED = frozenset(("postmaster", "mailer-daemon"))
_HEADER_OCTETS = 1 << 20

FindUser = Callable[[str], Identity | None]
IsLocalDomain = Callable[[str], Awaitable[bool]]


def system_user(name: str) -> Identity | None:
    """The user of that name, from the host's user database; raises LookupTemporaryFailure."""
    entry = user_of(name)
    if entry is None:
        return None
    return Identity(entry.pw_name, entry.pw_uid, entry.pw_gid, entry.pw_dir)


class LocalParts(msgspec.Struct, frozen=True):
    """What an agent works with. `cleanup` takes forwarded mail; `open_content` opens a request's content_file."""

    aliases: Aliases | None
    is_local_domain: IsLocalDomain
    cleanup: Cleanup
    open_content: Callable[[str], BinaryIO]
    find_user: FindUser = system_user
    clock: Callable[[], float] = time.time
    hostname: str = socket.gethostname()
    status_filter: StatusFilter | None = None


class LocalAgent:
    """`settings` are those of the service; `log` is that of its program."""

    taskless = False

    def __init__(self, settings: Settings, log: ProgramLog, parts: LocalParts) -> None:
        self._settings = settings
        self._log = log
        self._parts = parts
        lock = LockRules(
            frozenset(split_list(settings.mailbox_delivery_lock)),
            settings.deliver_lock_attempts,
            settings.deliver_lock_delay,
            settings.stale_lock_time,
        )
        self._mbox = MboxRules(lock, settings.mailbox_size_limit, settings.strict_mailbox_ownership)
        # Within this process one at a time: its own fcntl locks do not keep it out (threads of an ordinary user's).
        self._busy: dict[str, asyncio.Lock] = {}

    async def deliver(self, request: DeliveryRequest) -> DeliveryDone:
        attempt = AttemptLog(request, self._log.info, self._parts.clock, self._settings, self._parts.status_filter)
        done = DeliveryDone(request.request_id, request.epoch, request.queue_id, attempt.statuses)
        content: bytes | BinaryIO = request.content
        try:
            if not content and request.content_file:
                content = checked(self._parts.open_content(request.content_file), request.checksum)
        except OSError as error:
            self._log.warning(f"{request.queue_id}: open content file {request.content_file}: {error.strerror}")
            for recipient in request.recipients:
                attempt.status(_status(recipient, Outcome("4.3.0", "cannot open message content")))
        else:
            try:
                delivered_to = _delivered_to(content)
                for recipient in request.recipients:
                    message = _Message(request, recipient, content, delivered_to, done)
                    await self._recipient(message, attempt)
            finally:
                if not isinstance(content, bytes):
                    content.close()
        if attempt.waiting:
            await attempt.settle()
        return done

    async def close(self) -> None:
        pass

    async def _recipient(self, message: "_Message", attempt: AttemptLog) -> None:
        recipient = message.recipient
        local = split_address(recipient.address)[0]
        if message.request.trace:
            attempt.status(_status(recipient, await self._probe(local)))
            return
        if fold(recipient.address) in message.delivered_to:
            outcome = Outcome("5.4.6", f"mail forwarding loop for {recipient.address}")
            attempt.status(_status(recipient, outcome))
            return
        try:
            expanded = None if self._parts.aliases is None else await self._parts.aliases.expand(local)
            owner = None
            if expanded is not None and self._parts.aliases is not None:
                owner = await self._parts.aliases.owner(local)
        except AliasError as error:
            outcome = Outcome(error.dsn, error.text)
        except LookupTemporaryFailure:
            outcome = Outcome("4.3.0", "alias database unavailable")
        else:
            if expanded is not None:
                attempt.keep(await self._expanded(message, expanded, owner, attempt))
                return
            outcome = await self._user(message, local)
        attempt.status(_status(recipient, outcome))

    async def _expanded(
        self, message: "_Message", addresses: list[str], owner: str | None, attempt: AttemptLog
    ) -> RecipientStatus:
        """Mailboxes first, since what was forwarded must not be forwarded again; the worst outcome counts for all.

        Logs a line for each mailbox and one for what is forwarded, as Postfix.
        """
        recipient = message.recipient
        elsewhere = []
        statuses = []
        for address in addresses:
            local, domain = split_address(address)
            if domain is not None and not await self._is_local(domain):
                elsewhere.append(address)
                continue
            status = _status(recipient, await self._user(message, local))
            statuses.append(attempt.partial(status, address))
        if elsewhere and not any(status.action == "deferred" for status in statuses):
            outcome = await forward(
                self._parts.cleanup, message.request, recipient, elsewhere, message.content, owner=owner
            )
            message.done.damaged |= outcome.damaged
            # To its sender a mailing list, which has an owner, is where mail ends (RFC 3461 5.2.7.3).
            status = _status(recipient, outcome, "delivered" if owner else "expanded")
            status = attempt.partial(status, recipient.address)
            statuses.append(replace(status, text="alias expanded") if status.action == "sent" else status)
        return max(reversed(statuses), key=_weight)

    async def _is_local(self, domain: str) -> bool:
        try:
            return await self._parts.is_local_domain(domain)
        except LookupTemporaryFailure:
            return False  # the queue manager asks again

    async def _probe(self, local: str) -> Outcome:
        """What delivery would do, without doing it."""
        try:
            value = None if self._parts.aliases is None else await self._parts.aliases.value(local)
        except LookupTemporaryFailure:
            return Outcome("4.3.0", "alias database unavailable")
        if value is not None:
            return Outcome("2.0.0", f"aliased to {value}")
        user = self._find_user(local)
        if isinstance(user, Outcome):
            return user
        settings = self._settings
        maildir = (settings.home_mailbox or settings.mail_spool_directory).endswith("/")
        return Outcome("2.0.0", "delivers to maildir" if maildir else "delivers to mailbox")

    async def _user(self, message: "_Message", local: str) -> Outcome:
        """Into the mailbox of the user `local`, whatever aliases say."""
        user = self._find_user(local)
        if isinstance(user, Outcome):
            return user
        if os.getuid() not in (0, user.uid):
            return Outcome("4.3.0", f"delivery to user {user.name} needs a service that runs as root")
        return await self._mailbox(message, user)

    def _find_user(self, local: str) -> Identity | Outcome:
        """The user, or what becomes of mail for one that there is not."""
        settings = self._settings
        name = split_extension(
            local,
            settings.recipient_delimiter,
            owner_request_special=settings.owner_request_special,
            double_bounce_sender=settings.double_bounce_sender,
        )[0].lower()
        try:
            user = None if not name or "\0" in name else self._parts.find_user(name)
        except LookupTemporaryFailure as failure:
            self._log.warning(f"error looking up passwd info for {name}: {failure.reason}")
            return Outcome("4.0.0", "user lookup error")
        if user is None:
            if name in _REQUIRED:
                self._log.warning(f"required alias not found: {name}")
                return Outcome("2.0.0", "discarded")
            return Outcome("5.1.1", f'unknown user: "{name}"')
        return user

    async def _mailbox(self, message: "_Message", user: Identity) -> Outcome:
        settings, now = self._settings, self._parts.clock()
        recipient = message.recipient
        copy = MailCopy(
            sender=message.request.sender,
            original=recipient.original or recipient.address,
            delivered_to=recipient.address,
            content=message.content,
            show_original=settings.enable_original_recipient,
        )
        if settings.home_mailbox:
            path = f"{user.home}/{settings.home_mailbox}"
        else:
            path = f"{settings.mail_spool_directory}/{user.name}".replace("//", "/")
            if settings.mail_spool_directory.endswith("/"):
                path += "/"
        if path.endswith("/"):
            hostname = self._parts.hostname
            work = partial(
                deliver_to_maildir, path, copy, user, size_limit=settings.mailbox_size_limit, hostname=hostname, now=now
            )
            outcome = await run_apart(work)
        else:
            in_spool = not settings.home_mailbox
            async with self._busy.setdefault(path, asyncio.Lock()):
                outcome = await run_apart(
                    partial(deliver_to_mbox, path, copy, user, self._mbox, in_spool=in_spool, now=now)
                )
            if len(self._busy) > 1000:
                self._busy = {name: lock for name, lock in self._busy.items() if lock.locked()}
        message.done.damaged |= outcome.damaged
        for warning in outcome.warnings:
            self._log.warning(warning)
        return outcome


class _Message(msgspec.Struct, frozen=True):
    """One recipient's view of a request. `delivered_to`: folded values of its Delivered-To: headers; `done`: the answer
    in the making.
    """

    request: DeliveryRequest
    recipient: DeliveryRecipient
    content: bytes | BinaryIO
    delivered_to: frozenset[str]
    done: DeliveryDone


def _delivered_to(content: bytes | BinaryIO) -> frozenset[str]:
    if isinstance(content, bytes):
        text = content
    else:
        text = content.read(_HEADER_OCTETS)
        content.seek(0)
    if b"elivered-" not in text and b"ELIVERED-" not in text:
        return frozenset()
    return frozenset(
        fold(header.partition(b":")[2].strip(b" \t\n").decode("utf-8", "surrogateescape"))
        for name, header in headers(text)
        if name == b"delivered-to"
    )


def _status(recipient: DeliveryRecipient, outcome: Outcome, dsn_action: str = "delivered") -> RecipientStatus:
    kind = outcome.dsn[0]
    action: Action = "sent" if kind == "2" else "deferred" if kind == "4" else "bounced"
    shown = dsn_action if action == "sent" else ""
    return RecipientStatus(recipient.index, action, outcome.dsn, "local", outcome.text, dsn_action=shown)


def _weight(status: RecipientStatus) -> int:
    return ("sent", "bounced", "deferred").index(status.action)
