"""Contents that the conversion to 7 bits and header checks make something of."""

_TEXTS = {
    "simple": """\
Subject: x
MIME-Version: 1.0
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: 8bit

Grüße = x
trail\x20
ääääääääääääääääääääääääääääääääääääääääääääääääääääääääääää
.dot
""",
    "nocte": """\
Subject: x
Content-Type: text/plain; charset=utf-8

Grüße
""",
    "cteonly": """\
Subject: x
Content-Transfer-Encoding: 8bit

plain
""",
    "bin": """\
Subject: x
Content-Transfer-Encoding: Binary (foo)
X: y

plain\ttab\t
\x01\x02
""",
    "multi": """\
Subject: x
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="b1"
Content-Transfer-Encoding: 8bit

preämble
--b1
Content-Type: text/plain
Content-Transfer-Encoding: 8bit

ä
--b1
Content-Type: text/plain

raw ä
--b1
Content-Type: message/rfc822
Content-Transfer-Encoding: 8bit

Subject: nested ä
Content-Transfer-Encoding: 8bit
X: 1

nested body ä
--b1
Content-Type: multipart/alternative; boundary=b2
Content-Transfer-Encoding: 8bit

--b2
Content-transfer-encoding: base64

abcd
--b2
Content-Transfer-Encoding: 8bit

inner ä=
--b2--
post ä
--b1--
epilogue ä
""",
    "rfc822": """\
Subject: x
Content-Type: message/rfc822
Content-Transfer-Encoding: 8bit

Subject: in ä
Content-Transfer-Encoding: 8bit

body ä
""",
    "partial": """\
Subject: x
Content-Type: message/partial; id=1
Content-Transfer-Encoding: 8bit

body ä
""",
    "extern": """\
Subject: x
Content-Type: message/external-body
Content-Transfer-Encoding: 8bit

H: ä

body ä
""",
    "cte7": """\
Subject: x
Content-Transfer-Encoding: 7bit

ä
""",
    "qp": """\
Subject: x
Content-Transfer-Encoding: quoted-printable

ä=
""",
    "odd": """\
Subject: x
Content-Transfer-Encoding: x-foo

ä=
""",
    "digest": """\
Subject: x
Content-Type: multipart/digest; boundary=d
Content-Transfer-Encoding: 8bit

--d

Subject: a ä
Content-Transfer-Encoding: 8bit

body ä
--d--
""",
    "last": """\
Subject: x
Content-Transfer-Encoding: 8bit

end with space\x20
\t
\x20

""",
    "nobody": """\
Subject: x
Content-Transfer-Encoding: 8bit
""",
    "mixcte": """\
Subject: x
Content-Type: multipart/mixed; boundary=q

--q
Content-Type: text/plain; charset="a b"
Content-Transfer-Encoding: 8bit
Content-Disposition: inline

ä
--qX

ä
--q--
""",
    "specials": """\
Subject: x
Content-Transfer-Encoding: 8bit (c)

ä
""",
    "upper": """\
Subject: x
Content-Transfer-Encoding:
 8BIT

ä
""",
    "quoted": """\
Subject: x
Content-Transfer-Encoding: "8bit"

ä
""",
    "binary": """\
Subject: x
Content-Transfer-Encoding: binary

ä
""",
    "headerless": """\
nothing here
Content-Transfer-Encoding: 8bit

ä
""",
    "long": "Subject: x\nContent-Transfer-Encoding: 8bit\n\n" + "a" * 2500 + "ä\nb\n",
    "longheader": "Subject: " + "x" * 1200 + "\nContent-Transfer-Encoding: 8bit\n\na\n",
}
CONTENTS = {name: text.replace("\n", "\r\n").encode() for name, text in _TEXTS.items()}

_CHECKED = """\
Subject: test
X-Keep: a
X-Drop: b
X-Strip: c
X-Rep: d
X-Pre: e
X-Info: f
X-Warn: g
X-Bad: h
X-Rej: i
X-Empty: j
X-Fold: one
 two
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary=q

pre
--q
Content-Type: text/plain
X-In: 1

bdrop
brep
bpre
bwarn
bkeep
--q
Content-Type: message/rfc822

Subject: nested
Content-Type: text/html

nbody bwarn
--q--
"""
# With octets that are no UTF-8.
_LATIN = b"X-Latin: gr\xfc\xdfe\twas\r\n"
CHECKED = _LATIN + _CHECKED.replace("\n", "\r\n").encode() + b"blatin gr\xfc\xdfe\r\n"

CHECKS = r"""
smtp_header_checks = pcre:{
  {/^X-Drop/ IGNORE}
  {/^X-Latin: (.*)/ REPLACE X-New: $$1}
  {/^X-Strip/ STRIP stripped}
  {/^X-Rep/ REPLACE X-New: d
 more}
  {/^X-Pre/ PREPEND X-Before: z}
  {/^X-Info/ INFO inf o}
  {/^X-Warn/ WARN}
  {/^X-Bad/ FOO bar}
  {/^X-Rej/ REJECT no}
  {/^X-Empty/ REPLACE}
  {/^X-Fold/ WARN fold}
  {/./ INFO primary}
  }
smtp_mime_header_checks = pcre:{
  {/./ INFO mime}
  }
smtp_nested_header_checks = pcre:{
  {/Subject/ IGNORE}
  {/./ INFO nested}
  }
smtp_body_checks = pcre:{
  {/^bdrop/ IGNORE}
  {/^brep/ REPLACE new line}
  {/^blatin (.*)/ PREPEND $$1}
  {/^bpre/ PREPEND before}
  {/bwarn/ WARN b}
  {/^bkeep/ DUNNO}
  {/^--q/ INFO bound}
  {/^$$/ WARN empty}
  }
"""
