"""Delivery agents: one small interface, one RecipientStatus per recipient."""
