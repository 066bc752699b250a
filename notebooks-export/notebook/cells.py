# SPDX-License-Identifier: Apache-2.0
# The notebook that trace-export writes: cells begin with "# %%", as in the percent format. Behind it
# may stand: markdown; hidden, the source is folded; needs=NAME, only for stores with that variable;
# lacks=NAME, only for stores without it. What stands between @ is filled in.
# %% markdown
# Which layers matter, and when in training was that decided?

**@STORE@**: @SERIES@.

`importance` is the mean over tokens of 1 − cos(x, x + δ): how far a sublayer turns the residual stream x by adding
δ to it. Near 0, it hardly does. It has no unit.

This notebook needs `xarray`, `h5netcdf`, `matplotlib` and `hdf5plugin` (or, beside the store, the copy that
`trace-export --to hdf5` writes).
# %% markdown
The next cells are files of the Python package `trace_ckpts` (`pip install ./notebooks-export/python` in trace-ckpts),
so that this notebook needs nothing but itself, and what trace-analyze found.
# %% hidden
@READER@
# %% hidden
@DRAWING@
# %% hidden
@ORDERS@
# %% hidden
@PLOTS@
# %% hidden
@COST_PLOTS@
# %% hidden
from io import StringIO

BY = "@BY@"  # what layers are ranked by


def found(text):
    """A table of the analysis."""
    table = pd.read_csv(StringIO(text))
    table.attrs = {"by": BY, "axis": "@AXIS@"}
    return table


table = found("""\
@LAYERS@""")
chosen = {module: part["layer"].tolist() for module, part in table.groupby("module")}
costs = found("""\
@COSTS@""")
verdicts = found("""\
@VERDICTS@""")
forecasts = found("""\
@FORECASTS@""")
priced = found("""\
@PRICES@""")


def panels(draw, modules, height=4.2):
    """One panel for each module; the last one has the bar of colours."""
    figure, axes = plt.subplots(1, len(modules), figsize=(5 * len(modules), height), squeeze=False,
                                layout="constrained")
    for module, ax in zip(modules, axes[0]):
        draw(module, ax, module == modules[-1])
    plt.show()
# %%
STORE = "@PATH@"

trace = complete(open_trace(STORE))@EXCERPT@
modules = [str(module) for module in trace.module.values if values(trace, str(module), BY).notnull().any()]
trace
# %% markdown
## Each layer over training

Colours are on one scale for all panels. Columns are checkpoints, as they come.
# %%
panels(lambda module, ax, last: heat_map(trace, module, BY, last, ax), modules)
# %% markdown
The same as lines, one for each layer. Training is on a logarithmic axis on which step 0 has its place.
# %%
panels(lambda module, ax, last: layer_lines(trace, module, BY, last, ax), modules)
# %% markdown
## The order of the layers

Coloured: the least important layers @RULE@, as trace-analyze finds them; all others in grey.
# %%
panels(lambda module, ax, last: rank_bumps(trace, module, chosen.get(module, []), BY, ax), modules)
# %% markdown
How early is the order what it will be? The Jaccard index compares each checkpoint's lowest layers with the last
checkpoint's (1: the same set), beside what chance gives; Kendall's W says how much all checkpoints from one on agree in
the whole order (1: fully).
# %%
panels(lambda module, ax, last: agreement(trace, module, len(chosen.get(module, [])) or None, BY, ax), modules)
# %% markdown needs=span_similarity
## Runs of blocks

Similarity of the residual stream at any two boundaries between blocks at the last checkpoint: a light cell far from the
diagonal is a run of blocks that hardly changes the stream.
# %% needs=span_similarity
span_matrix(trace)
plt.show()
# %% markdown needs=nll
## Loss

On the calibration text; the band is 1.96 standard errors of the mean over its sequences.
# %% needs=nll
loss(trace)
plt.show()
# %% markdown lacks=drop_nll
## What leaving a layer out costs

was not measured. The same `trace-ckpts` command with `--cost attn,mlp` adds it to the store; what is there is not
computed again.
# %% markdown needs=drop_nll
## What leaving a layer out costs

Loss with one layer left out less the loss of the whole model, over training: neutral at 0, blue where the model is
better without it.
# %% needs=drop_nll
costed = modules_with_costs(trace)
panels(lambda module, ax, last: cost_map(trace, module, last, ax), costed)
# %% markdown needs=drop_nll
Importance against cost at the last checkpoint (`checkpoint=` takes another one), in loss and in KL, with the intervals of
the analysis. Coloured: the least important layers, as above. Below 0 the model is better without a layer.
# %% needs=drop_nll
for cost in ("cost-nll", "cost-kl"):
    panels(lambda module, ax, last: cost_scatter(trace, module, cost, -1, chosen.get(module, []), costs, ax), costed)
# %% markdown needs=drop_nll
How well do importance, update ratio and alignment rank the layers as the costs do? Spearman's correlation, and the
interval of what it is without the noise of the text (1: the same order).
# %% needs=drop_nll
tried = [module for module in costed if module in set(verdicts["module"])]
for cost in ("cost-nll", "cost-kl"):
    if tried:
        panels(lambda module, ax, last: proxies(verdicts, module, cost, ax), tried)
# %% markdown needs=drop_nll
How early are the cheapest layers at the end told? The share of them that the lowest at each checkpoint are, on other rows
of text; dashed, what the cheapest tell of themselves and what chance would give. This is one run of training.
# %% needs=drop_nll
for cost in ("cost-nll", "cost-kl"):
    if tried:
        panels(lambda module, ax, last: told(forecasts, module, cost, ax), tried)
# %% markdown
## What a smaller model costs

The least that a model costs that saves so much, if what single layers cost adds up: over the cheapest of all sets of
attentions, of MLPs, of blocks, and of both kinds of sublayers. Nothing is drawn of a store that does not say what its
sublayers take; the same `trace-ckpts` command of this version adds that.
# %%
resources = list(priced["resource"].unique())
if resources:
    _, axes = plt.subplots(1, len(resources), figsize=(5 * len(resources), 4.2), squeeze=False,
                           layout="constrained")
    for resource, ax in zip(resources, axes[0]):
        prices(priced, resource, ax)
    plt.show()
# %% markdown
## Layers that are among the least important all along

@ABOUT@
# %%
if len(table):
    intervals(table, ax=plt.subplots(figsize=(7, 1.2 + 0.28 * len(table)), layout="constrained")[1])
    plt.show()
table
