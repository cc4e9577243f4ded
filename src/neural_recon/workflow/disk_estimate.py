"""How much disk a run fills: an estimate from the plan, before anything runs."""

import numpy as np

from neural_recon import generation
from neural_recon.core.errors import InputError
from neural_recon.models import weights
from neural_recon.workflow.painting import Painting
from neural_recon.workflow.plan import Chunk, Plan

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
    config = plan.config
    painting = Painting(config.generator, table, config.evaluation.draws)
    values, base = plan.feature_sizes(table)
    try:
        picture = generation.load(painting.settings).side() or base
    except InputError:
        picture = painting.kind.published_side
    # fits that are made where the configuration asks for them
    components, prior = len(config.painted_components), int(config.evaluation.prior)
    total = dict.fromkeys(("betas", "features", "kernels", "predictions", "pictures"), 0.0)
    chunks, owners = set(), set(config.owners.values())
    for subject in config.subjects:
        try:
            shown = plan.trials(subject)
            trials, images = len(shown), shown["image_id"].nunique()
            test_trials = int(np.count_nonzero(shown["split"] == "test"))
            test, controls = 0, 0
            if subject in config.decoded:
                test, controls = len(plan.test_ids(subject)), len(plan.control_ids(subject))
            chunks |= set(plan.feature_chunks(subject))
        except InputError:
            size = plan.data.size(subject, config.sessions(subject))
            if size is None:
                raise
            trials, test, images = size.trials, size.test, max(size.test, sum(size.lists.values()))
            test_trials, controls = 3 * test, config.evaluation.control_images
            for name, n in size.lists.items():
                chunks |= {Chunk(name, k) for k in range(-(-n // config.features.chunk))}
        n_voxels = plan.data.n_voxels(subject)
        # float32: single trials, their averages, and the test images' single trials alongside these
        train = images - test if config.responses.average else trials - test_trials
        single = getattr(config.decoder, "responses", {})
        rows = {owner: trials - test_trials if single.get(owner) else train for owner in owners}
        total["betas"] += (
            4 * n_voxels * (trials + sum(n + test + test_trials for n in {train, *rows.values()}))
        )
        if networks := config.decoder.network_bytes(n_voxels, values):
            total["networks"] = total.get("networks", 0) + networks
            total["betas"] += 4 * n_voxels * trials  # once more, each session z-scored by itself
        for n in () if networks else rows.values():  # of spaces with regions of their own too much
            side = min(n, n_voxels)
            # float64, images by images; with fewer voxels than images their covariance, and the responses
            total["kernels"] += 8 * (side * (side + test) + (n * side if n_voxels < n else 0))
        # float32: the decoder's under two calibrations, and the shuffled control's
        total["predictions"] += 4 * ((3 + components) * test + prior * controls) * values
        if (
            getattr(config.decoder, "keep", None) and not networks
        ):  # float16; components are fewer than images
            total["decoders"] = total.get("decoders", 0) + 2 * train * (values + n_voxels)
        # 8 bits: base images of four variants; reconstructions in chunks and together; PNG of both; controls;
        # training images as baselines
        others = (len(painting.controls) + components + prior) * controls + 2 * test + 1
        base_images = (5 + components) * test + prior * controls
        total["pictures"] += RGB * (base_images * base**2 + (3 * test + others) * picture**2)
        if config.demo is not None:
            total["simulated data"] = total.get("simulated data", 0) + DEMO_TRIAL * trials
    total["features"] = 2 * len(chunks) * config.features.chunk * values  # float16
    return total
