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


# What is done to a trace, and what trace-info says of it.
CHANGES = [
    ("some layers", lambda d: d.isel(layer=slice(0, 1)), "does not fit the file's dimensions"),
    ("some rows of text", lambda d: d.isel(sequence=slice(0, 1)), "it claims"),
    ("one checkpoint", lambda d: d.isel(checkpoint=0), "checkpoint has another rank"),
    ("another order", lambda d: d.isel(checkpoint=slice(None, None, -1)),
     "is not in the order of training"),
    ("twice", lambda d: xarray.concat([d, d], "checkpoint", data_vars="minimal"), "is there twice"),
    ("one variable", lambda d: d[["importance"]], "sequence is missing"),
    ("all but one", lambda d: d.drop_vars("importance"), "importance is missing"),
    ("another name", lambda d: d.rename(importance="redundancy"), "importance is missing"),
    ("other dimensions", lambda d: d.transpose("layer", "checkpoint", ...),
     "does not fit the file's dimensions"),
]


def told(program, path):
    done = subprocess.run([program, "--check", path], capture_output=True, text=True, check=False)
    return done.returncode, " ".join((done.stdout + done.stderr).split())


def main():
    program, store, package = sys.argv[1:]
    sys.path.insert(0, package)
    import trace_ckpts
    with tempfile.TemporaryDirectory() as folder:
        again = folder + "/again.nc"
        trace = trace_ckpts.open_trace(store).load()
        plain = xarray.open_dataset(store, engine="h5netcdf").load().drop_encoding()
        for engine in ("h5netcdf", "netcdf4"):
            trace.to_netcdf(again, engine=engine)
            code, said = told(program, again)
            assert code == 0 and "every value is what was written; another program" in said, said

            plain.to_netcdf(again, engine=engine)
            code, said = told(program, again)
            assert code == 3 and "damaged" not in said, said
            assert "was changed by another program since it was traced: step has another type: f64, " \
                "not i64" in said, said

            other = trace.copy(deep=True)
            other.importance[0, 0, 0] += 1
            other.to_netcdf(again, engine=engine)
            code, said = told(program, again)
            assert code == 3 and "importance of step1000 is not what was written" in said, said
        for what, change, expected in CHANGES:
            change(trace).to_netcdf(again)
            code, said = told(program, again)
            assert code == 3 and "was changed by another program" in said, (what, said)
            assert expected in said, (what, said)
        trace[["importance"]].to_netcdf(again, engine="netcdf4", format="NETCDF3_64BIT")
        code, said = told(program, again)
        assert code == 3 and "is not a trace: it is a netCDF-3 file" in said, said
    print("what xarray saved is read, or said to have changed")


if __name__ == "__main__":
    main()
