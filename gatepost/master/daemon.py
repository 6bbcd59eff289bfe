"""master as a whole: a Plan opened, workers forked from it, reload."""

import gc
import os
import pwd
from collections.abc import Callable

from gatepost.config.configuration import Configuration
from gatepost.maillog.sink import ProgramLog
from gatepost.master.command_listeners import open_command_listeners
from gatepost.master.listeners import open_listeners, open_unix_socket
from gatepost.master.logfile import open_log, reopen
from gatepost.master.plan import Plan
from gatepost.master.reload import reason, renewed
from gatepost.master.services import smtpd_services
from gatepost.master.spawn import spawn_lines
from gatepost.master.supervisor import Place, Supervisor
from gatepost.master.workers import delivery_entry, local_needed, opener_entry, queue_entry, smtpd_entry, spawn_entry


class Daemon:
    """`open` binds and opens everything (raises ConfigError); `run` serves until it is told to stop."""

    def __init__(
        self, configuration: Configuration, directory: str, owner: pwd.struct_passwd | None, *, foreground: bool
    ) -> None:
        self._directory = directory
        self._foreground = foreground
        self._configuration = configuration
        self._owner = owner
        self.on_serving: Callable[[], None] | None = None
        self.on_outage: Callable[[str], None] | None = None  # the queue manager cannot start, before it ever served

    def open(self, *, single_process: bool) -> None:
        settings = self._configuration.settings
        output, descriptor = open_log(settings, foreground=self._foreground)
        self._plan = Plan(self._configuration, self._owner, output, descriptor)
        plan = self._plan
        plan.smtpd_count = plan.smtpd_processes()
        master_cf = f"{self._directory}/master.cf"
        plan.listen(open_listeners(smtpd_services(self._configuration), settings, plan.smtpd_processes(), master_cf))
        if not single_process:
            plan.commands = open_command_listeners(self._configuration, self._owner)
        plan.queue_socket = open_unix_socket(plan.queue_path, 0o600, self._owner)
        plan.control_socket = open_unix_socket(plan.control_path, 0o666, self._owner)
        plan.prepare_files()
        self._new_log()

    def _new_log(self) -> None:
        self._mail_log = self._plan.new_log()
        self._log = self._mail_log.program("master")

    def _say(self, write: Callable[[ProgramLog], None]) -> None:
        if self._mail_log.pid != os.getpid():  # a child, or master after it went to the background
            self._new_log()
        write(self._log)
        self._mail_log.flush()

    def run(self, *, single_process: bool) -> int:
        self._say(
            lambda log: log.info(
                f"daemon started -- version {self._plan.settings.mail_version}, configuration {self._directory}"
            )
        )
        if single_process:
            from gatepost.master.single import run_single

            if spawn_lines(self._configuration):
                self._say(lambda log: log.warning("a single process runs no commands: spawn services are not served"))

            if self._owner is not None and self._plan.settings.maillog_file not in ("", "/dev/stdout"):
                # It opens the log anew itself, as mail_owner.
                os.fchown(self._plan.log_descriptor, self._owner.pw_uid, -1)
            return run_single(self._plan, lambda: self.on_serving and self.on_serving())
        self._supervisor = Supervisor(
            info=lambda text: self._say(lambda log: log.info(text)),
            warn=lambda text: self._say(lambda log: log.warning(text)),
            in_child=lambda: None,
            on_reload=self._reload,
            on_rotate=lambda: reopen(self._plan.settings, self._plan.log_descriptor),
            on_serving=lambda: self.on_serving() if self.on_serving else None,
            on_outage=lambda reason: self.on_outage(reason) if self.on_outage else None,
            places=self._places(),
            control=self._plan.control_socket,
        )
        _freeze()
        self._supervisor.run()
        return 0

    def _places(self) -> list[Place]:
        plan = self._plan
        places = [Place("opener", opener_entry(plan), late=True)] if plan.opener is not None else []
        places += [Place("qmgr", queue_entry(plan, self._live_delivery_workers), late=True, awaited=True)]
        places += [Place(f"smtpd[{slot}]", smtpd_entry(plan, slot)) for slot in range(plan.smtpd_processes())]
        places += [
            Place(f"delivery[{slot}]", delivery_entry(plan, "delivery")) for slot in range(plan.delivery_processes())
        ]
        if local_needed(plan):
            places.append(Place("local", delivery_entry(plan, "local")))
        if plan.commands:
            places.append(Place("spawn", spawn_entry(plan)))
        return places

    def _live_delivery_workers(self) -> list[int]:
        """Process IDs of workers that may have requests of an earlier queue manager under way."""
        supervisor = self._supervisor
        alive = [(p.pid, p.name) for p in supervisor.places if p.pid]
        alive += [(pid, gone.name) for pid, gone in supervisor.leaving.items()]
        return [pid for pid, name in alive if name.startswith(("delivery", "local"))]

    def _reload(self) -> None:
        """A new configuration, proved in full, takes over; any mistake in it keeps the old one everywhere."""
        try:
            self._plan = renewed(self._plan)
        except Exception as error:  # ConfigError, OSError; a fault of ours, too, is no reason to end all that serves
            text = reason(error)
            self._say(lambda log: log.error(f"reload: {text}; the old configuration goes on"))
            return
        self._say(
            lambda log: log.info(
                f"reload -- version {self._plan.settings.mail_version}, configuration {self._directory}"
            )
        )
        self._supervisor.replace(self._places())
        _freeze()


def _freeze() -> None:
    """What is here now is left alone by the collectors of the workers, so that its memory stays shared with them."""
    gc.unfreeze()
    gc.collect()
    gc.freeze()
