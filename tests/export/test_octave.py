# SPDX-License-Identifier: Apache-2.0
"""test_octave.py TRACE_EXPORT PLUGINS STORE: GNU Octave, which stands in for MATLAB, reads the same
numbers from both copies. 77, skipped, where Octave or its package netcdf is not installed."""

import os
import shutil
import subprocess
import sys
import tempfile

import numpy as np
import xarray

SKIPPED = 77
NAMES = ("importance", "importance_seq", "importance_pos", "nonfinite", "step", "nll", "bin")

# Octave lists the first dimension fastest, so the values come out in C order.
READ = """
%s
for name = {%s}
  values = double(read_values(name{1}));
  printf("%%s", name{1});
  printf(" %%.17g", values);
  printf("\\n");
end
"""
READERS = {
    "netcdf": 'pkg load netcdf\nfunction v = read_values(n)\n v = ncread("{path}", n);\nend',
    "hdf5": 'function v = read_values(n)\n s = load("-hdf5", "{path}", n); v = s.(n);\nend',
}


def octave(script):
    return subprocess.run(["octave-cli", "--no-gui", "--norc", "--quiet", "--eval", script],
                          capture_output=True, text=True, check=False)


def values_of(text):
    return {name: np.array(numbers, dtype=np.float64) for name, *numbers in
            (line.split() for line in text.splitlines())}


def main():
    program, plugins, store_path = sys.argv[1:]
    if not shutil.which("octave-cli") or octave("pkg load netcdf").returncode:
        print("skipped: Octave with its package netcdf is not installed")
        return SKIPPED
    os.environ["HDF5_PLUGIN_PATH"] = plugins
    with xarray.open_dataset(store_path, engine="h5netcdf", mask_and_scale=False) as store:
        store.load()
    with tempfile.TemporaryDirectory() as folder:
        for to, reader in READERS.items():
            path = f"{folder}/copy"
            subprocess.run([program, store_path, "--to", to, "-o", path, "--force"], check=True)
            names = ", ".join(f'"{name}"' for name in NAMES)
            done = octave(READ % (reader.replace("{path}", path), names))
            assert done.returncode == 0, done
            read = values_of(done.stdout)
            assert set(read) == set(NAMES), done
            for name in NAMES:
                np.testing.assert_array_equal(read[name], store[name].values.ravel(), err_msg=name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
