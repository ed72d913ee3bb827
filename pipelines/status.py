"""Tell how much of a data set is done, whether a run is working on it, and what was refused.

    python -m pipelines.status dataset=outputs/dataset

The files of shards are compared by their size alone; `pipelines.verify` reads them.
Exit code 0: complete; 2: the folder is no data set, or a manifest is damaged; 3: unfinished, or the files of shards
are gone.
"""

from collections import Counter
from dataclasses import dataclass
from typing import Any

from conf.command import COMPLETE, PARTIAL, Summary, command, leave
from conf.compose import typed
from conf.errors import UserError
from conf.printable import counted
from pipelines.synthesis.dataset_faults import read_sound_manifests, tar_fault
from training.data.claim import is_being_written
from training.data.dataset import read_card
from training.data.manifest import ShardManifest
from training.data.remote import AnyPath, answers
from training.data.survey import Survey

_MOST_REASONS = _MOST_LOST = 5


@dataclass(frozen=True, kw_only=True)
class StatusConfig:
    """The data set; `conf/status.yaml` says what each key means."""

    dataset: AnyPath


def run(config: StatusConfig) -> Summary:
    """Look at a data set, without changing or disturbing it.

    Raises:
        UserError: if there is no data set, or a manifest is damaged, or is missing although the data set was completed.
    """
    card = read_card(config.dataset)
    faults, lost = list[str](), list[str]()
    survey, reasons = Survey(), Counter[str]()

    def look(manifest: ShardManifest) -> tuple[ShardManifest, str | None]:
        return manifest, tar_fault(config.dataset, manifest)

    for manifest, fault in answers(config.dataset, look, read_sound_manifests(config.dataset, card, faults)):
        if fault is not None:
            lost.append(fault)
            continue
        survey.count(manifest)
        reasons.update(row["reason"] for row in manifest.quarantined)
    if faults:
        more = f"; and {len(faults) - 1} more (pipelines.verify names all)" if faults[1:] else ""
        raise UserError(f"{faults[0]}{more}; remove it and run the command that began it again")
    share = 100 * (survey.num_sequences + survey.num_quarantined) / max(1, card.num_planned)
    is_complete = card.totals is not None and not lost
    state = "complete" if is_complete else ("running" if is_being_written(config.dataset) else "stopped")
    lines = [
        f"{config.dataset}: {state}, {share:.0f} % done",
        f"  {survey.num_sequences} of {counted(card.num_planned, 'sequence')} in {survey.num_shards} of "
        f"{counted(len(card.shards), 'shard')}, {survey.num_bytes / 1e6:.1f} MB",
    ]
    lines += [f"fault: {fault}" for fault in lost[:_MOST_LOST]]
    if len(lost) > _MOST_LOST:
        lines.append(f"and {len(lost) - _MOST_LOST} more")
    if reasons:
        lines.append(f"  refused {counted(reasons.total(), 'input')}:")
        lines += [f"    {count} x {reason}" for reason, count in reasons.most_common(_MOST_REASONS)]
    if state == "stopped":
        lines.append("next: the command that began it, again; it continues from here")
    return Summary(lines=tuple(lines), exit_code=COMPLETE if state == "complete" else PARTIAL)


def status_config(plain: dict[str, Any]) -> StatusConfig:
    """The typed configuration."""
    return typed(StatusConfig, plain)


if __name__ == "__main__":
    leave(command("status", status_config, run, __doc__ or ""))
