"""Procedural pictures with exact captions and ground truth."""

from pipelines.sources.scenes.source import ScenesSource

__all__ = ["ScenesSource"]
