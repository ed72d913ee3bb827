"""Check a data set: counts, file hashes, and that the stored strokes repaint the stored frames.

    python -m pipelines.verify dataset=outputs/dataset

Nothing is changed; each fault is listed with its shard and sequence.
Exit code 0: no faults; 1: faults were found; 2: the folder is no data set;
3: no faults, but the data set is unfinished.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from conf.command import PARTIAL, Summary, command, leave
from conf.compose import typed
from conf.errors import UserError
from conf.progress import Progress
from pipelines.synthesis.dataset_faults import (
    card_faults,
    faults_between_shards,
    foreign_faults,
    read_sound_manifests,
    table_faults,
)
from pipelines.synthesis.promises import shard_faults
from training.data.dataset import DamagedCard, DatasetCard, committed_names, dataset_totals, read_card
from training.data.layout import ARTIST, dataset_file
from training.data.manifest import ShardManifest
from training.data.remote import AnyPath

FAULTY = 1
_SHOWN = 20  # faults listed; the rest are counted


@dataclass(frozen=True, kw_only=True)
class VerifyConfig:
    """What to verify; `conf/verify.yaml` says what each key means."""

    dataset: AnyPath
    replay: bool = True


def run(config: VerifyConfig) -> Summary:
    """Verify a data set.

    Raises:
        UserError: if there is none.
    """
    try:
        card = read_card(config.dataset)
    except DamagedCard as error:
        return _without_card(str(error))
    except UserError:
        if not dataset_file(config.dataset).exists() and committed_names(config.dataset):
            return _without_card(f"{dataset_file(config.dataset)}: missing")
        raise
    faults = list(card_faults(config.dataset, card))
    manifests = read_sound_manifests(config.dataset, card, faults)
    total = sum(manifest.num_samples for manifest in manifests)
    with Progress("verifying", total) as progress:
        for manifest in manifests:
            faults += shard_faults(config.dataset, manifest, card, replay=config.replay)
            progress.advance(manifest.num_samples)
    faults += foreign_faults(config.dataset, card)
    faults += faults_between_shards(config.dataset, card, manifests)
    faults += table_faults(config.dataset, card, manifests)
    return _summary(config, card, manifests, faults)


def _without_card(fault: str) -> Summary:
    return Summary(lines=(f"fault: {fault}", "1 faults, not complete"), exit_code=FAULTY)


def _summary(config: VerifyConfig, card: DatasetCard, manifests: list[ShardManifest], faults: list[str]) -> Summary:
    totals = dataset_totals(manifests)
    records = [record for manifest in manifests for record in manifest.records]
    lines = [
        f"{config.dataset}: {totals['num_sequences']} sequences in {totals['num_shards']} of {len(card.shards)} "
        f"shards, {totals['num_bytes'] / 1e6:.1f} MB, {totals['num_quarantined']} inputs refused"
    ]
    for name in totals["renderers"]:
        chosen = [record for record in records if record["renderer"] == name]
        means = [f"progress violation {_mean(chosen, 'progress_violation'):.4f}"]
        if name != ARTIST:
            means = [f"PSNR {_mean(chosen, 'psnr_db'):.2f} dB", f"SSIM {_mean(chosen, 'ssim'):.3f}", *means]
        lines.append(f"  {name}: {len(chosen)} sequences, {', '.join(means)}")
    lines += [f"fault: {fault}" for fault in faults[:_SHOWN]]
    if len(faults) > _SHOWN:
        lines.append(f"and {len(faults) - _SHOWN} more")
    complete = card.totals is not None and len(manifests) == len(card.shards)
    if card.totals is not None and card.manifests is None:
        lines.append("its dataset.json and manifests carry no hashes; the command that made it, again, adds them")
    verdict = "sound" if not faults else f"{len(faults)} faults"
    lines.append(f"{verdict}, {'complete' if complete else 'not complete'}")
    return Summary(lines=tuple(lines), exit_code=FAULTY if faults else (0 if complete else PARTIAL))


def _mean(records: list[Any], metric: str) -> float:
    values = [record[metric] for record in records if record[metric] is not None]
    return float(np.mean(values)) if values else math.nan


def verify_config(plain: dict[str, Any]) -> VerifyConfig:
    """The typed configuration."""
    return typed(VerifyConfig, plain)


if __name__ == "__main__":
    leave(command("verify", verify_config, run, __doc__ or ""))
