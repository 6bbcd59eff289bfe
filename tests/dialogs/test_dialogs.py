"""Each dialogue, played against our server: whole, octet by octet, and pipelined."""

import pytest

from gatepost.smtpd.connection import SmtpConnection
from tests.dialogs.dialog import FOLDER, Dialog, all_dialogs, normal_log, play
from tests.smtpd.world import World

BASE = (FOLDER / "base.cf").read_text()
ZONE = (FOLDER / "zone.txt").read_text()
DIALOGS = all_dialogs()


class OctetByOctet(SmtpConnection):
    """Sees its input as the slowest of networks would give it."""

    def data_received(self, data: bytes) -> None:
        for number in range(len(data)):
            super().data_received(data[number : number + 1])


@pytest.mark.parametrize("mode", ["whole", "octets", "pipelined"])
@pytest.mark.parametrize("dialog", DIALOGS, ids=lambda dialog: dialog.name.removesuffix(".smtp"))
async def test_dialog(dialog: Dialog, mode: str) -> None:
    if mode == "pipelined" and not dialog.pipeline:
        pytest.skip("says pipeline: no")
    if mode == "octets" and any("improper command pipelining" in line for line in dialog.log):
        pytest.skip("nothing is sent ahead octet by octet")
    main_cf = "".join(f"{name} = {value}\n" for name, value in dialog.parameters.items())
    world = World(main_cf, zone=ZONE, base=BASE, connection=OctetByOctet if mode == "octets" else SmtpConnection)
    async with world:
        differences = await play(dialog, "127.0.0.1", world.port, pipelined=mode == "pipelined")
    log = [line for line in normal_log(world.take_log()) if not line.startswith("connect from ")]
    assert not differences, "\n".join(differences)
    assert log == dialog.log
