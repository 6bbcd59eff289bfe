"""saslauthd in a folder of its own. It asks an IMAP server (`-a rimap`), which is a small one of ours."""

import contextlib
import shutil
import socket
import socketserver
import subprocess
import tempfile
import threading
import time
from pathlib import Path

PROGRAM = shutil.which("saslauthd") or "/usr/sbin/saslauthd"


def missing() -> str:
    """Why there is no saslauthd to ask; empty if there is one."""
    return "" if Path(PROGRAM).exists() else "saslauthd is not installed"


class _Imap(socketserver.StreamRequestHandler):
    """LOGIN with quoted strings, as saslauthd says it; all else is unknown."""

    def handle(self) -> None:
        self.wfile.write(b"* OK ready\r\n")
        for line in self.rfile:
            words = line.decode(errors="replace").split()
            if len(words) == 4 and words[1].upper() == "LOGIN":
                name, password = (word.strip('"') for word in words[2:])
                right = self.server.users.get(name) == password  # type: ignore[attr-defined]
                self.wfile.write(f"{words[0]} {'OK' if right else 'NO'} done\r\n".encode())
            else:
                self.wfile.write(f"{words[0] if words else '*'} BAD what\r\n".encode())
                if len(words) > 1 and words[1].upper() == "LOGOUT":
                    return


class Saslauthd:
    """`path` is its socket. `start` before use, `stop` always."""

    def __init__(self, users: dict[str, str]) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="saslauthd-"))
        self.folder.chmod(0o755)
        self.path = str(self.folder / "mux")
        self._imap = socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Imap)
        self._imap.daemon_threads = True
        self._imap.users = users  # type: ignore[attr-defined]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> "Saslauthd":
        threading.Thread(target=self._imap.serve_forever, daemon=True).start()
        port = self._imap.server_address[1]
        command = [PROGRAM, "-d", "-a", "rimap", "-O", f"127.0.0.1/{port}", "-m", str(self.folder), "-n", "1"]
        with (self.folder / "out").open("wb") as out:
            # At its end it ends its whole process group.
            self._process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, start_new_session=True)
        end = time.monotonic() + 30
        while not self._answers():
            assert time.monotonic() < end, (self.folder / "out").read_text()
            time.sleep(0.05)
        return self

    def _answers(self) -> bool:
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as sock:
            sock.connect(self.path)
            return True
        return False

    def conf(self, folder: Path) -> None:
        """Write a smtpd.conf that names it."""
        folder.mkdir(exist_ok=True)
        folder.chmod(0o755)
        text = f"pwcheck_method: saslauthd\nmech_list: plain login\nsaslauthd_path: {self.path}\n"
        (folder / "smtpd.conf").write_text(text)

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(30)
        self._imap.shutdown()
        self._imap.server_close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> "Saslauthd":
        try:
            return self.start()
        except BaseException:
            self.stop()
            raise

    def __exit__(self, *_: object) -> None:
        self.stop()
