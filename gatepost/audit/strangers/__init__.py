"""Can a stranger relay? The lists of a listener, followed for all clients, senders and recipients at once."""
