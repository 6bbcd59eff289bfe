"""Writes settings.pyi from the registry: `python -m gatepost.config.generate_stub`."""

from pathlib import Path

from gatepost.config.declaration import Type
from gatepost.config.parameters import PARAMETERS, TRANSPORT_SUFFIXES

_ANNOTATIONS = {Type.BOOLEAN: "bool", Type.NUMBER: "int", Type.SIZE: "int", Type.TIME: "int"}

_HEAD = """# Generated from the parameter registry by `python -m gatepost.config.generate_stub`. Do not edit.
from typing import Literal, overload

from gatepost.config.evaluation import Evaluation

class Settings(Evaluation):
    def __getitem__(self, name: str) -> bool | int | str: ...
"""


def stub() -> str:
    """The text of settings.pyi."""
    texts = sorted(name for name, template in TRANSPORT_SUFFIXES.items() if template.type is Type.TEXT)
    numbers = sorted(TRANSPORT_SUFFIXES.keys() - set(texts))
    lines = [_HEAD]
    for suffixes, annotation in ((texts, "str"), (numbers, "int")):
        names = "".join(f'            "{suffix}",\n' for suffix in suffixes)
        lines.append(
            "    @overload\n    def transport(\n        self,\n        transport: str,\n"
            f"        suffix: Literal[\n{names}        ],\n    ) -> {annotation}: ...\n"
        )
    for name in sorted(PARAMETERS):
        if name.isidentifier():
            annotation = _ANNOTATIONS.get(PARAMETERS[name].type, "str")
            lines.append(f"    @property\n    def {name}(self) -> {annotation}: ...\n")
    return "".join(lines)


if __name__ == "__main__":
    Path(__file__).with_name("settings.pyi").write_text(stub(), "utf-8")
