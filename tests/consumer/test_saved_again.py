# SPDX-License-Identifier: Apache-2.0
"""test_saved_again.py TRACE_INFO STORE PACKAGE: a store that xarray opened and wrote, with both
engines. What open_trace of the Python package gives is saved as it is and is a trace still; what
xarray itself decoded is not, and trace-info says what changed, not that it is damaged."""

import subprocess
import sys
import tempfile
import warnings

import hdf5plugin  # noqa: F401  registers its filters
import xarray

warnings.simplefilter("ignore")  # of fill values and coordinates


def told(program, path):
    done = subprocess.run([program, "--check", path], capture_output=True, text=True, check=False)
    return done.returncode, " ".join((done.stdout + done.stderr).split())


def main():
    program, store, package = sys.argv[1:]
    sys.path.insert(0, package)
    import trace_ckpts
    with tempfile.TemporaryDirectory() as folder:
        again = folder + "/again.nc"
        for engine in ("h5netcdf", "netcdf4"):
            trace_ckpts.open_trace(store).load().to_netcdf(again, engine=engine)
            code, said = told(program, again)
            assert code == 0 and "every value is what was written; another program" in said, said

            plain = xarray.open_dataset(store, engine="h5netcdf").load().drop_encoding()
            plain.to_netcdf(again, engine=engine)
            code, said = told(program, again)
            assert code == 3 and "damaged" not in said, said
            assert "was changed by another program since it was traced: step has another type: f64, " \
                "not i64" in said, said

            other = trace_ckpts.open_trace(store).load()
            other.importance[0, 0, 0] += 1
            other.to_netcdf(again, engine=engine)
            code, said = told(program, again)
            assert code == 3 and "importance of step1000 is not what was written" in said, said
        trace_ckpts.open_trace(store).load().isel(layer=slice(0, 1)).to_netcdf(again)
        code, said = told(program, again)
        assert code == 3 and "was changed by another program" in said, said
        assert "does not fit the file's dimensions" in said, said
    print("what xarray saved is read, or said to have changed")


if __name__ == "__main__":
    main()
