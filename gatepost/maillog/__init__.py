"""The mail log, byte for byte Postfix's: `lines` has one function per kind of line, `sink` writes them."""
