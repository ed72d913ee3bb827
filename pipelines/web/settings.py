"""The configuration of `pipelines.app`, checked; no heavy imports here."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from conf.compose import typed
from conf.errors import ConfigError
from conf.printable import without_secrets
from training.data.remote import AnyPath


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What one visitor may ask for; `conf/app.yaml` says what each key means."""

    upload_mb: float
    pixels: int
    letters: int
    frames: int
    steps: int
    canvas_px: int
    seconds: float
    queue: int
    paintings: int | None

    def __post_init__(self) -> None:
        for key, lowest, highest in (
            ("upload_mb", 0.1, 1000), ("pixels", 256, 100_000_000), ("letters", 1, 5000), ("frames", 2, 256),
            ("steps", 1, 1000), ("canvas_px", 64, 2048), ("seconds", 1, 86_400), ("queue", 1, 10_000),
            *([("paintings", 1, 1_000_000)] if self.paintings is not None else []),
        ):  # fmt: skip
            if not lowest <= getattr(self, key) <= highest:
                raise ConfigError(key, getattr(self, key), f"{lowest} to {highest}")

    @property
    def upload_bytes(self) -> int:
        """The most bytes of an uploaded picture."""
        return round(self.upload_mb * 1e6)


@dataclass(frozen=True, kw_only=True)
class AppConfig:
    """The painters, address and limits of an app; `conf/app.yaml` says what each key means."""

    painters: tuple[AnyPath, ...]
    out: Path
    host: str
    port: int
    device: str
    gallery: Literal["all", "own"]
    limits: Limits

    def __post_init__(self) -> None:
        if not 1 <= self.port <= 65535:
            raise ConfigError("port", self.port, "1 to 65535")
        if not self.painters:
            raise ConfigError("painters", "[]", "at least one painter, as [tiny]")
        names = [without_secrets(painter.name) for painter in self.painters]
        if repeated := {name for name in names if names.count(name) > 1}:
            raise ConfigError("painters", min(repeated), "folders of different names, by which visitors choose")

    @property
    def by_name(self) -> Mapping[str, AnyPath]:
        """The painters by the names that visitors see."""
        return {without_secrets(painter.name): painter for painter in self.painters}


def app_config(plain: dict[str, Any]) -> AppConfig:
    """The typed configuration.

    Raises:
        UserError: naming the key, the value and what is allowed.
    """
    return typed(AppConfig, plain)
