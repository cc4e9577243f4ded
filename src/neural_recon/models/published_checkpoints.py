"""MindEye2's fitted models (`train_logs/*/last.pth` of the hub's pscotti/mindeyev2) in the shared network.

Their tensors have the names of the released code. Heads that a network lacks are passed over, and so are the
first mixers, which change nothing at the published sequence of one element.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence

import torch

from neural_recon.core.errors import InputError
from neural_recon.models import checkpoints
from neural_recon.models.diffusion_prior import schedule
from neural_recon.models.shared_subject import MINDEYE2, NetworkSizes, SharedSubjectNetwork

PART = "model_state_dict"
BETAS = "diffusion_prior.noise_scheduler.betas"
COMPUTED = ("diffusion_prior.noise_scheduler.", "rotary_emb.freqs")  # from sizes alone


def own_name(name: str, subjects: Sequence[str]) -> str:
    """A released tensor's name in `SharedSubjectNetwork`; subjects in the order of their maps."""
    if found := re.match(r"ridge\.linears\.(\d+)\.", name):
        k = int(found[1])
        return f"ridge.linears.{subjects[k]}.{name[found.end() :]}" if k < len(subjects) else name
    if found := re.match(r"diffusion_prior\.net\.to_time_embeds\.0\.1\.net\.(\d)(\.0)?\.", name):
        return f"diffusion_prior.net.time.{2 * int(found[1])}.{name[found.end() :]}"
    name = re.sub(r"^backbone\.(?=mixer_blocks)", "backbone.trunk.", name)
    return re.sub(r"^backbone\.(?=(blin1|bnorm|bupsampler|b_maps_projector)\.)", "backbone.low_level.", name)


def renamed(
    tensors: Mapping[str, torch.Tensor], subjects: Sequence[str], sizes: NetworkSizes
) -> dict[str, torch.Tensor]:
    """A released state dict under the network's names, without what such a network computes or lacks."""
    passed_over = [*COMPUTED]
    passed_over += [] if sizes.first_mixers else ["backbone.trunk.mixer_blocks1."]
    passed_over += [] if sizes.low_level else ["backbone.low_level."]
    passed_over += [] if sizes.prior else ["diffusion_prior."]
    own = {own_name(name, subjects): tensor for name, tensor in tensors.items()}
    return {name: own[name] for name in own if not any(part in name for part in passed_over)}


def from_published(
    path: str | os.PathLike[str],
    voxels: Mapping[str, int],
    sizes: NetworkSizes = MINDEYE2,
    device: str | torch.device = "cpu",
) -> SharedSubjectNetwork:
    """The network of a published checkpoint, in evaluation mode.

    Args:
        path: a training checkpoint with `model_state_dict`, or those tensors alone (torch or safetensors).
        voxels: the number of voxels of each subject it was fitted to, in the order of the fit.
        sizes: of the network.
        device: where its tensors go; on "meta" names and shapes are compared, and hardly anything is read.

    Raises:
        InputError: the file is missing or no such checkpoint, or it is of other subjects, voxels or sizes.
    """
    tensors = checkpoints.read_tensors(path, within=PART)
    _check_subjects(tensors, voxels, sizes, path)
    _check_schedule(tensors, sizes, path)
    network = checkpoints.empty(lambda: SharedSubjectNetwork(voxels, sizes))
    own = renamed(tensors, list(voxels), sizes)
    checkpoints.load_tensors(network, own, path, device=device)
    return network.eval()


def _check_subjects(
    tensors: Mapping[str, torch.Tensor],
    voxels: Mapping[str, int],
    sizes: NetworkSizes,
    path: str | os.PathLike[str],
) -> None:
    """Raise an InputError in the words of people's voxels, where `load_tensors` speaks of tensors."""
    maps = {name for name in tensors if re.fullmatch(r"ridge\.linears\.\d+\.weight", name)}
    own = {f"ridge.linears.{k}.weight": subject for k, subject in enumerate(voxels)}
    if maps != set(own):
        raise InputError(
            f"{path}: expected a network fitted to {len(voxels)} subjects ({', '.join(voxels)}), found "
            f"{len(maps)}; name the subjects of its fit in their order, or another checkpoint."
        )
    for name, subject in own.items():
        n, (hidden, found) = voxels[subject], tensors[name].shape
        if found != n:
            raise InputError(
                f"{path}: expected a map of the {n} voxels of {subject}, found {found} voxels; take the "
                "region and subject that it was fitted to, or another checkpoint."
            )
        if hidden != sizes.hidden:
            raise InputError(
                f"{path}: expected a hidden width of {sizes.hidden}, found {hidden}; set the network's "
                "hidden width to the checkpoint's, or name another."
            )


def _check_schedule(
    tensors: Mapping[str, torch.Tensor], sizes: NetworkSizes, path: str | os.PathLike[str]
) -> None:
    if sizes.prior is None or BETAS not in tensors:
        return
    betas, found = schedule(sizes.prior.timesteps).betas, tensors[BETAS]
    if found.shape != betas.shape or not torch.allclose(found.double(), betas, atol=1e-6):
        raise InputError(
            f"{path}: expected a prior with the cosine schedule of {len(betas)} steps, found another in "
            f"{BETAS}; set the prior's steps to the checkpoint's, or name another."
        )
