"""Variable envelope return paths: a sender address of its own for each recipient (VERP_README).

So a list learns from a notice's address who could not be reached: a notice about `user@domain` goes to
`list+user=domain@home` instead of `list@home`. Pure.
"""


def verp_sender(delimiters: str, sender: str, recipient: str) -> str:
    """The sender address for one recipient (verp_sender(3)); addresses in internal form.

    `recipient` is the original one, since that is what the list knows. The first of the two `delimiters` stands before
    it, the second in the place of its @.
    """
    local, at, domain = _parts(sender)
    user, _, host = _parts(recipient)
    address = local + delimiters[0] + user
    if host:
        address += delimiters[1] + host
    return address + at + domain if domain else address


def _parts(address: str) -> tuple[str, str, str]:
    at = address.rfind("@")
    return (address, "", "") if at < 0 else (address[:at], "@", address[at + 1 :])


def valid_delimiters(delimiters: str, allowed: str) -> bool:
    """Are these two characters of verp_delimiter_filter?"""
    return len(delimiters) == 2 and delimiters[0] in allowed and delimiters[1] in allowed
