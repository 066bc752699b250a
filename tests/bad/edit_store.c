// SPDX-License-Identifier: Apache-2.0
// edit_store FILE version N | edit_store FILE schema TEXT: makes a store look like one of another
// program or of another version.
#include <hdf5.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int write_attribute(hid_t file, const char *name, hid_t type, const void *value) {
    hid_t attribute = H5Aopen(file, name, H5P_DEFAULT);
    int ok = attribute >= 0 && H5Awrite(attribute, type, value) >= 0;
    H5Aclose(attribute);
    return ok;
}

int main(int argc, char **argv) {
    if (argc != 4) {
        fprintf(stderr, "usage: edit_store FILE version|schema VALUE\n");
        return 2;
    }
    hid_t file = H5Fopen(argv[1], H5F_ACC_RDWR, H5P_DEFAULT), text = H5Tcopy(H5T_C_S1);
    long version = atol(argv[3]);
    H5Tset_size(text, H5T_VARIABLE);
    H5Tset_cset(text, H5T_CSET_UTF8);
    int ok = strcmp(argv[2], "version") == 0
                 ? write_attribute(file, "schema_version", H5T_NATIVE_LONG, &version)
                 : write_attribute(file, "schema", text, &argv[3]);
    H5Tclose(text);
    return H5Fclose(file) >= 0 && ok ? 0 : 1;
}
