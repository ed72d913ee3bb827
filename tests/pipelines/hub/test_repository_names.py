"""Names of repositories: `publish` takes none that the Hub refuses, as its own library knows its rules."""

from pathlib import Path

import pytest
from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils._validators import validate_repo_id
from hypothesis import given
from hypothesis.strategies import from_regex

from conf.command import command
from conf.errors import ConfigError
from pipelines.publish import PublishConfig, publish_config, run


@pytest.mark.parametrize(("repo", "rule"), [
    ("u/n.git", "does not end with .git"), ("u/a..b", "without .."), ("u--v/n", "without --"),
    ("u/x-", "not ending with - or ."), ("u/x.", "not ending with - or ."), ("u-/x", "not ending with - or ."),
    ("u/.x", "beginning with"), ("u/caf\u00e9", "letters (a to z)"), ("u/" + 97 * "x", "1 to 96"),
    ("u/v/w", "USER/NAME"),
])  # fmt: skip
def test_a_name_that_the_hub_refuses_is_refused_by_a_dry_run_with_the_rule(
    capsys: pytest.CaptureFixture[str], repo: str, rule: str
) -> None:
    with pytest.raises(HFValidationError):
        validate_repo_id(repo)
    assert command("publish", publish_config, run, "A test.", ["painter=tiny", f"repo={repo}", "dry_run=true"]) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith(f"error: repo={repo}: not allowed; allowed: USER/NAME") and rule in error


@given(repo=from_regex(r"[a-zA-Z0-9._\-]{1,12}/[a-zA-Z0-9._\-]{1,12}|\w{1,99}/\w{1,99}", fullmatch=True))
def test_every_name_that_is_taken_is_one_that_the_hubs_library_takes(repo: str) -> None:
    try:
        PublishConfig(
            dataset=None, painter=Path("tiny"), run=None, repo=repo, private=True, licences="free", dry_run=True
        )
    except ConfigError:
        return
    validate_repo_id(repo)
