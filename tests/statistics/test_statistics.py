# SPDX-License-Identifier: Apache-2.0
"""test_statistics.py LIBRARY [INPUTS [CHECK...]]: every statistic on random inputs (ties, gaps, one unit, one
checkpoint, constant series) against SciPy, NumPy, pandas, ruptures and pymannkendall, or its formula
written out in reference.py. By hand with 200 inputs or more."""
import sys
import warnings

import numpy as np

import checks_of_costs
import checks_of_series
import checks_of_units
import room


def main():
    room.load(sys.argv[1])
    inputs, only = int((sys.argv[2:] or ["200"])[0]), sys.argv[3:]
    checks = [(name[6:], check) for module in (checks_of_units, checks_of_series, checks_of_costs)
              for name, check in vars(module).items() if name.startswith("check_")]
    for number, (name, check) in enumerate(checks):
        if only and name not in only:
            continue
        rng = np.random.default_rng(number)
        for case in range(inputs):
            try:
                check(rng)
            except Exception:
                print(f"{name}: input {case} of seed {number}", file=sys.stderr)
                raise
        print(f"{name}: {inputs} inputs")


if __name__ == "__main__":
    warnings.simplefilter("ignore")  # empty slices, constant inputs
    main()
