# SPDX-License-Identifier: Apache-2.0
# The notebook that trace-export writes: cells begin with "# %%", as in the percent format. Behind it
# may stand: markdown; hidden, the source is folded; needs=NAME, only for stores with that variable.
# What stands between @ is filled in.
# %% markdown
# Which layers matter, and when in training was that decided?

**@STORE@**: @SERIES@.

`importance` is the mean over tokens of 1 − cos(x, x + δ): how far a sublayer turns the residual stream x by adding
δ to it. Near 0, it hardly does. It has no unit.

This notebook needs `xarray`, `h5netcdf`, `matplotlib` and `hdf5plugin` (or, beside the store, the copy that
`trace-export --to hdf5` writes).
# %% markdown
The next two cells are the functions of the Python package `trace_ckpts` (`pip install ./notebooks-export/python`
in trace-ckpts), so that this notebook needs nothing but itself.
# %% hidden
@READER@
# %% hidden
@PLOTS@
# %%
STORE = "@PATH@"

trace = complete(open_trace(STORE))@EXCERPT@
trace
# %% markdown
## Importance of each layer over training

Colours are on a logarithmic scale, one for each panel. Columns are checkpoints, as they come.
# %%
modules = [str(module) for module in trace.module.values]


def panels(draw, height=4.6):
    """One panel for each module."""
    figure, axes = plt.subplots(1, len(modules), figsize=(5 * len(modules), height), squeeze=False,
                                layout="constrained")
    for module, ax in zip(modules, axes[0]):
        draw(trace, module, ax=ax)


panels(heat_map)
# %% markdown
The same as lines, one for each layer. Training is on a logarithmic axis on which step 0 has its place.
# %%
panels(layer_lines)
# %% markdown
## The order of the layers

Coloured: the least important layers @RULE@, as trace-analyze finds them; all others in grey.
# %%
from io import StringIO

table = pd.read_csv(StringIO("""\
@TABLE@"""))
chosen = {module: part["layer"].tolist() for module, part in table.groupby("module")}
panels(lambda trace, module, ax: rank_bumps(trace, module, chosen.get(module, []), ax=ax))
# %% markdown
How early is the order what it will be? The Jaccard index compares each checkpoint's lowest layers with the last
checkpoint's (1: the same set); Kendall's W says how much all checkpoints from one on agree in the whole order (1: fully).
# %%
panels(agreement)
# %% markdown needs=span_similarity
## Runs of blocks

Importance of every run of consecutive blocks at the last checkpoint: what the stream would miss without them.
# %% needs=span_similarity
span_matrix(trace)
plt.show()
# %% markdown needs=nll
## Loss

On the calibration text; the band is 1.96 standard errors of the mean over its sequences.
# %% needs=nll
loss(trace)
plt.show()
# %% markdown needs=drop_nll
## What leaving a sublayer out costs
# %% needs=drop_nll
panels(drop_cost)
# %% markdown
## Layers that are among the least important all along

@ABOUT@
# %%
if len(table):
    intervals(table, ax=plt.subplots(figsize=(7, 1.2 + 0.28 * len(table)), layout="constrained")[1])
    plt.show()
table
