# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace

from families.yi import FAMILY as YI
from ours.yi import Skywork

FAMILY = replace(
    YI,
    model_type="skywork",
    model=Skywork,
    defaults=Skywork.DEFAULTS | {
        "num_key_value_heads": lambda config: config["num_attention_heads"]},
)
