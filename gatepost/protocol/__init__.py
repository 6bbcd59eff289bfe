"""Sans-I/O protocols: bytes in, events out; replies in, bytes out. No sockets, no clock, no logging."""
