# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace

from families.llama import FAMILY as LLAMA, llama_config


def nanochat_config(deck, shape):
    config = llama_config(deck, shape)
    del config["mlp_bias"]
    return config | {
        "hidden_act": deck.deal("act", ["relu2", "relu2", "silu"]),
        "final_logit_softcapping": deck.deal("softcap", [15.0, 2.0, None]),
    }


FAMILY = replace(
    LLAMA,
    model_type="nanochat",
    config=nanochat_config,
    writes=("o_proj", "fc2"),
    defaults={key: value for key, value in LLAMA.defaults.items() if key != "mlp_bias"} | {
        "hidden_act": "relu2",
        "final_logit_softcapping": 15.0,
        "intermediate_size": 8192,
    },
)
