"""A name and an address in a header of mail made here (header_from_format, postconf(5))."""


def named_address(name: str, address: str, form: str) -> str:
    """`form`: `standard`, or `obsolete`, as Postfix wrote before 3.3. The name needs no quotes."""
    return f"{address} ({name})" if form == "obsolete" else f"{name} <{address}>"
