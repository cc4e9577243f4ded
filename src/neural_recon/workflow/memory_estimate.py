"""How much memory models and regressions take while a run computes with them: estimates from their sizes."""

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from neural_recon.models import weights

MB = 1_000_000


def part_sizes(files: Iterable[str], table: weights.Table) -> list[int]:
    """Bytes of a model's parts, the largest first: files with a configuration next to them are one part.

    Files that are still to be fetched count with the sizes that the `table` gives.
    """
    paths = [Path(path) for path in files]
    absent = weights.missing(paths, table)
    configured = {path.parent for path in paths if path.name == "config.json"}
    sizes: dict[Path, int] = defaultdict(int)
    for path in paths:
        part = path.parent if path.parent in configured else path
        if path.is_file():
            sizes[part] += path.stat().st_size
        elif path.is_relative_to(weights.MODELS):
            file = absent.get(str(path.relative_to(weights.MODELS)))
            sizes[part] += int(file.gigabytes * 1000 * MB) if file else 0
    return sorted(sizes.values(), reverse=True)


def megabytes(files: Iterable[str], table: weights.Table, rest: int) -> int:
    """What a job asks for that loads these files: `rest` besides, where they are mapped as they are."""
    return rest + sum(part_sizes(files, table)) // MB


def kernel_megabytes(rows: int, tests: int, voxels: int) -> int:
    """The responses (rows + tests, voxels) of a regression in float32, the smaller of their two kernels in
    float64, and a factor of it."""
    responses = 4 * (rows + tests) * voxels
    if voxels < rows - 1:  # products of voxels, and the centred responses
        kernel = 8 * (rows + tests + 2 * voxels) * voxels
    else:
        kernel = 8 * (rows + tests + rows) * rows
    return (responses + kernel) // MB
