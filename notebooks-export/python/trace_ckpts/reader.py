# SPDX-License-Identifier: Apache-2.0
"""Opening a trace."""

from __future__ import annotations

import os
from pathlib import Path

import h5py
import xarray as xr

ZSTD_FILTER = 32015
COMPLETE = 1
# How xarray's readers describe compressions that not all of its writers know.
FOREIGN_COMPRESSION = ("compression", "compression_opts", "complevel", "zstd", "blosc", "bzip2",
                       "szip")


def _needs_zstd(path: Path) -> bool:
    """Whether some variable of the file is compressed by zstd."""
    with h5py.File(path) as file:
        for variable in file.values():
            properties = variable.id.get_create_plist()
            for i in range(properties.get_nfilters()):
                if properties.get_filter(i)[0] == ZSTD_FILTER:
                    return True
    return False


def _has_zstd() -> bool:
    """Whether HDF5 finds the filter: through hdf5plugin, or on HDF5_PLUGIN_PATH."""
    try:
        import hdf5plugin  # noqa: F401  registers its filters
    except ImportError:
        pass
    return bool(h5py.h5z.filter_avail(ZSTD_FILTER))


def _without_filter(trace: xr.Dataset) -> xr.Dataset:
    """Forgets the compression unless it is gzip, so that `to_netcdf` works. Types and fill values stay:
    what is saved is a trace still."""
    for variable in trace.variables.values():
        if not variable.encoding.get("zlib"):
            for key in FOREIGN_COMPRESSION:
                variable.encoding.pop(key, None)
    return trace


def open_trace(path: str | os.PathLike[str]) -> xr.Dataset:
    """Opens a store, or a copy of it in HDF5 or netCDF; values are read when they are used.

    Where the zstd filter is missing, the copy that `trace-export FILE --to hdf5` leaves beside the
    store (trace.gzip.h5 for trace.h5) is opened instead. `to_netcdf` saves it without compression.
    Steps are an index: `sel(step=512)` takes a checkpoint by its step.

    >>> trace = open_trace(store)
    >>> float(trace.sel(step=1000).step)
    1000.0
    """
    store = Path(path)
    if not store.exists():
        raise FileNotFoundError(f"there is no {store}: trace-ckpts writes it with -o {store}")
    if _needs_zstd(store) and not _has_zstd():
        copy = store.with_suffix(".gzip.h5")
        if not copy.exists():
            raise OSError(f"{store} is compressed by zstd and HDF5 has no filter for it: "
                          f"pip install hdf5plugin, or trace-export {store} --to hdf5 -o {copy}")
        store = copy
    trace = _without_filter(xr.open_dataset(store, engine="h5netcdf"))
    return trace.set_xindex("step") if "step" in trace.coords else trace


def complete(trace: xr.Dataset) -> xr.Dataset:
    """The checkpoints that were traced, without those that failed.

    >>> bool((complete(trace).status == COMPLETE).all())
    True
    """
    return trace.isel(checkpoint=(trace.status == COMPLETE).values)
