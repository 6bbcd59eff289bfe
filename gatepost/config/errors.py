"""What is wrong with a configuration, said so that an operator can find the place."""


class ConfigError(Exception):
    """A mistake in main.cf, master.cf or a file they name. `path` and `line` (from 1; 0 = unknown) say where."""

    def __init__(self, message: str, *, path: str = "", line: int = 0, parameter: str = "") -> None:
        self.message = message
        self.path = path
        self.line = line
        self.parameter = parameter
        super().__init__(str(self))

    def __str__(self) -> str:
        where = f"{self.path}, line {self.line}: " if self.path and self.line else f"{self.path}: " if self.path else ""
        what = f"parameter {self.parameter}: " if self.parameter else ""
        return f"{where}{what}{self.message}"
