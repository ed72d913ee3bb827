"""Errors that a user can correct, each in one line."""

from conf.printable import as_typed


class UserError(Exception):
    """An error that only the user can correct. Commands print it as one line and exit with code 2."""


class ConfigError(UserError):
    """A configuration key holds a value that is not allowed.

    Args:
        key: dotted path of the key. A dataclass names its own field; `conf.compose.typed` adds the path above it.
        value: the value that was given.
        allowed: a description of what is allowed.
    """

    def __init__(self, key: str, value: object, allowed: str) -> None:
        self.key, self.value, self.allowed = key, value, allowed
        super().__init__(key, value, allowed)

    def __str__(self) -> str:
        return f"{self.key}={as_typed(self.value)}: not allowed; allowed: {self.allowed}"

    def under(self, prefix: str) -> "ConfigError":
        """The same error seen from one level up the configuration tree."""
        return ConfigError(f"{prefix}.{self.key}" if prefix else self.key, self.value, self.allowed)
