# SPDX-License-Identifier: Apache-2.0
"""Opens traces of trace-ckpts with xarray, reads what trace-analyze found, and draws the usual
figures."""

from .costs import cost_map, cost_scatter, modules_with_costs, prices, proxies, told
from .drawing import MODULES, training_axis
from .orders import (RANKED_BY, about_a_quarter, jaccard, jaccard_chance, kendall_w, lowest, ranks,
                     training_weights, values)
from .plots import (agreement, common_norm, heat_map, intervals, layer_lines, loss, rank_bumps,
                    span_matrix)
from .reader import complete, open_trace
from .results import Result, chosen, probability_text, result

__all__ = ["MODULES", "RANKED_BY", "Result", "about_a_quarter", "agreement", "chosen",
           "common_norm", "complete", "cost_map", "cost_scatter", "heat_map", "intervals",
           "jaccard", "jaccard_chance", "kendall_w", "layer_lines", "loss", "lowest",
           "modules_with_costs", "open_trace", "prices", "probability_text", "proxies", "rank_bumps", "ranks",
           "result", "span_matrix", "told", "training_axis", "training_weights", "values"]
