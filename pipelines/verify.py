"""Check a data set: counts, file hashes, and that the stored strokes repaint the stored frames.

    python -m pipelines.verify dataset=outputs/dataset

Nothing is changed; each fault is listed with its shard and sequence.
Exit code 0: no faults; 1: faults were found; 2: the folder is no data set;
3: no faults, but the data set is unfinished.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from conf.command import PARTIAL, Summary, command, leave
from conf.compose import typed
from conf.errors import UserError
from conf.printable import counted
from conf.progress import Progress
from pipelines.synthesis.dataset_faults import card_faults, foreign_faults, tar_fault
from pipelines.synthesis.examination import examine
from training.data.dataset import DamagedCard, DatasetCard, committed_names, read_card
from training.data.layout import ARTIST, dataset_file
from training.data.manifest import ShardManifest
from training.data.remote import AnyPath
from training.data.survey import Survey

FAULTY = 1
_METRICS = ("psnr_db", "ssim", "progress_violation")
_MOST_LISTED = 20  # faults; the rest are only counted


@dataclass(frozen=True, kw_only=True)
class VerifyConfig:
    """What to verify; `conf/verify.yaml` says what each key means."""

    dataset: AnyPath
    replay: bool = True


def run(config: VerifyConfig) -> Summary:
    """Verify a data set.

    Raises:
        UserError: if there is no data set.
    """
    from pipelines.synthesis.promises import shard_faults  # imports the renderers, for which `--help` must not wait

    try:
        card = read_card(config.dataset)
    except DamagedCard as error:
        return _without_card(str(error))
    except UserError:
        if not dataset_file(config.dataset).exists() and committed_names(config.dataset):
            return _without_card(f"{dataset_file(config.dataset)}: missing")
        raise
    faults = list(card_faults(config.dataset, card))
    present, quality = Survey(), _Quality()
    with Progress("verifying", card.num_planned) as progress:

        def look(manifest: ShardManifest) -> Iterator[str]:
            if (fault := tar_fault(config.dataset, manifest)) is not None:
                yield fault
            else:
                present.count(manifest)
                quality.note(manifest)
                yield from shard_faults(config.dataset, manifest, card, replay=config.replay)
            progress.advance(manifest.num_planned)

        examine(config.dataset, card, faults, look)
    faults += foreign_faults(config.dataset, card)
    return _summary(config, card, present, quality, faults)


def _without_card(fault: str) -> Summary:
    return Summary(lines=(f"fault: {fault}", "1 fault, not complete"), exit_code=FAULTY)


@dataclass
class _Quality:
    """Sum and count of each metric of each renderer."""

    sums: dict[tuple[str, str], float] = field(default_factory=dict)
    counts: dict[tuple[str, str], int] = field(default_factory=dict)

    def note(self, manifest: ShardManifest) -> None:
        """Add the sequences of a shard."""
        for record in manifest.records:
            for metric in _METRICS:
                if (value := record[metric]) is not None:
                    key = (record["renderer"], metric)
                    self.sums[key] = self.sums.get(key, 0.0) + value
                    self.counts[key] = self.counts.get(key, 0) + 1

    def mean(self, renderer: str, metric: str) -> float:
        """The mean of a metric for a renderer; NaN without values."""
        key = (renderer, metric)
        return self.sums[key] / self.counts[key] if key in self.counts else math.nan


def _summary(config: VerifyConfig, card: DatasetCard, survey: Survey, quality: _Quality, faults: list[str]) -> Summary:
    lines = [
        f"{config.dataset}: {counted(survey.num_sequences, 'sequence')} in {survey.num_shards} of "
        f"{counted(len(card.shards), 'shard')}, {survey.num_bytes / 1e6:.1f} MB, "
        f"{counted(survey.num_quarantined, 'input')} refused"
    ]
    for name, count in survey.renderers.items():
        psnr_db, ssim, violation = (quality.mean(name, metric) for metric in _METRICS)
        means = [f"progress violation {violation:.4f}"]
        if name != ARTIST:
            means = [f"PSNR {psnr_db:.2f} dB", f"SSIM {ssim:.3f}", *means]
        lines.append(f"  {name}: {counted(count, 'sequence')}, {', '.join(means)}")
    lines += [f"fault: {fault}" for fault in faults[:_MOST_LISTED]]
    if len(faults) > _MOST_LISTED:
        lines.append(f"and {len(faults) - _MOST_LISTED} more")
    complete = card.totals is not None and survey.num_shards == len(card.shards)
    if card.totals is not None and card.manifests is None:
        lines.append("its dataset.json and manifests carry no hashes; the command that made it, again, adds them")
    verdict = "sound" if not faults else counted(len(faults), "fault")
    lines.append(f"{verdict}, {'complete' if complete else 'not complete'}")
    return Summary(lines=tuple(lines), exit_code=FAULTY if faults else (0 if complete else PARTIAL))


def verify_config(plain: dict[str, Any]) -> VerifyConfig:
    """The typed configuration."""
    return typed(VerifyConfig, plain)


if __name__ == "__main__":
    leave(command("verify", verify_config, run, __doc__ or ""))
