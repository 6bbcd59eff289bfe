"""lint has nothing to say of what Postfix itself shows, nor of the starter configuration (`make run`)."""

import os
import re
from pathlib import Path

import pytest

from gatepost.audit.lint.finding import Finding
from gatepost.cli.starter import write_configuration
from gatepost.config.errors import ConfigError
from tests.audit.lint.configurations import MASTER_CF, Folder
from tests.audit.lint.postfix_examples import DOCUMENTS, SHARED, documents, examples, whole

MAIN, MASTER = "/etc/postfix/main.cf", "/etc/postfix/master.cf"

# What a block shows on purpose, or what is true of it since its document was written.
EXPECTED = {
    ("ADDRESS_REWRITING_README", "local-recipients-unchecked"): "it shows how the check is switched off",
    ("BACKSCATTER_README", "table-line-ignored"): "the document's text form breaks a pattern into two lines",
    ("BASIC_CONFIGURATION_README", "macro-undefined"): "it shows the syntax: other_parameter = $parameter",
    ("BASIC_CONFIGURATION_README", "parameter-unused"): "it shows the syntax: parameter = value",
    ("BUILTIN_FILTER_README", "parameter-misspelt"): "the line of master.cf that uses the names is in another block",
    ("FILTER_README", "transport-missing"): "the transport's line of master.cf is in another block",
    ("LOCAL_RECIPIENT_README", "local-recipients-unchecked"): "it shows how the check is switched off",
    ("QSHAPE_README", "parameter-deprecated"): "it is headed `Earlier Postfix versions`",
    ("SASL_README", "login-in-clear"): "the first of several steps; another one sets smtpd_tls_auth_only",
    ("STRESS_README", "dns-list-error-codes-count"): "Spamhaus has answered public resolvers with codes since 2019",
    ("TLS_README", "tls-without-certificate"): "one parameter at a time; the certificate is in another block",
    ("TLS_README", "submission-open"): "one step of several",
    ("UUCP_README", "transport-missing"): "the transport's line of master.cf is in another block",
}
# It tells how TLS was configured before Postfix 2.3.
OF_ANOTHER_TIME = {"TLS_LEGACY_README"}

needs_postfix = pytest.mark.skipif(
    not SHARED.is_dir() and not os.environ.get("CI"), reason="Debian's postfix package is not installed"
)
needs_documents = pytest.mark.skipif(
    not DOCUMENTS.is_dir() and not os.environ.get("CI"), reason="Debian's postfix-doc package is not installed"
)


def told(found: list[Finding]) -> list[tuple[str, str, str]]:
    return [(finding.check, finding.where, finding.message) for finding in found]


@needs_postfix
@pytest.mark.parametrize("name", ["main.cf.debian", "main.cf.dist", "main.cf.tls", "/etc/postfix/main.cf.proto"])
def test_main_cf_of_the_package(name: str, tmp_path: Path) -> None:
    text = (SHARED / name).read_text()
    if name == "main.cf.tls":
        # The installation puts the names of files in, which are there then.
        text = re.sub("@@\\w+@@", "", text)
    # So are the places of programs and manual pages.
    text = re.sub(r"^[a-z]+_(?:path|group|directory) =\s*$", "", text, flags=re.M)
    folder = Folder(tmp_path)
    for path in re.findall(r"=\s*(?:hash:)?(/etc/(?:ssl|aliases)\S*)", text):
        if not path.endswith("certs"):
            folder.write(path, "", mode=0o640)
    assert told(folder.lint(text, (SHARED / "master.cf.dist").read_text())) == []


@needs_postfix
@pytest.mark.parametrize("name", ["master.cf.dist", "/etc/postfix/master.cf.proto"])
def test_master_cf_of_the_package(name: str, tmp_path: Path) -> None:
    text = (SHARED / name).read_text()
    assert told(Folder(tmp_path).lint("", text)) == []


@needs_postfix
def test_master_cf_of_the_package_with_all_its_lines(tmp_path: Path) -> None:
    """Each line that is commented out, but for those of which one is to be chosen, and those of postscreen."""
    text = (SHARED / "master.cf.dist").read_text()
    chosen = re.sub(r"^#(?:127\.0\.0\.1:|smtp |qmgr |628 ).*\n", "", text, flags=re.M)
    chosen = re.sub(r"^#(?=\w+ +(?:inet|pass|unix) |  -o |  flags=)", "", chosen, flags=re.M)
    assert re.search(r"^submissions +inet", chosen, re.M)
    folder = Folder(tmp_path)
    folder.write("/etc/ssl/mail.pem", "")
    assert told(folder.lint("smtpd_tls_chain_files = /etc/ssl/mail.pem\n", chosen)) == []


EXAMPLE_TABLES = {
    "access": "smtpd_sender_restrictions = check_sender_access hash:/etc/postfix/access",
    "aliases": "alias_maps = hash:/etc/postfix/aliases",
    "canonical": "canonical_maps = hash:/etc/postfix/canonical",
    "generic": "smtp_generic_maps = hash:/etc/postfix/generic",
    "header_checks": "header_checks = regexp:/etc/postfix/header_checks",
    "relocated": "relocated_maps = hash:/etc/postfix/relocated",
    "transport": "transport_maps = hash:/etc/postfix/transport",
    "virtual": "virtual_alias_maps = hash:/etc/postfix/virtual",
}


@needs_documents
@pytest.mark.parametrize("name", EXAMPLE_TABLES)
def test_example_tables(name: str, tmp_path: Path) -> None:
    text = (DOCUMENTS / "examples" / name).read_text()
    folder = Folder(tmp_path)
    folder.write(f"/etc/postfix/{name}", text)
    assert told(folder.lint(f"{EXAMPLE_TABLES[name]}\n")) == []


@needs_documents
def test_examples_of_the_documents(tmp_path: Path) -> None:
    counted, spoken = 0, []
    for path in documents():
        for number, example in enumerate(examples(path)):
            if example.document in OF_ANOTHER_TIME or not all(map(whole, example.files.values())):
                continue
            found = lint_example(Folder(tmp_path / f"{path.name}-{number}"), example.files)
            counted += found is not None
            for finding in found or ():
                if (example.document, finding.check) not in EXPECTED:
                    spoken.append((example.document, finding.check, finding.where, finding.message))
    assert spoken == [], "\n".join(map(str, spoken))
    assert counted > 100


def lint_example(folder: Folder, files: dict[str, str]) -> list[Finding] | None:
    """None: it shows no configuration, or not one that can be read."""
    if MAIN not in files and MASTER not in files:
        return None
    for name, text in files.items():
        if name not in (MAIN, MASTER):
            folder.write(name, text)
    main, master = files.get(MAIN, ""), files.get(MASTER, "")
    settings = re.findall(r"^(\w+)\s*=", main, re.M)
    if len(settings) != len(set(settings)):
        return None  # alternatives
    replaced = {tuple(line.split()[:2]) for line in master.split("\n") if line[:1].strip(" #")}
    base = "".join(f"{line}\n" for line in MASTER_CF.splitlines() if tuple(line.split()[:2]) not in replaced)
    try:
        found = folder.lint(main, base + master)
    except ConfigError:
        return None
    # Files that the document does not show.
    return [finding for finding in found if finding.check not in ("table-missing", "tls-file-missing", "no-listener")]


def test_the_starter_configuration(tmp_path: Path) -> None:
    write_configuration(tmp_path / "run", 2525)
    main, master = ((tmp_path / "run" / name).read_text() for name in ("main.cf", "master.cf"))
    assert told(Folder(tmp_path / "root").lint(main, master)) == []


def test_the_configuration_of_the_readme(tmp_path: Path) -> None:
    text = (Path(__file__).parents[3] / "README.md").read_text()
    blocks = re.findall(r"```\n# main\.cf\n(.*?)```", text, re.S)
    assert blocks
    for block in blocks:
        assert told(Folder(tmp_path).lint(block)) == []
