"""A data set made without a renderer in milliseconds, for tests that do not depend on how it was painted."""

import hashlib
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from training.data.dataset import DatasetCard, read_manifests
from training.data.layout import frame_member, sequence_key, shard_name, shards_folder
from training.data.shard import ShardWriter
from training.data.survey import surveyed

SHARDS = (shard_name("train", 0, 2), shard_name("train", 1, 2), shard_name("val", 0, 1))
RENDERERS = ("bezier", "oil")


def small_dataset(
    root: Path,
    *,
    captions: Sequence[str] = ("a red boat", "a green hill", "a red house", "a blue lake", "a lamp", ""),
    num_frames: int = 8,
    size_px: tuple[int, int] = (64, 48),
    refused: Sequence[dict[str, Any]] = (),
    shards: Sequence[str] = SHARDS,
    facts: dict[str, Any] | None = None,
    phrases: dict[str, str] | None = None,
) -> Path:
    """Write a data set with one sequence for each caption, in three shards and of two renderers; returns its folder.

    Args:
        root: a new folder.
        captions: one for each sequence.
        num_frames: of each sequence.
        size_px: (width, height).
        refused: rows of the first shard's quarantine.
        shards: the shards that are committed; with fewer than three the data set is not complete.
        facts: fields that replace those of every record.
        phrases: method phrases by name, for the recipe; None for a recipe without phrases.
    """
    shards_folder(root).mkdir(parents=True)
    bounds = np.linspace(0, len(captions), len(SHARDS) + 1).astype(int)
    for shard_number, name in enumerate(SHARDS):
        if name not in shards:
            continue
        records = []
        with ShardWriter(root, name) as writer:
            for index in range(bounds[shard_number], bounds[shard_number + 1]):
                record = _record(index, name, captions[index], num_frames) | (facts or {})
                frames = painted_frames(index, num_frames, size_px)
                writer.add(record["key"], _members(record, frames))
                records.append(record)
            rows = tuple(refused) if shard_number == 0 else ()
            writer.commit(
                split=name.partition("-")[0],
                first_index=int(bounds[shard_number]),
                num_planned=len(records) + len(rows),
                config_hash="c" * 64,
                code_version="0.1.0",
                records=tuple(records),
                quarantined=rows,
            )
    complete = len(shards) == len(SHARDS)
    methods = [{"name": name, "phrase": phrase} for name, phrase in (phrases or {}).items()]
    DatasetCard(
        recipe={
            "source": {"kind": "folder"},
            "schedule": {"num_frames": num_frames, "spacing": "distance"},
            **({"renderers": methods} if methods else {}),
        },
        config_hash="c" * 64,
        code_version="0.1.0",
        shards=SHARDS,
        num_planned=len(captions) + len(refused),
        totals=surveyed(read_manifests(root, SHARDS)).totals() if complete else None,
    ).write(root)
    return root


def painted_frames(index: int, num_frames: int, size_px: tuple[int, int]) -> NDArray[np.uint8]:
    """(T, H, W, 3) a bar of the sequence's own colour grows from the left over a white canvas."""
    width, height = size_px
    frames = np.full((num_frames, height, width, 3), 255, np.uint8)
    colour = np.random.default_rng(index).integers(0, 160, 3)
    for number in range(num_frames):
        frames[number, :, : round(width * number / (num_frames - 1))] = colour
    return frames


def _record(index: int, shard: str, caption: str, num_frames: int) -> dict[str, Any]:
    return {
        "key": sequence_key(index),
        "index": index,
        "split": shard.partition("-")[0],
        "shard": shard,
        "source": f"pictures/{index}.jpg",
        "source_sha256": hashlib.sha256(str(index).encode()).hexdigest(),
        "licence": "CC0-1.0",
        "caption": caption,
        "renderer": RENDERERS[index % len(RENDERERS)],
        "renderer_config_hash": "r" * 64,
        "seed": 0,
        "num_steps": 100 * (num_frames - 1),
        "frame_steps": [100 * number for number in range(num_frames)],
        "psnr_db": 20.0 + index,
        "ssim": 0.5 + index / 1000,
        "coverage": [round(number / (num_frames - 1), 4) for number in range(num_frames)],
        "distance": [round(1 - number / (num_frames - 1), 4) for number in range(num_frames)],
        "progress_violation": index / 100,
    }


def _members(record: dict[str, Any], frames: NDArray[np.uint8]) -> dict[str, bytes]:
    members = {frame_member(number, len(frames), "webp"): _encoded(frame) for number, frame in enumerate(frames)}
    steps, distances = record["frame_steps"], record["distance"]
    members["json"] = json.dumps(
        {
            "size_px": list(frames.shape[1:3]),
            "num_steps": record["num_steps"],
            "frames": [
                {
                    "member": frame_member(number, len(frames), "webp"),
                    "step": steps[number],
                    "distance": distances[number],
                }
                for number in range(len(frames))
            ],
        }
    ).encode()
    members["txt"] = record["caption"].encode()
    return members


def _encoded(frame: NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(frame).save(buffer, "WEBP", lossless=True)
    return buffer.getvalue()
