# SPDX-License-Identifier: Apache-2.0
"""test_store.py STORE PLUGIN_FOLDER: reads the store that write_sample made (7 checkpoints, 3 layers,
4 sequences of 40 tokens) with what people use: h5py with hdf5plugin, xarray with both engines, and
h5py in a process that has only our own plugin."""
import os
import subprocess
import sys

import numpy as np

NUMERIC = """similarity importance update_ratio alignment stream_norm token_count importance_seq
update_ratio_seq alignment_seq xx_seq xd_seq dd_seq importance_hist importance_pos nonfinite
nonfinite_first nll importance_token span_similarity cka cka_debiased stream_sample
base_nll drop_nll drop_kl drop_agree set_nll set_kl set_agree set_js set_angle
search_drop search_value search_value_seq search_nll search_kl""".split()
FIRST_ID = 10  # position of `similarity` in the schema
DIMS = {"checkpoint": 7, "layer": 3, "module": 3, "sequence": 4, "bin": 100, "position_bin": 27,
        "position": 40, "boundary": 4, "boundary_to": 4, "probe": 4, "channel": 6, "cost_sequence": 2, "drop_set": 3,
        "round": 2, "candidate": 3}


def expected(variable, shape):
    """The sums of sample.h."""
    element = np.arange(int(np.prod(shape[1:])), dtype=np.int64)
    checkpoint = np.arange(shape[0], dtype=np.int64)[:, None]
    if variable == "search_drop":
        return ((checkpoint + element) % DIMS["candidate"]).reshape(shape).astype(np.float64)
    number = FIRST_ID + NUMERIC.index(variable)
    values = ((checkpoint * 7919 + number * 104729 + element * 31) % 10007).astype(np.float64)
    return values.reshape(shape)


def with_nan(values, name):
    if name not in ("token_count", "importance_hist", "nonfinite", "nonfinite_first", "search_drop"):
        values.reshape(values.shape[0], -1)[:, 1] = np.nan
    return values


def check_h5py(path):
    import h5py
    import hdf5plugin  # noqa: F401  registers its own filters
    with h5py.File(path) as store:
        assert store.attrs["schema"] == "trace-ckpts", store.attrs["schema"]
        assert store.attrs["Conventions"] == "CF-1.9"
        assert store.attrs["program"] == "sample 1.0 é"
        for name in NUMERIC:
            values = store[name]
            np.testing.assert_array_equal(values[()], with_nan(expected(name, values.shape), name))
            filters = [values.id.get_create_plist().get_filter(i)[0] for i in range(3)]
            assert filters == [2, 32015, 3], filters
            assert values.chunks == (1,) + values.shape[1:]
            fill = values.attrs.get("_FillValue")
            if fill is not None:
                np.testing.assert_array_equal(fill[0], values.fillvalue)
        assert store["name"].asstr()[2] == "step3000"
        assert store["error"].asstr()[2] == ""
        assert store["status"].attrs["flag_meanings"] == "complete failed"
        assert list(store["status"].attrs["flag_values"]) == [1, 2]
        for name, size in DIMS.items():
            assert store[name].is_scale and store[name].shape == (size,), name


def check_xarray(path, engine):
    import xarray
    with xarray.open_dataset(path, engine=engine) as store:
        assert dict(store.sizes) == DIMS, (engine, store.sizes)
        assert store.importance_seq.dims == ("checkpoint", "layer", "module", "sequence")
        assert store.attrs["schema"] == "trace-ckpts" and store.attrs["seq_len"] == 40
        assert store.attrs["program"] == "sample 1.0 é"
        for name in NUMERIC:
            want = with_nan(expected(name, store[name].shape), name)
            np.testing.assert_array_equal(store[name].values, want)
        assert list(store.module.values) == ["attn", "mlp", "block"]
        assert list(store.name.values) == [f"step{1000 * (i + 1)}" for i in range(7)]
        assert {"stage", "step", "tokens_seen", "name"} <= set(store.importance.coords)
        assert list(store.step.values) == [1000 * (i + 1) for i in range(7)]
        assert list(store.text.values) == ["", "café.txt", "café.txt", "café.txt"]
        assert store.importance.attrs["units"] == "1" and store.nll.attrs["units"] == "nat"
        assert store.token_count.dtype == np.uint32
        assert store.importance.sel(module="attn", layer=2).shape == (7,)


def check_own_plugin(path, plugins):
    read = "import h5py,sys; print(h5py.File(sys.argv[1])['xx_seq'][3,2,1,0])"
    environment = {**os.environ, "HDF5_PLUGIN_PATH": plugins}
    result = subprocess.run([sys.executable, "-c", read, path], env=environment, text=True,
                            capture_output=True, check=True)
    want = expected("xx_seq", (7, 3, 3, 4))[3, 2, 1, 0]
    assert float(result.stdout) == want, result.stdout
    environment["HDF5_PLUGIN_PATH"] = "/nonexistent"
    result = subprocess.run([sys.executable, "-c", read, path], env=environment, text=True,
                            capture_output=True)
    assert result.returncode != 0, "read without any plugin: the data is not compressed"


if __name__ == "__main__":
    check_own_plugin(sys.argv[1], sys.argv[2])
    check_h5py(sys.argv[1])
    for name in ("h5netcdf", "netcdf4"):
        check_xarray(sys.argv[1], name)
    print("h5py, h5netcdf and netcdf4 read what was written")
