"""A mail system whose queue, log or mailboxes stand on volumes of their own: small ones, which fill up.

They are mounted in a mount namespace that ends with the mail system: nothing of them remains on the host. The host sees
into it through /proc/PID/root.
"""

import contextlib
import os
import shutil
import subprocess
from pathlib import Path

from tests.scenarios.server import GATEPOST, REPOSITORY, Gatepost, queue_id_of, temporary_folder

PIECE = 1 << 16
IN_NAMESPACE = ["unshare", "--mount", "--propagation", "private"]


def why_not() -> str:
    """Why there can be no volumes here; empty: there can."""
    if os.geteuid():
        return "volumes of a test's own want root"
    if shutil.which("unshare") is None or shutil.which("nsenter") is None:
        return "util-linux (unshare, nsenter) is not installed"
    tried = subprocess.run(
        [*IN_NAMESPACE, "mount", "-t", "tmpfs", "none", "/mnt"],
        capture_output=True,
        check=False,
    )
    return "no mounts may be made here: " + tried.stderr.decode().strip() if tried.returncode else ""


class VolumeGatepost(Gatepost):
    """`volumes`: mounted folders and their size in octets. `read_only`: folders that the next start cannot write to."""

    def __init__(self, folder: Path, main_cf: str, volumes: dict[Path, int]) -> None:
        super().__init__(folder, main_cf)
        self.read_only: list[Path] = []
        self._volumes = volumes

    def launch(self, *options: str) -> None:
        mounts = [self.mount(path, size) for path, size in self._volumes.items()]
        mounts += [f"mount --bind {path} {path} && mount -o remount,bind,ro {path}" for path in self.read_only]
        start = ["start", "--foreground", *options]
        script = " && ".join([*mounts, 'exec "$@"'])
        with open(self.folder / "out", "ab") as output:
            self.process = subprocess.Popen(
                [*IN_NAMESPACE, "sh", "-c", script, "sh", *GATEPOST, "-c", str(self.conf), *start],
                cwd=REPOSITORY,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.prefix = ["nsenter", f"--target={self.process.pid}", "--mount", f"--wd={REPOSITORY}"]

    def mount(self, path: Path, size: int) -> str:
        """The command for it."""
        return f"mount -t tmpfs -o mode=0755,size={size} none {path}"

    def master_pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def log(self) -> str:
        path = self.seen(self.log_path)
        return path.read_text(errors="replace") if path.exists() else ""

    def send_unless_full(self, sender: str, recipient: str) -> str:
        """The queue ID; empty if there is no space."""
        client = self.client()
        try:
            reply = client.send(sender, recipient)
        finally:
            client.hang_up()
        assert reply.startswith(("250 ", "452 4.3.1 ", "451 ")), reply
        return queue_id_of(reply) if reply.startswith("250") else ""

    def seen(self, path: Path) -> Path:
        """Where a path of the mail system is for us."""
        if self.process is None or self.process.poll() is not None:
            return path
        return Path(f"/proc/{self.process.pid}/root{path}")

    def inside(self, *command: str) -> None:
        subprocess.run([*self.prefix, *command], check=True, capture_output=True)

    def fill(self, volume: Path, leave: int = 0) -> None:
        """Use all of its space, but for `leave` octets."""
        path = self.seen(volume) / "filler"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            for size in (PIECE, 512):
                with contextlib.suppress(OSError):
                    while True:
                        os.write(descriptor, bytes(size))
            if leave:
                os.ftruncate(descriptor, max(0, os.fstat(descriptor).st_size - leave))
        finally:
            os.close(descriptor)

    def free(self, volume: Path) -> None:
        with contextlib.suppress(FileNotFoundError):
            (self.seen(volume) / "filler").unlink()


def why_no_disk() -> str:
    """Why there can be no disks of a test's own; empty: there can."""
    if reason := why_not():
        return reason
    if shutil.which("mkfs.ext4") is None:
        return "e2fsprogs (mkfs.ext4) is not installed"
    with temporary_folder() as folder:
        command = [*IN_NAMESPACE, "sh", "-c", _disk(folder / "image", folder, 16 << 20)]
        tried = subprocess.run(command, capture_output=True, check=False)
    return "no disk can be made here: " + tried.stderr.decode().strip() if tried.returncode else ""


def _disk(image: Path, path: Path, size: int) -> str:
    made = f"truncate --size={size} {image} && mkfs.ext4 -q {image}"
    return f"{{ test -e {image} || {{ {made}; }}; }} && mount -o loop {image} {path}"


class DiskGatepost(VolumeGatepost):
    """Its volumes are disks, with a file system that outlives the mail system."""

    def mount(self, path: Path, size: int) -> str:
        return _disk(self.folder / f"{path.name}.image", path, size)

    def break_disk(self, path: Path) -> None:
        """As the kernel does when a disk fails: nothing can be written any more, whatever is open."""
        self.inside("mount", "-o", "remount,abort", str(path))
