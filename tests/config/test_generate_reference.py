from pathlib import Path

from gatepost.config.generate_reference import reference
from gatepost.config.parameters import PARAMETERS

DOCS = Path(__file__).resolve().parents[2] / "docs"


def test_the_reference_is_current() -> None:
    message = "run: python -m gatepost.config.generate_reference docs/parameters.md"
    assert (DOCS / "parameters.md").read_text("utf-8") == reference(), message


def test_our_own_parameters_are_explained() -> None:
    text = (DOCS / "configuration.md").read_text("utf-8")
    for name in PARAMETERS:
        if name.startswith("gatepost_"):
            assert f"`{name}`" in text
