# SPDX-License-Identifier: Apache-2.0
"""test_demo.py STORE GOLDEN H5DUMP PLUGIN_FOLDER: opens the store of a traced series with what people
use and finds, each time, the same importances, which are the golden ones."""
import json
import os
import re
import subprocess
import sys

import h5py
import hdf5plugin  # noqa: F401  registers the zstd filter
import numpy as np
import xarray


def golden(path):
    """{checkpoint: importance [layer, module]}, by step."""
    with open(path) as file:
        checkpoints = json.load(file)["checkpoints"]
    return {name: np.stack([modules[module]["importance"] for module in ("attn", "mlp", "block")],
                           axis=1) for name, modules in checkpoints.items()}


def by_h5py(path):
    with h5py.File(path) as store:
        return store["name"].asstr()[:].tolist(), store["importance"][()]


def by_xarray(path, engine):
    with xarray.open_dataset(path, engine=engine) as store:
        assert store.importance.dims == ("checkpoint", "layer", "module"), store.importance.dims
        assert list(store.module.values) == ["attn", "mlp", "block"]
        block = store.importance.sel(module="block")
        np.testing.assert_array_equal(block, store.importance[..., 2])
        return store.name.values.tolist(), store.importance.values


def check_spans(path, golden_path):
    """What --spans adds, by name and by coordinate."""
    with open(golden_path) as file:
        checkpoints = json.load(file)["checkpoints"]
    with xarray.open_dataset(path, engine="h5netcdf") as store:
        assert store.cka.dims == ("checkpoint", "boundary", "boundary_to"), store.cka.dims
        assert store.stream_sample.dims == ("checkpoint", "boundary", "probe", "channel")
        layers = store.sizes["layer"]
        assert store.boundary.values.tolist() == list(range(layers + 1))
        assert store.sizes["probe"] == 32 and store.attrs["span_tokens"] == 1024
        assert len(set(store.probe.values.tolist())) == 32
        for index, truth in enumerate(checkpoints.values()):
            np.testing.assert_allclose(store.cka[index], truth["cka_every4th_token"], atol=1e-5)
        window = store.span_similarity.sel(boundary=2, boundary_to=5)
        np.testing.assert_array_equal(window,
                                      store.span_similarity.sel(boundary=5, boundary_to=2))
        # The first boundary is the embedding of the probes' ids: one id, one stream.
        ids = np.load(os.path.join(os.path.dirname(golden_path), "tokens.npy")).ravel()
        stream = store.stream_sample.isel(checkpoint=-1, boundary=0).values
        for first in range(32):
            for second in range(first):
                same = np.array_equal(stream[first], stream[second])
                probes = store.probe.values[[first, second]]
                assert same == (ids[probes[0]] == ids[probes[1]]), probes


def by_h5dump(path, program, plugins):
    def dump(dataset):
        command = [program, "-y", "-w", "100000", "-m", "%.17g", "-d", dataset, path]
        environment = {**os.environ, "HDF5_PLUGIN_PATH": plugins}
        return subprocess.run(command, env=environment, text=True, capture_output=True,
                              check=True).stdout

    shape = [int(size) for size in
             re.search(r"SIMPLE \{ \( ([\d, ]+) \)", dump("/importance")).group(1).split(",")]
    data = re.search(r"DATA \{(.*?)\}", dump("/importance"), re.DOTALL).group(1)
    values = np.array([float(word) for word in data.replace(",", " ").split()]).reshape(shape)
    names = re.search(r"DATA \{(.*?)\}", dump("/name"), re.DOTALL).group(1)
    return re.findall(r'"([^"]*)"', names), values


def main():
    path, golden_path, h5dump, plugins = sys.argv[1:]
    truth = golden(golden_path)
    check_spans(path, golden_path)
    names, values = by_h5py(path)
    assert names == list(truth), names
    np.testing.assert_allclose(values, np.stack(list(truth.values())), rtol=1e-5, atol=1e-9)
    others = {"xarray h5netcdf": by_xarray(path, "h5netcdf"),
              "xarray netcdf4": by_xarray(path, "netcdf4"),
              "h5dump": by_h5dump(path, h5dump, plugins)}
    for reader, (other_names, other_values) in others.items():
        assert other_names == names, (reader, other_names)
        np.testing.assert_array_equal(other_values, values, err_msg=reader)
    print(f"h5py, {', '.join(others)}: the same {values.shape} importances")


if __name__ == "__main__":
    main()
