"""Uploads to the Hub with its own library. Files that are there already are not sent again after an interruption."""

import os
import sys

from conf.errors import UserError
from conf.printable import printable
from pipelines.hub.contents import Contents

TOKEN = "HF_TOKEN"
"""Environment variable that holds the token; it is looked for nowhere else."""


def upload(contents: Contents, repo: str, *, private: bool) -> str:
    """Put files into a repository in one commit, and return its address.

    Args:
        contents: the files to upload.
        repo: USER/NAME; it is made if it does not exist.
        private: whether a new repository is visible only to its owner; an existing one is not changed.

    Raises:
        UserError: if there is no token, the Hub cannot be reached or refuses, or `private` is set and the existing
            repository is public.
    """
    from huggingface_hub import CommitOperationAdd, HfApi
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError
    from huggingface_hub.utils import disable_progress_bars, httpx  # type: ignore[attr-defined]

    token = os.environ.get(TOKEN)
    if not token:
        raise UserError(f"{TOKEN} is needed in the environment: a token of the Hub that may write to {repo}")
    if not sys.stderr.isatty():
        disable_progress_bars()
    api = HfApi(endpoint=os.environ.get("HF_ENDPOINT"), token=token)
    try:
        url = api.create_repo(repo, repo_type=contents.kind, private=private, exist_ok=True)
        if private and not api.repo_info(repo, repo_type=contents.kind).private:
            raise UserError(f"repo={repo}: there already, for everybody to see; say private=false, or another name")
        api.create_commit(
            repo,
            [CommitOperationAdd(path_in_repo=name, path_or_fileobj=file) for name, file in contents.files.items()],
            commit_message="From process-painter",
            repo_type=contents.kind,
        )
    except HfHubHTTPError as error:
        reason = error.server_message or str(error).splitlines()[0]
        raise UserError(f"repo={repo}: the Hub refuses: {printable(reason)}") from error
    except (HFValidationError, ValueError) as error:
        raise UserError(f"repo={repo}: {printable(str(error))}") from error
    except (httpx.HTTPError, OSError, RuntimeError) as error:
        reason = printable(" ".join(str(error.__cause__ or error).split()))
        raise UserError(f"repo={repo}: not uploaded ({reason}); the same command goes on from here") from error
    return str(url)
