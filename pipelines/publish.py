"""Upload a data set, a painter or a run's weights to the Hugging Face Hub, with its card and its licences.

    python -m pipelines.publish dataset=outputs/dataset repo=USER/NAME dry_run=true   # what would go, and how much
    python -m pipelines.publish dataset=outputs/dataset repo=USER/NAME
    python -m pipelines.publish painter=outputs/painter repo=USER/NAME private=false

The variable HF_TOKEN has to hold a token that may write there. What is on the Hub already is not sent again: after an
upload that was cut off, the same command goes on.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from conf.command import Summary, command, leave
from conf.compose import typed
from conf.errors import ConfigError, UserError
from conf.printable import counted
from training.data.licences import is_free

_MOST_LISTED = 20  # files
_NAME = r"[A-Za-z0-9](?:[\w.-]{0,94}\w)?"
_REPO = re.compile(f"{_NAME}/{_NAME}", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class PublishConfig:
    """What to upload, and where to; `conf/publish.yaml` says what each key means."""

    dataset: Path | None
    painter: Path | None
    run: Path | None
    repo: str
    private: bool
    licences: Literal["free", "any"]
    dry_run: bool

    def __post_init__(self) -> None:
        if not _REPO.fullmatch(self.repo):
            allowed = "USER/NAME, each 1 to 96 letters (a to z), digits, -, _ and ., beginning with a letter or digit"
            raise ConfigError("repo", self.repo, f"{allowed}, and not ending with - or .")
        for doubled in ("--", ".."):
            if doubled in self.repo:
                raise ConfigError("repo", self.repo, f"USER/NAME without {doubled}, which the Hub refuses")
        if self.repo.endswith(".git"):
            raise ConfigError("repo", self.repo, "USER/NAME that does not end with .git, which the Hub refuses")
        if sum(place is not None for place in (self.dataset, self.painter, self.run)) != 1:
            raise UserError("say exactly one of dataset=DIR, painter=DIR and run=DIR")


def run(config: PublishConfig) -> Summary:
    """Upload, or say what would be uploaded.

    Raises:
        UserError: if the source is not complete, has a licence that is not free, or is refused by the Hub.
    """
    from pipelines.hub import contents, upload
    from pipelines.painters import painter_folder

    if config.dataset is not None:
        chosen = contents.dataset_contents(config.dataset)
    elif config.painter is not None:
        chosen = contents.painter_contents(painter_folder(config.painter))
    else:
        assert config.run is not None
        chosen = contents.run_contents(config.run)
    _refuse_unfree(config, chosen.licences)
    sizes = chosen.sizes
    total = f"{counted(len(sizes), 'file')}, {sum(sizes.values()) / 1e6:.1f} MB"
    visibility = "private" if config.private else "for everybody to see"
    if config.dry_run:
        lines = [f"  {size / 1e3:12,.1f} kB  {name}" for name, size in list(sizes.items())[:_MOST_LISTED]]
        lines += [f"  and {len(sizes) - _MOST_LISTED} more"] * (len(sizes) > _MOST_LISTED)
        terms = ", ".join(sorted(chosen.licences)) or "none stated"
        return Summary(lines=(f"would upload {total}, to {chosen.kind} {config.repo}, {visibility}; {terms}", *lines))
    url = upload.upload(chosen, config.repo, private=config.private)
    return Summary(lines=(f"uploaded {total}: {url}", f"load it: {_loading(config)}"))


def _loading(config: PublishConfig) -> str:
    """The call with which others load it."""
    if config.dataset is not None:
        return f"datasets.load_dataset('{config.repo}')"
    if config.painter is not None:
        options = "custom_pipeline='pipeline', trust_remote_code=True"
        return f"diffusers.DiffusionPipeline.from_pretrained('{config.repo}', {options})"
    return f"huggingface_hub.snapshot_download('{config.repo}'), a folder for base=, motion= and the like"


def _refuse_unfree(config: PublishConfig, licences: frozenset[str]) -> None:
    unfree = sorted(name for name in licences if not is_free(name))
    if unfree and config.licences == "free":
        raise UserError(
            f"licences: {', '.join(unfree)}: unknown, or not free to redistribute; "
            "set licences=any if you may publish it nevertheless"
        )


def publish_config(plain: dict[str, Any]) -> PublishConfig:
    """The typed configuration."""
    return typed(PublishConfig, plain)


if __name__ == "__main__":
    leave(command("publish", publish_config, run, __doc__ or ""))
