"""The parameters of the SMTP and LMTP clients whose values are tables, opened once per transport."""

import msgspec

from gatepost.config.settings import Settings
from gatepost.delivery.smtp_checks import PARAMETERS, ContentChecks
from gatepost.delivery.status_filter import StatusFilter
from gatepost.maillog.sink import ProgramLog
from gatepost.tables.maps import Maps
from gatepost.tables.match_list import MatchList
from gatepost.tables.opening import Tables


class SmtpTables(msgspec.Struct, frozen=True, kw_only=True):
    """None where nothing is configured."""

    checks: ContentChecks | None = None
    status_filter: StatusFilter | None = None
    reply_filter: Maps | None = None
    discard_maps: Maps | None = None
    pix_maps: Maps | None = None
    dns_filter: Maps | None = None
    cache_destinations: MatchList | None = None

    @classmethod
    def of(cls, settings: Settings, tables: Tables, log: ProgramLog, prefix: str = "smtp") -> "SmtpTables":
        """Open them. `prefix`: `smtp` or `lmtp`. Raises ConfigError."""

        def opened(name: str) -> Maps:
            return tables.maps(f"{prefix}{name}", settings.text(f"{prefix}{name}"))

        checks = ContentChecks({kind: opened(name) for kind, name in PARAMETERS.items()}, log.info, log.warning)
        cached = f"{prefix}_connection_cache_destinations"
        statuses = opened("_delivery_status_filter")
        discard = "_discard_lhlo_keyword_address_maps" if prefix == "lmtp" else "_discard_ehlo_keyword_address_maps"
        return cls(
            checks=checks or None,
            status_filter=StatusFilter(statuses, log.warning) if statuses else None,
            reply_filter=opened("_reply_filter") or None,
            discard_maps=opened(discard) or None,
            pix_maps=opened("_pix_workaround_maps") or None,
            dns_filter=opened("_dns_reply_filter") or None,
            cache_destinations=MatchList.compile(cached, settings.text(cached), tables, match_parent=False) or None,
        )


NO_TABLES = SmtpTables()
