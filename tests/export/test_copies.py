# SPDX-License-Identifier: Apache-2.0
"""test_copies.py TRACE_EXPORT TRACE_INFO PLUGINS STORE...: the copies in HDF5 and netCDF-4 equal
the stores for h5diff, h5py without plugins, xarray with both engines, ncdump, and the checker of
the CF conventions."""

import os
import shutil
import subprocess
import sys
import tempfile

import h5py
import numpy as np
import xarray

SHUFFLE, DEFLATE = 2, 1


def run(*command, code=0, **environment):
    done = subprocess.run(command, env={**os.environ, **environment}, capture_output=True,
                          text=True, check=False)
    assert done.returncode == code, (command, done.returncode, done.stdout, done.stderr)
    return done.stdout + done.stderr


def without_plugins(paths):
    """Every value can be read where no plugin is."""
    read = ("import h5py,sys\nfor path in sys.argv[1:]:\n"
            "    for d in h5py.File(path).values(): d[()]")
    run(sys.executable, "-c", read, *paths, HDF5_PLUGIN_PATH="/nonexistent")


def conventional(paths):
    """The checker of the CF conventions finds nothing."""
    checker = os.path.join(os.path.dirname(sys.executable), "compliance-checker")
    # The skipped one subtracts neighbours, also of the names of modules.
    text = run(sys.executable, checker, "--criteria", "strict", "--test", "cf:1.9",
               "--skip-checks", "check_coordinate_variables_strict_monotonicity", *paths)
    assert text.count("All tests passed!") == len(paths), text


def plainly_packed(path):
    with h5py.File(path) as file:
        properties = file["importance"].id.get_create_plist()
        filters = [properties.get_filter(i)[0] for i in range(properties.get_nfilters())]
        assert filters == [SHUFFLE, DEFLATE], filters
        assert file["importance_seq"].chunks[0] == 1


def opened(path, engine):
    with xarray.open_dataset(path, engine=engine) as dataset:
        return dataset.load()


class Copies:
    def __init__(self, program, info, plugins, store, folder):
        self.program, self.info, self.plugins = program, info, plugins
        self.store, self.folder = store, folder
        self.whole = opened(store, "h5netcdf")

    def export(self, to, name, *arguments):
        path = f"{self.folder}/{name}"
        run(self.program, self.store, "--to", to, "-o", path, "--force", *arguments)
        return path

    def hdf5(self):
        path = self.export("hdf5", "copy.h5")
        if shutil.which("h5diff"):
            run("h5diff", self.store, path, HDF5_PLUGIN_PATH=self.plugins)
        plainly_packed(path)
        xarray.testing.assert_identical(opened(path, "h5netcdf"), self.whole)
        run(self.info, path)
        return path

    def netcdf(self):
        path = self.export("netcdf", "copy.nc")
        plainly_packed(path)
        for engine in ("h5netcdf", "netcdf4"):
            copy = opened(path, engine)
            xarray.testing.assert_equal(copy, self.whole)
            assert copy.attrs["title"] and copy.attrs["schema"] == "trace-ckpts"
            assert copy.token_count.attrs["units"] == "1", copy.token_count.attrs
        if shutil.which("ncdump"):
            text = run("ncdump", path)
            assert "double importance(checkpoint, layer, module) ;" in text, text[:2000]
        return path

    def excerpt(self):
        """A part keeps the coordinates of the whole, and is no store."""
        path = self.export("hdf5", "part.h5", "--layers", "0,2", "--module", "mlp", "--variables",
                           "importance,importance_seq,nll")
        part = opened(path, "h5netcdf")
        expected = self.whole.sel(layer=[0, 2], module=["mlp"])
        assert {name for name in part.data_vars if part[name].dims != ("checkpoint",)} == {
            "importance", "importance_seq", "nll", "text", "ids_digest",
            *({"set_name", "set_drop", "candidate_drop"} & set(self.whole.data_vars))}, part
        for name, values in part.data_vars.items():
            xarray.testing.assert_identical(values, expected[name])
        said = run(self.info, path, code=3)
        assert 'is an HDF5 file, but not a trace: its attribute schema is not "trace-ckpts"' in said

    def some_steps(self):
        """Some checkpoints of a store are a store."""
        steps = [int(step) for step in self.whole.step.values[1:4]]
        path = self.export("hdf5", "steps.h5", "--steps", ",".join(map(str, steps)))
        part = opened(path, "h5netcdf")
        xarray.testing.assert_identical(part, self.whole.isel(checkpoint=[1, 2, 3]))
        assert "3 checkpoints" in run(self.info, path)


def main():
    program, info, plugins, *stores = sys.argv[1:]
    os.environ["HDF5_PLUGIN_PATH"] = plugins
    with tempfile.TemporaryDirectory() as folder:
        hdf5, netcdf = [], []
        for number, store in enumerate(stores):
            own = f"{folder}/{number}"
            os.mkdir(own)
            copies = Copies(program, info, plugins, store, own)
            hdf5.append(copies.hdf5())
            netcdf.append(copies.netcdf())
            copies.excerpt()
            copies.some_steps()
            assert np.isfinite(copies.whole.importance).any()
        without_plugins(hdf5 + netcdf)
        conventional(netcdf)


if __name__ == "__main__":
    main()
