"""Which files a configuration names, and who may ask for them."""

from gatepost.config.configuration import Configuration
from gatepost.master.named_files import NamedFiles

MAIN_CF = """\
compatibility_level = 3.6
dir = /etc/postfix
smtpd_tls_cert_file = $dir/cert.pem
smtpd_tls_key_file = ${dir}/key.pem
smtpd_tls_chain_files = $dir/a.pem, $dir/b.pem
smtp_tls_chain_files = none
smtp_sasl_password_maps = hash:$dir/passwd, proxy:lmdb:$dir/more
smtpd_recipient_restrictions = check_recipient_access pipemap:{cidr:$dir/c,regexp:$dir/r} reject
mydestination = !$dir/not, example.com, $dir/domains
tls_server_sni_maps = texthash:$dir/sni
alias_maps = inline:{a=b}
daemon_directory = /usr/lib/postfix
virtual_alias_maps = pgsql:$dir/pg.cf unix:passwd.byname
"""
MASTER_CF = """\
25 inet n - n - - smtpd
465 inet n - n - - smtpd
 -o smtpd_tls_chain_files=/etc/other.pem
 -o smtpd_relay_restrictions=$smtpd_recipient_restrictions
smart unix - - n - - smtp
 -o dir=/etc/smart
"""


def files(main_cf: str = MAIN_CF, master_cf: str = MASTER_CF) -> NamedFiles:
    return NamedFiles.of(Configuration.parse(main_cf, master_cf))


def names(named: NamedFiles, scope: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for file in named.files:
        if file.scope == scope:
            assert file.number == len(found.setdefault(file.parameter, []))
            found[file.parameter].append(file.path)
    return found


def test_keys_tables_and_files_of_lists() -> None:
    assert names(files(), "") == {
        "smtpd_tls_cert_file": ["/etc/postfix/cert.pem"],
        "smtpd_tls_key_file": ["/etc/postfix/key.pem"],
        "smtpd_tls_chain_files": ["/etc/postfix/a.pem", "/etc/postfix/b.pem"],
        "smtp_sasl_password_maps": ["/etc/postfix/passwd", "/etc/postfix/more", "/etc/postfix/more.lmdb"],
        "smtpd_recipient_restrictions": ["/etc/postfix/c", "/etc/postfix/r"],
        "mydestination": ["/etc/postfix/not", "/etc/postfix/domains"],
        "tls_server_sni_maps": ["/etc/postfix/sni"],
        "virtual_alias_maps": ["/etc/postfix/pg.cf"],
    }


def test_lines_of_master_cf_name_what_is_different_there() -> None:
    named = files()
    assert names(named, "465/inet") == {
        "smtpd_tls_chain_files": ["/etc/other.pem"],
        "smtpd_relay_restrictions": ["/etc/postfix/c", "/etc/postfix/r"],
    }
    assert names(named, "smart/unix")["smtp_sasl_password_maps"][0] == "/etc/smart/passwd"
    assert named.path("465/inet", "smtpd_tls_chain_files", 0) == "/etc/other.pem"
    assert named.path("465/inet", "smtpd_tls_chain_files", 1) is None
    assert named.path("", "smtpd_tls_chain_files", -1) is None


def test_a_default_names_files_too() -> None:
    assert ("", "alias_maps", 0, "/etc/aliases") in files("").files


def test_each_kind_of_worker_has_what_it_needs() -> None:
    named = files()
    kept = {role: named.for_role(role) for role in ("smtpd", "delivery", "qmgr", "single")}
    asked = {
        path: "".join(role[0] for role, known in kept.items() if known.by_path(path))
        for path in ("/etc/postfix/passwd", "/etc/postfix/key.pem", "/etc/postfix/sni", "/etc/postfix/pg.cf")
    }
    assert asked == {
        "/etc/postfix/passwd": "ds",  # what the parser of hostile octets must not get at
        "/etc/postfix/key.pem": "ss",
        "/etc/postfix/sni": "ss",
        "/etc/postfix/pg.cf": "sdqs",
    }


def test_the_mark_tells_configurations_apart() -> None:
    assert files().mark == files().mark
    assert files().mark != files(MAIN_CF.replace("key.pem", "key2.pem")).mark


def test_what_is_wrong_elsewhere_does_not_matter() -> None:
    named = files("transport_maps = hash:/etc/t\nrelay_domains = ${broken\n", "")
    assert [file.path for file in named.files if file.parameter != "alias_maps"] == ["/etc/t"]
