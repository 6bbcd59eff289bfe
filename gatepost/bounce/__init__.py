"""Delivery status notifications (bounce(8), RFC 3464)."""
