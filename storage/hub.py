"""Uploads an exported dataset to the Hugging Face hub, for those who have a token."""

from __future__ import annotations

from pathlib import Path

from storage.errors import ExportError
from storage.places import AnyPath


def check_token() -> None:
    """Checks that there is a token for the hub.

    Raises:
        ExportError: If there is none.
    """
    from huggingface_hub import get_token

    if get_token() is None:
        raise ExportError(
            "no token for the Hugging Face hub; run `hf auth login` or set HF_TOKEN, or leave out "
            "--push: the exported folder can be uploaded later"
        )


def push_to_hub(folder: AnyPath, repository: str, *, private: bool = True) -> str:
    """Uploads a dataset folder in one commit and returns its address.

    Args:
        folder: Folder that `export_dataset` wrote.
        repository: Name of the dataset on the hub, as 'owner/name'; created if it is new.
        private: Whether a new repository is private.

    Raises:
        ExportError: If there is no token, the folder is in an object store, or the hub refuses.
    """
    if not isinstance(folder, Path):
        raise ExportError(f"{folder} is not on this machine; export to a local folder to push it")
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    check_token()
    api = HfApi()
    try:
        api.create_repo(repository, repo_type="dataset", private=private, exist_ok=True)
        commit = api.upload_folder(
            repo_id=repository,
            repo_type="dataset",
            folder_path=folder,
            commit_message="Export from selfloom",
            # What an earlier export left there would still be loaded.
            delete_patterns="*.parquet",
        )
    except (HfHubHTTPError, HFValidationError, OSError) as error:
        raise ExportError(f"the hub refused {repository!r}: {error}; {folder} is kept") from error
    return str(commit)
