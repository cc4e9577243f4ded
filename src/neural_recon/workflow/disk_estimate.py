"""How much disk a run fills: an estimate from the plan, before anything runs."""

import numpy as np

from neural_recon import generation
from neural_recon.core.errors import InputError
from neural_recon.datasets.nsd.nsd_tree import N_SHARED, SHARED, TRIALS_PER_SESSION
from neural_recon.datasets.nsd.volumes import read_mask
from neural_recon.demo import cortex
from neural_recon.models import weights
from neural_recon.models.model_folders import picture_size
from neural_recon.workflow.painting import Painting
from neural_recon.workflow.plan import Chunk, Plan

TYPICAL_VOXELS = 16_000  # nsdgeneral at 1.8 mm has 12,682 to 15,724 in the subjects with all sessions
IMAGES_DESIGNED = 10_000  # a subject's, shared ones included
RGB = 3
DEMO_TRIAL = (
    45_000  # bytes of the demo's own data, seen in its runs: betas in both formats, a share of the stimuli
)


def estimate(plan: Plan, table: weights.Table) -> dict[str, float]:
    """Bytes by kind of file, in the results' folder, for all subjects.

    Models and files that are not there yet count with the published sizes, an upper bound of the images.

    Args:
        table: of weights, for where the models lie that say the sizes of features and pictures.
    """
    config, painting = plan.config, Painting(plan.config, table)
    values, base = plan.feature_sizes(table)
    try:
        picture = generation.load(painting.settings).side() or base
    except InputError:
        picture = picture_size({}, {})
    total = dict.fromkeys(("betas", "features", "kernels", "predictions", "pictures"), 0.0)
    chunks = set()
    for subject in config.subjects:
        trials = TRIALS_PER_SESSION * len(config.sessions(subject))
        try:
            trial_table = plan.trials(subject)
            images = trial_table["image_id"].nunique()
            test_trials = int(np.count_nonzero(trial_table["split"] == "test"))
            test, controls = len(plan.test_ids(subject)), len(plan.control_ids(subject))
            chunks |= set(plan.feature_chunks(subject))
        except InputError:
            images, test = min(IMAGES_DESIGNED, trials), N_SHARED
            test_trials = 3 * test
            controls = config.evaluation.control_images
            shared, own = N_SHARED, max(0, images - N_SHARED)
            chunks |= {Chunk(SHARED, k) for k in range(-(-shared // config.features.chunk))}
            chunks |= {Chunk(subject, k) for k in range(-(-own // config.features.chunk))}
        n_voxels = voxels(plan, subject)
        # float32: single trials, their averages, and the test images' single trials beside these
        train = images - test if config.responses.average else trials - test_trials
        total["betas"] += 4 * n_voxels * (trials + train + test + test_trials)
        side = min(train, n_voxels)
        # float64, images by images; with fewer voxels than images their covariance, and the responses
        total["kernels"] += 8 * (side * (side + test) + (train * side if n_voxels < train else 0))
        # float32: the decoder's under two calibrations, and the shuffled control's
        total["predictions"] += 4 * 3 * test * values
        if config.ridge.keep:  # float16; components are fewer than images
            total["decoders"] = total.get("decoders", 0) + 2 * train * (values + n_voxels)
        # 8 bits: base images of four variants; reconstructions in chunks and together; PNG of both; controls;
        # training images as baselines
        others = len(painting.controls) * controls + 2 * test + 1
        total["pictures"] += RGB * (5 * test * base**2 + (3 * test + others) * picture**2)
        if config.demo is not None:
            total["simulated data"] = total.get("simulated data", 0) + DEMO_TRIAL * trials
    total["features"] = 2 * len(chunks) * config.features.chunk * values  # float16
    return total


def voxels(plan: Plan, subject: str) -> int:
    """Voxels of nsdgeneral: the mask's, the simulated ones, or about as many as NSD's subjects have."""
    try:
        return int(read_mask(plan.config.tree.mask(subject), notes=[]).sum())
    except InputError:
        if plan.config.demo is None:
            return TYPICAL_VOXELS
        return int(cortex.build(plan.config.demo.seed, subject).labels["nsdgeneral"].sum())
