"""The shared network against MindEye2's released one."""

import json
import math
import re

import numpy as np
import pytest
import torch

from neural_recon.models import checkpoints
from neural_recon.models.low_level import LowLevelSizes
from neural_recon.models.prior_transformer import PriorSizes
from neural_recon.models.shared_subject import MINDEYE1, MINDEYE2, NetworkSizes, SharedSubjectNetwork

SMALL_LOW_LEVEL = LowLevelSizes(maps=8, side=2, decoder=(8, 8), groups=4, teacher=16)
