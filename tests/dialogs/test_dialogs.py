"""Each dialogue, played against our server: whole, octet by octet, and pipelined."""

from collections.abc import Iterator

import pytest

from gatepost.smtpd.connection import SmtpConnection
from tests.certificates import placed, unplaced
from tests.dialogs.dialog import FOLDER, Dialog, all_dialogs, normal_log, play
from tests.dovecot_auth import placed as auth_placed
from tests.policy_server import PolicyServer, normal_request
from tests.smtpd.world import World

BASE = (FOLDER / "base.cf").read_text()
ZONE = (FOLDER / "zone.txt").read_text()
DIALOGS = all_dialogs()


class OctetByOctet(SmtpConnection):
    """Sees its input as the slowest of networks would give it."""

    def data_received(self, data: bytes) -> None:
        wire = self.transport
        for number in range(len(data)):
            super().data_received(data[number : number + 1])
            if wire.get_protocol() is not self and wire is self.transport:
                break  # TLS has begun: what came in the same piece is not looked at


def _runs() -> Iterator[object]:
    for dialog in DIALOGS:
        modes = ["whole"]
        # Octet by octet nothing is ever sent ahead.
        if not any("improper command pipelining" in line for line in dialog.log):
            modes.append("octets")
        if dialog.pipeline and dialog.pipelined() != dialog.exchanges():
            modes.append("pipelined")
        for mode in modes:
            yield pytest.param(dialog, mode, id=f"{dialog.name.removesuffix('.smtp')}-{mode}")


@pytest.mark.parametrize(("dialog", "mode"), list(_runs()))
async def test_dialog(dialog: Dialog, mode: str) -> None:
    async with PolicyServer(list(dialog.policy), listen=dialog.needs_policy_server) as policy:
        parameters = {name: placed(auth_placed(policy.placed(value))) for name, value in dialog.parameters.items()}
        main_cf = "".join(f"{name} = {value}\n" for name, value in parameters.items())
        world = World(main_cf, zone=ZONE, base=BASE, connection=OctetByOctet if mode == "octets" else SmtpConnection)
        async with world:
            differences = await play(dialog, "127.0.0.1", world.port, pipelined=mode == "pipelined")
        log = [policy.unplaced(line) for line in normal_log(world.take_log()) if not line.startswith("connect from ")]
    assert not differences, "\n".join(differences)
    assert log == dialog.log
    if dialog.requests:
        assert [unplaced(normal_request(request)) for request in policy.requests] == dialog.requests
