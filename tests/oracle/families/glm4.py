# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace

from families.glm import FAMILY as GLM

FAMILY = replace(
    GLM,
    model_type="glm4",
    attn="post_self_attn_layernorm",
    mlp="post_mlp_layernorm",
    writes=("post_self_attn_layernorm", "post_mlp_layernorm"),
)
