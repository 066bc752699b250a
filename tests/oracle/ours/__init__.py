# SPDX-License-Identifier: Apache-2.0
"""References of ours, for model types that exist only as code beside their weights.

Each is written from the published description of its architecture, in plain PyTorch, and is run in
float64; rotary tables are rounded to float32 where the published models round.
"""
