# SPDX-License-Identifier: Apache-2.0
"""Opens traces of trace-ckpts with xarray and draws the usual figures."""

from .plots import (MODULES, about_a_quarter, agreement, drop_cost, heat_map, intervals, jaccard,
                    jaccard_chance, kendall_w, layer_lines, loss, lowest, rank_bumps, ranks,
                    span_matrix, training_axis, training_weights)
from .reader import complete, open_trace
from .results import chosen, result

__all__ = ["MODULES", "about_a_quarter", "agreement", "chosen", "complete", "drop_cost", "heat_map",
           "intervals", "jaccard", "jaccard_chance", "kendall_w", "layer_lines", "loss", "lowest",
           "open_trace", "rank_bumps", "ranks", "result", "span_matrix", "training_axis",
           "training_weights"]
