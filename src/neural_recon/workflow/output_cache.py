"""Snakemake's between-workflow cache, with keys that are quick to make.

A key holds a hash of each input that no job of the run makes. Snakemake hashes these in full, again in every
job: for a chunk of features the 39 GB of stimuli. Here the digest of `fingerprints` takes the place of that
hash, as in the parameter `content` of the rules.
"""

from snakemake.io import _IOFile

from neural_recon.workflow import fingerprints


def name_sources_by_digest() -> None:
    """Let files of this machine be known to the cache by their digest; other checksums stay as they are."""
    if hasattr(_IOFile, "in_full"):  # a workflow may be read more than once in a process
        return
    _IOFile.in_full = _IOFile.checksum
    _IOFile.checksum = _checksum


async def _checksum(file: _IOFile, *arguments: object, force: bool = False, **options: object) -> str | None:
    # only the cache, which knows no way around a file's content, forces a checksum
    if force and not file.is_storage:
        return f"digest:{fingerprints.digest(file.file)}"
    return await file.in_full(*arguments, force=force, **options)
