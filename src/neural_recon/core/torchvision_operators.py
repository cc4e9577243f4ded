"""torchvision alongside a CPU build of torch.

The registry's torchvision is built for CUDA. With a CPU build of torch its compiled part does not load, its
operators are missing, and its import stops at the first one that it wants to describe (`nms`), although
networks and transforms need none of them. transformers and diffusers import torchvision wherever they find
it, so that they would fail too. Therefore this acts when torchvision is imported, whoever imports it: where
the compiled part loads, nothing happens; where it does not, the two operators are declared, without code.
"""

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

DECLARED = ("nms", "qnms")
_kept: list["torch.library.Library"] = []  # torch forgets an operator when its library is collected


class _Loader(SourceFileLoader):
    def exec_module(self, module: ModuleType) -> None:
        declare_missing(Path(self.path).parent)
        super().exec_module(module)


class _Finder(MetaPathFinder):
    """Finds torchvision where Python would, and hardly takes time for anything else."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != "torchvision":
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and isinstance(spec.loader, SourceFileLoader):
            spec.loader = _Loader(spec.loader.name, spec.loader.path)
        return spec


def install() -> None:
    """Watch for the import of torchvision; imports nothing itself."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


def declare_missing(folder: Path) -> bool:
    """Declare the operators if torchvision's compiled part, in its folder, does not load; whether it did."""
    import torch

    try:
        for compiled in folder.glob("_C.*"):
            torch.ops.load_library(str(compiled))
    except (ImportError, OSError):
        pass  # torchvision tries again, and continues without
    missing = [name for name in DECLARED if not hasattr(torch.ops.torchvision, name)]
    if missing:
        library = torch.library.Library("torchvision", "FRAGMENT")
        for name in missing:
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        _kept.append(library)
    return bool(missing)
