// SPDX-License-Identifier: Apache-2.0
#ifndef AN_SPAN_WINDOW_H
#define AN_SPAN_WINDOW_H

#include <stdbool.h>
#include <stdint.h>

// The window of consecutive blocks that turns the residual stream least. similarity[boundaries,
// boundaries] is the mean cosine between the stream at two block boundaries, boundaries = blocks +
// 1: blocks [first, first + length) lie between boundary `first` and boundary `first + length`.
// (The published code for consecutive dropping reads the column of length + 1.)
struct an_window {
    int64_t first, length;
    double similarity; // across the window
};

// Of the windows of that length within blocks [begin, end); 0 <= begin, end < boundaries. False
// when none has a finite similarity, or length < 1. Ties go to the lower block.
bool an_best_window(struct an_window *window, const double *similarity, int64_t boundaries,
                    int64_t length, int64_t begin, int64_t end);

#endif
