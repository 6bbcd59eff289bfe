"""The same table, the same keys: postmap(1) and we must give the same answers, and find the same mistakes."""

from pathlib import Path

import pytest

from tests.tables.postmap import make_old, query
from tests.tables.surroundings import Surroundings

TEXTHASH = b"""# comment
 leading blanks
foo bar
FOO again
novalue
"quo ted"@dom val
"quoted"  qv
"unterminated val
a\\ b c
key\ttab  value\x20\x20
 continued\x20\x20
# a comment ends nothing
 more
key2 v # not a comment

 after an empty line
"x"y z
@d.example r
"a@b"@c r2
<foo@bar> r3
foo@bar, r4
\xc3\x9cn\xc3\xaf r5
stra\xc3\x9fe r9
:foo r6
foo:  r7
bad\xff x
nbsp\xc2\xa0key v
ff\x0cx v
crlf value\r
last l"""

TEXTHASH_KEYS = (
    'foo FOO novalue "quo|ted"@dom "quoted" a\\|b key KEY key2 "x"y @d.example "a@b"@c <foo@bar> foo@bar, '
    "\u00fcn\u00ef \u00dcN\u00cf stra\u00dfe STRASSE :foo foo: last crlf nbsp\u00a0key nbsp ff bad leading nothing"
)

CIDR = """# networks
10.0.0.0/8 ten
10.1.2.3/16 bad
010.1.0.0/16 zero
!192.168.0.0/16 notpriv
if 10.0.0.0/8
10.5.0.0/16 in
endif
[2001:db8::]/32 six
2001:db9::/32 sixb
1.2.3.4
foo bar
1.2.3.0/33 x
endif
if 1.2.3.4
 1.2.3.4 cont
1.2.3/24 a
1.2.3.0/ a2
1.2.3.4/x a3
[1.2.3.4 b
[1.2.3.4]x c
if 1.2.3.0/24 junk
iffy x
-1.2.3.4 x
if
"""

CIDR_IF = """if !1.2.3.4
if 1.2.3.0/24
! 1.2.3.9 not  nine
1.2.3.9 nine
endif
ENDIF trailing
endif
::ffff:1.2.3.4 mapped
!!1.2.3.4/032 four
[::/0] all6
if 5.0.0.0/8
5.5.5.5 five
"""

CIDR_KEYS = "10.0.0.1 10.5.0.1 192.168.1.1 1.2.3.4 1.2.3.9 1.2.3.7 9.9.9.9 5.5.5.5 6.6.6.6 2001:db8::1 2001:db9::1 " \
    "2001:DB9:0::1 ::1 ::ffff:1.2.3.4 junk 1.2.3 010.0.0.1 1.2.3.4.5 [1.2.3.4]"  # fmt: skip

REGEXP = r"""/a(b)c/ got $1 ${1} $(1) $$
!/x/ $1 hello
/unclosed
/(/ bad
|pipe|i res
/f/iq res
if /foo/
/foobar/ FB
if !/baz/
/fooqux/ FQ $2
/fooq/ FQ
endif
endif
endif
if /zzz/
/long/ $
 /cont/ x
/z+y/   two  spaces
abc def
/yy(y)/ ${1
/yy(y)/ $1foo
/yy(y)/ $(1)foo$9
/yy(y)/ ${x}
/yy(y)/ <$(1)>
endif trailing
/qq(w)?/ [$1]
if
/ww/!/www/ ww not www
/(a+|ab)(c|bcd)(d*)/ 1=$1 2=$2 3=$3
#hash# comment
/long\/slash/ slash
/long/m m
"""

REGEXP_KEYS = "xabcx hellx xfoobar fooqux fooqbaz xlong zlong zzyyyx ppipe PIPE qqw qq aww awww abcd long/slash x zzzyz"

POSIX = r"""/\d1/ backslash d
/*x/ star
/^+/ plus
/a{,2}b7/ upto
/a{x/ unmatched
/a{x}/ content
/a{1,x}/ content
/a{40000}/ big
/{1}a/ preceding
/a{3,2}/ order
/p)q/ paren
/[\d]2/ bracket
/e()3/ empty
/x|*/ or star
/\<w4\>/ word
/(a|b)\15/ backref
/a**6/ double
/^*/ anchor star
/\1(a)/ forward
/(a\1)/ inside
/[[:foo:]]/ class
/[z-a]/ range
/[a/ open
/[/ open at once
/a[^/ open at once
/[a-[/ open range
/(a/ open
/\w\s\W\S8/ gnu
/[[.a.]x]q/ collating
/[[=a=]]v/ equivalent
/[]x]y/ bracket first
/[^]y]w/ not bracket
/a$b/ dollar
/m^/ caret
/\y/ y
/a\{2/ literal
/(a)|\1/ alternative
/k(|b)l/ empty alternative
/n|/ trailing
"""

POSIX_KEYS = "d1 11 \\2 d2 e3 w4 xw4 w45 aa5 ab5 bb5 ab7 aab7 aaab7 aaa6 6 aq xq av ]y xy ]w uw a$b m^ y a{2 kl kbl " \
    "p)q n zz *x x {1}a"  # fmt: skip

FLAGS = r"""/aBc/ any
/AbC/i exact
/a\+b/x basic
/c\(d\)e/x group $1
/x*y|z/x literal bar
/^*s/x star
/u$v^w/x anchors
/g\{2\}h/x interval
/^q.$/m newline
"""

FLAGS_KEYS = "abc ABC AbC aab a+b cde c(d)e x*y|z xxy|z xy *s s u$v^w ggh gh qx qxx"

PCRE = r"""/a(b)c/ got $1 ${1} $(1) $$
/^(?!good)\w+\.example$/ not good
/(\w)\1/ twice $1
/\bword\b/i word
/(g+)/U one $1
/k e y/x xkey
/^a/A a
/[[:digit:]]{3}/ digits
if /^h/
!/t$/ no t
/t$/ t
endif
/\x41\d/ A digit
/v(?i:w)/i vw
/\Aq.z\z/s dotall
/$y/ never
/j$/ end
/[$]m/ dollar
/x|y$/E E
/\p{Lu}o/ property
"""

PCRE_KEYS = "abc xABCx good.example bad.example aa word aword WORD wordy ggg key ab 123 12 hit hip A1 vw vW VW qaz " \
    "qz j jj $m ys y xs Oo \u00e9\u00e9 \u00c9"  # fmt: skip

PCRE_MISTAKES = r"""/a/Q bad flag
/b/iX flags
/(/ open
/[/ class
/a(?<n>x)/ named $1
/c/ $2
!/d/ $1
/e/ ${1
/f/ $(x)
if
if /g/ text
endif
endif
if !/h/i
 /hh/ y
/h2/ z
!!/k/ double
! /k2/ space
/unclosed
/nores/
/p q/x ext
/U(.+)/U un $1
/dollar/ $$1
|alt|x| y
iffy
if/nospace/
/ns/ ns
endif
ENDIF
IF /upper/
/upper2/ up
endif
/i(?i)nner/ in
/\Qa.b\E/ q
/(?x) c d # c/ cd
/last/ $0
/last/ $11
/a{2,1}/ bad
/(?<=ab)c+/ look
/x\K y/x k
/(a)(b)?/ [$1][$2]
/last line/ $1
if /unclosed/
"""

PCRE_MISTAKES_KEYS = "a b c d e f g h hh k k2 x pq U12 dollar x| iffy ns upper upper2 inner iNNER a.b cd last aac " \
    "abc abcc ab zz nothing ax aNx"  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "source", "keys", "warnings_too"),
    [
        ("texthash", TEXTHASH, TEXTHASH_KEYS, True),
        ("cidr", CIDR, CIDR_KEYS, True),
        ("cidr", CIDR_IF, CIDR_KEYS, True),
        ("regexp", REGEXP, REGEXP_KEYS, True),
        ("regexp", POSIX, POSIX_KEYS, True),
        ("regexp", FLAGS, FLAGS_KEYS, True),
        ("pcre", REGEXP, REGEXP_KEYS, True),
        ("pcre", PCRE, PCRE_KEYS, True),
        ("pcre", PCRE_MISTAKES, PCRE_MISTAKES_KEYS, True),
    ],
)
async def test_same_answers(
    tmp_path: Path, world: Surroundings, kind: str, source: str | bytes, keys: str, warnings_too: bool
) -> None:
    path = tmp_path / "table"
    path.write_bytes(source if isinstance(source, bytes) else source.encode())
    make_old(path)
    asked = [key.replace("|", " ") if kind == "texthash" else key for key in keys.split()]
    values, warnings = query(tmp_path, f"{kind}:{path}", asked)
    table = world.tables.open(f"{kind}:{path}")
    mine = {key: value for key in asked if (value := await table.lookup(key)) is not None}
    assert mine == values
    if warnings_too:
        theirs = [text for text in warnings if not text.startswith(("empty macro name", "truncated macro"))]
        plain = [text for text in world.warnings if "macro name" not in text and "truncated macro" not in text]
        assert plain == theirs
