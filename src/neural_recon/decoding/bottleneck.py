"""Decoders that see the responses through a bottleneck: their first k principal components alone.

BrainBits (Mayo et al., 2024) asks how good a reconstruction is when k numbers are all that it takes from the
brain, and learns these k linear combinations of voxels together with the maps from them to the features. Here
they are the directions along which the training responses vary most, which know nothing of the features: a
learnt bottleneck of k numbers can do better, so that this curve says how many are enough, not how few.
With all components it is the decoder itself.
"""

from collections.abc import Iterator, Sequence

from neural_recon.decoding.kernel import Kernel


def bottlenecks(kernel: Kernel, components: Sequence[int]) -> Iterator[tuple[int, float, Kernel]]:
    """Kernels of the first k components of the training responses, for the penalty that the whole one has.

    Args:
        kernel: of the training and test responses.
        components: each k; those not below the number of components there are are left out.

    Yields:
        k, ascending; the share of the training responses' variance that k components have; the kernel. The
        whole kernel comes last.
    """
    train, test = kernel.component_scores()
    variance, every = (train**2).sum(axis=0), train.shape[1]
    for k in sorted(k for k in set(components) if k < every):
        some = Kernel.of(train[:, :k], test[:, :k], images=kernel.images, intercept=kernel.intercept)
        yield k, float(variance[:k].sum() / variance.sum()), some
    yield every, 1.0, kernel
