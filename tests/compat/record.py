"""Write the S: and L: lines of dialogues from what a real Postfix answers: python -m tests.compat.record FILE...

A file may have the client's lines only; an empty `S:` between two of them makes the client wait.
"""

import json
import subprocess
import sys
from pathlib import Path

from tests.compat.play_real import command
from tests.dialogs.dialog import parse


def main(paths: list[str]) -> None:
    done = subprocess.run(command(["--record", *paths]), capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr)
    results = json.loads(done.stdout)
    for path in paths:
        dialog = parse(Path(path))
        result = results[dialog.name]
        if "steps" not in result:
            print(dialog.name, result, file=sys.stderr)
            continue
        lines = [*dialog.head, *(f"{kind}: {text}" for kind, text in result["steps"])]
        lines += [f"L: {text}" for text in result["log"]]
        if dialog.requests:
            lines += [f"P: {text}" for text in result["requests"]]
        Path(path).write_text("\n".join(line.rstrip() for line in lines) + "\n")


if __name__ == "__main__":
    main([str(Path(argument).resolve()) for argument in sys.argv[1:]])
