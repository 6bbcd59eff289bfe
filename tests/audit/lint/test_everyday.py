"""A whole mail server as many run it, with the overrides that go with filters and submission: lint is silent."""

from pathlib import Path

from tests.audit.lint.configurations import Folder

EVERYDAY = Path(__file__).with_name("everyday")


def test_silence(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    for name in ("domains.cf", "boxes.cf", "aliases.cf", "sender_headers"):
        folder.write(f"/etc/postfix/{name}", "")
    for name in ("/etc/aliases", "/etc/ssl/mail.pem", "/etc/ssl/ca.pem"):
        folder.write(name, "")
    assert folder.lint((EVERYDAY / "main.cf").read_text(), (EVERYDAY / "master.cf").read_text()) == []
