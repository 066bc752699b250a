# SPDX-License-Identifier: Apache-2.0
"""test_tables.py TRACE_EXPORT SCHEMA SAMPLE TRACED: csv and json read back by pandas equal the
stores to the last bit, all variables of one and some of the other; json keeps to its schema."""

import json
import subprocess
import sys
import tempfile

import hdf5plugin  # noqa: F401  the store's filter
import jsonschema
import numpy as np
import pandas as pd
import xarray

FOLDER = tempfile.TemporaryDirectory()


def export(program, store, *arguments):
    path = f"{FOLDER.name}/table"
    subprocess.run([program, store, "-o", path, "--force", *arguments], check=True,
                   capture_output=True)
    return path


def read_csv(path, **options):
    return pd.read_csv(path, float_precision="round_trip", **options)


def read_json(path, schema):
    with open(path, encoding="utf-8") as file:
        whole = json.load(file)
    # Validating takes long: some records of each kind.
    sample = whole["records"][::max(1, len(whole["records"]) // 2000)]
    jsonschema.validate({**whole, "records": sample}, schema)
    return whole, pd.DataFrame(whole["records"])


def bits(values):
    """As f64 patterns, one pattern for all NaN."""
    values = np.array(values, dtype=np.float64)
    values[np.isnan(values)] = np.nan
    return values.view(np.uint64)


def check_values(table, store, variable, column="value"):
    """The column holds the variable's values, at the coordinates that stand beside them."""
    dims = [dim for dim in store[variable].dims if dim != "checkpoint"]
    assert len(table) == store[variable].size, (variable, len(table))
    assert not table.duplicated(["checkpoint", *dims]).any(), variable
    where = {"checkpoint": xarray.DataArray(pd.Index(store.name.values).get_indexer(
        table.checkpoint), dims="row")}
    where |= {dim: xarray.DataArray(store.get_index(dim).get_indexer(table[dim]), dims="row")
              for dim in dims}
    assert all((index >= 0).all() for index in where.values()), variable
    expected = store[variable].isel(where)
    np.testing.assert_array_equal(bits(table[column]), bits(expected), err_msg=variable)


def check_counts(table, store):
    means = table[table.variable == "importance"]
    counts = store.token_count.sum("sequence").values.ravel()
    np.testing.assert_array_equal(means["count"], counts)
    assert table[table.variable.isin(["nll", "importance_pos"])]["count"].isna().all()


def check_table(table, store, names):
    variables = [name for name in store.data_vars
                 if len(store[name].dims) > 1 and store[name].dtype != object]
    if names != "all":
        variables = names.split(",")
    assert set(table.variable) == set(variables), (set(table.variable), variables)
    for variable in variables:
        check_values(table[table.variable == variable], store, variable)
    check_counts(table, store)


def check_wide(program, path, store):
    table = export(program, path, "--to", "csv", "--wide", "--units", "--comment")
    with open(table, encoding="utf-8") as file:
        comments = sum(line.startswith("#") for line in file)
    assert comments > 0
    wide = read_csv(table, comment="#", skiprows=lambda line: line == comments + 1)
    for variable in ("similarity", "importance", "nonfinite_first"):
        check_values(wide, store, variable, variable)


def check(program, path, schema, names):
    with xarray.open_dataset(path, engine="h5netcdf") as store:
        store.load()
    table = read_csv(export(program, path, "--to", "csv", "--variables", names))
    assert set(table["model"].dropna()) <= {"llama"}, set(table["model"])  # the family, without sizes
    check_table(table, store, names)
    whole, table = read_json(export(program, path, "--to", "json", "--variables", names), schema)
    check_table(table, store, names)
    for name, value in whole["attributes"].items():
        assert store.attrs[name] == value, (name, value)
    for name, units in whole["units"].items():
        assert store[name].attrs["units"] == units, (name, units)
    check_wide(program, path, store)


def main():
    program, schema_path, *stores = sys.argv[1:]
    with open(schema_path, encoding="utf-8") as file:
        schema = json.load(file)
    jsonschema.Draft202012Validator.check_schema(schema)
    for path, names in zip(stores, ("all", "importance,nll,importance_seq,importance_pos")):
        check(program, path, schema, names)


if __name__ == "__main__":
    main()
