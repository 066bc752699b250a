// SPDX-License-Identifier: Apache-2.0
#ifndef TR_NAME_ROWS_H
#define TR_NAME_ROWS_H

// The expressions that names are read by (PCRE2, case does not matter), the first ones first. Each
// gives what its named groups hold; name_rows.c says which groups there are. Internal.
enum { TR_NAME_ROWS = 38 };
extern const char *const tr_name_rows[TR_NAME_ROWS];

#endif
