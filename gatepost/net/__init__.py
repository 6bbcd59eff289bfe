"""Connections with deadlines and flow control; listeners."""
