// SPDX-License-Identifier: Apache-2.0
#include "export/export.h"

enum tr_status nx_hdf5(const struct nx_job *job, const char *path, struct tr_err *err) {
    return tr_excerpt_write(job->trace, &job->excerpt, TR_FORM_GZIP, path, err);
}

enum tr_status nx_netcdf(const struct nx_job *job, const char *path, struct tr_err *err) {
    return tr_excerpt_write(job->trace, &job->excerpt, TR_FORM_NETCDF, path, err);
}
