# SPDX-License-Identifier: Apache-2.0
"""Every family the oracle knows: one file of this folder each, its row called FAMILY."""
import importlib
import pkgutil

FAMILIES = {
    module.name: importlib.import_module(f"families.{module.name}").FAMILY
    for module in pkgutil.iter_modules(__path__)
}
