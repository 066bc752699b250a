// SPDX-License-Identifier: Apache-2.0
#ifndef NX_HTML_DATA_H
#define NX_HTML_DATA_H

#include "html/html_page.h"

// What the page's script knows, as JSON that can stand in a script element (page.js says what it
// reads): labels of the checkpoints, each panel's place, rows and columns, and the values.
enum tr_status nx_page_data(struct tr_string *out, const struct nx_page *page, struct tr_err *err);

// A JSON string; characters that HTML or JavaScript might take for their own are escaped, and what
// is not UTF-8 becomes U+FFFD.
enum tr_status nx_json_string(struct tr_string *out, const char *text, struct tr_err *err);

// Base64 (RFC 4648) of three bytes, of which `count` are there and the others 0.
void nx_base64(const unsigned char bytes[3], int count, char out[4]);

#endif
