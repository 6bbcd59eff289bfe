"""A small authoritative DNS server on loopback, UDP and TCP, over a zone text (gatepost.dns.zone).

In a test:   async with running_dns_server(ZONE_TEXT) as server: ... server.address, server.text ("127.0.0.1:PORT")
As command:  python -m tests.dns_server ZONEFILE --port N
"""

import argparse
import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rrset

from gatepost.dns.answers import Record
from gatepost.dns.zone import Zone, parse_zone

NEGATIVE_TTL = 60


class DnsServer:
    """Answers from `zone` (replace the attribute to change the world); `queries` keeps what was asked, in order."""

    def __init__(self, zone: Zone | str, *, authentic: bool = False, edns: bool = True) -> None:
        self.zone = zone if isinstance(zone, Zone) else parse_zone(zone)
        self.authentic = authentic
        self.edns = edns
        self.queries: list[tuple[str, str, str]] = []  # protocol, name, type
        self.host = "127.0.0.1"
        self.port = 0
        self._udp: asyncio.DatagramTransport | None = None
        self._tcp: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def text(self) -> str:
        """The server as gatepost_dns_servers wants it."""
        return f"{self.host}:{self.port}"

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        loop = asyncio.get_running_loop()
        for _ in range(20):
            udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            udp.setblocking(False)
            udp.bind((host, port))
            self.host, self.port = udp.getsockname()
            try:
                self._tcp = await asyncio.start_server(self._serve_tcp, host, self.port)
            except OSError:
                udp.close()
                if port:
                    raise
                continue  # the TCP port of that number is taken
            self._udp, _ = await loop.create_datagram_endpoint(lambda: _Datagrams(self), sock=udp)
            return
        raise OSError("no free port for UDP and TCP")

    async def stop(self) -> None:
        if self._udp is not None:
            self._udp.close()
        if self._tcp is not None:
            self._tcp.close()
            await self._tcp.wait_closed()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def start_reply(self, wire: bytes, protocol: str, transport: asyncio.DatagramTransport, peer: Any) -> None:
        async def work() -> None:
            reply = await self.reply(wire, protocol)
            if reply is not None:
                transport.sendto(reply, peer)

        task = asyncio.get_running_loop().create_task(work())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve_tcp(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                (size,) = struct.unpack("!H", await reader.readexactly(2))
                reply = await self.reply(await reader.readexactly(size), "tcp")
                if reply is None:
                    break
                writer.write(struct.pack("!H", len(reply)) + reply)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def reply(self, wire: bytes, protocol: str) -> bytes | None:
        """The reply to a question, None if there is to be none."""
        try:
            query = dns.message.from_wire(wire)
        except dns.exception.DNSException:
            return None
        name = query.question[0].name.to_text(omit_final_dot=True).lower()
        rrtype = dns.rdatatype.to_text(query.question[0].rdtype)
        self.queries.append((protocol, name, rrtype))
        listed = self.zone.find(name)
        behaviour = self.zone.behaviour.get(listed or "", {})
        if "DELAY" in behaviour:
            await asyncio.sleep(behaviour["DELAY"])
        if "DROP" in behaviour:
            return None
        if "GARBAGE" in behaviour:
            return wire[:2] + b"\x85\x80 garbage"
        message = dns.message.make_response(query)
        message.flags |= dns.flags.AA | dns.flags.RA
        # RFC 6840 5.7: who did not ask is not told.
        if self.authentic and (query.flags & dns.flags.AD or query.ednsflags & dns.flags.DO):
            message.flags |= dns.flags.AD
        if query.edns >= 0 and not self.edns:
            message.use_edns(False)
            message.set_rcode(dns.rcode.FORMERR)
        elif "TRUNCATE" in behaviour and protocol == "udp":
            message.flags |= dns.flags.TC
        else:
            self._fill(message, name, rrtype)
        return message.to_wire(want_shuffle=False)  # in the order of the zone

    def _fill(self, message: dns.message.Message, name: str, rrtype: str) -> None:
        for _ in range(20):
            listed = self.zone.find(name)
            if listed is None:
                message.set_rcode(dns.rcode.NXDOMAIN)
                break
            if "INSECURE" in self.zone.behaviour.get(listed, {}):
                message.flags &= ~dns.flags.AD
            if "SERVFAIL" in self.zone.behaviour.get(listed, {}):
                message.set_rcode(dns.rcode.SERVFAIL)
                return
            records = self.zone.records[listed]
            if rrtype in records:
                message.answer.append(_rrset(name, rrtype, records[rrtype]))
                return
            if "CNAME" not in records:
                break
            if any(r.name.to_text(omit_final_dot=True) == name for r in message.answer):
                return  # a loop: hand out what there is
            message.answer.append(_rrset(name, "CNAME", records["CNAME"]))
            name = records["CNAME"][0].data
        soa = f"ns. hostmaster. 1 3600 600 86400 {NEGATIVE_TTL}"
        message.authority.append(dns.rrset.from_text("example.", 3600, "IN", "SOA", soa))


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, server: DnsServer) -> None:
        self._server = server

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self._server.start_reply(data, "udp", self._transport, addr)


def _rrset(name: str, rrtype: str, records: list[Record]) -> dns.rrset.RRset:
    owner = dns.name.from_text(name)
    if rrtype == "TLSA":
        return dns.rrset.from_rdata_list(owner, records[0].ttl, [_tlsa(record.data) for record in records])
    return dns.rrset.from_text_list(owner, records[0].ttl, "IN", rrtype, [_rdata(rrtype, r) for r in records])


def _tlsa(text: str) -> dns.rdata.Rdata:
    """Of any length, also one that does not fit the digest; `-` stands for nothing at all."""
    *numbers, octets = text.split()
    wire = bytes(map(int, numbers)) + bytes.fromhex(octets.strip("-"))
    return dns.rdata.GenericRdata(dns.rdataclass.IN, dns.rdatatype.TLSA, wire)


def _rdata(rrtype: str, record: Record) -> str:
    if rrtype == "MX":
        return f"{record.preference} {record.data}."
    if rrtype in ("PTR", "NS", "CNAME"):
        return f"{record.data}."
    if rrtype == "TXT":
        chunks = [record.data[i : i + 200] for i in range(0, len(record.data), 200)] or [""]
        return " ".join('"' + c.replace("\\", "\\\\").replace('"', '\\"') + '"' for c in chunks)
    return record.data


@contextlib.asynccontextmanager
async def running_dns_server(
    zone: Zone | str, *, authentic: bool = False, edns: bool = True
) -> AsyncIterator[DnsServer]:
    """A server for the time of a `with` block, on a free port."""
    server = DnsServer(zone, authentic=authentic, edns=edns)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


async def _serve_forever(zone: str, host: str, port: int) -> None:
    server = DnsServer(zone)
    await server.start(host, port)
    print(server.text, flush=True)
    try:
        await asyncio.Event().wait()
    finally:
        await server.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description="Serve a zone text on loopback.")
    parser.add_argument("zone", type=Path)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    options = parser.parse_args()
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve_forever(options.zone.read_text(encoding="utf-8"), options.host, options.port))


if __name__ == "__main__":
    main()
