"""The server on a real socket, from the greeting to `queued as`."""

from tests.smtpd.world import Talk, World


async def test_from_greeting_to_queued() -> None:
    async with World() as world:
        talk = await Talk.open(world)
        assert await talk.reply() == "220 mail.ours.example ESMTP Postfix"
        assert (await talk.say("EHLO client.example")).startswith("250-mail.ours.example\n250-PIPELINING\n")
        talk.send("MAIL FROM:<a@x.example>\r\nRCPT TO:<b@ours.example>\r\nDATA\r\n")
        assert [await talk.reply() for _ in range(3)] == [
            "250 2.1.0 Ok",
            "250 2.1.5 Ok",
            "354 End data with <CR><LF>.<CR><LF>",
        ]
        queued = await talk.say("Subject: x\r\n\r\n..dot\r\n.")
        assert queued == "250 2.0.0 Ok: queued as 0000000001"
        assert await talk.say("QUIT") == "221 2.0.0 Bye"
        assert await talk.ended() == ""
        [message] = world.writer.messages
        assert message.sender == "a@x.example"
        assert [r.address for r in message.recipients] == ["b@ours.example"]
        assert message.content.endswith(b"\n\n.dot\n")
        assert world.take_log() == [
            "connect from localhost[127.0.0.1]",
            "0000000001: client=localhost[127.0.0.1]",
            f"0000000001: message-id={_message_id(message.content)}",
            "disconnect from localhost[127.0.0.1] ehlo=1 mail=1 rcpt=1 data=1 quit=1 commands=5",
        ]


def _message_id(content: bytes) -> str:
    for line in content.decode().splitlines():
        if line.lower().startswith("message-id: "):
            return line[12:]
    return "<>"
