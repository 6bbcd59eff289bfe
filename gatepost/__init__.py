"""Gatepost: a mail transfer agent that reads main.cf and behaves as Postfix does on the wire and in its log."""
