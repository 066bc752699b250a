// SPDX-License-Identifier: Apache-2.0
#ifndef NX_FIGURES_H
#define NX_FIGURES_H

#include "figures/data.h"
#include "figures/figure.h"

// The figures. Adding one is adding a row to nx_figures.
struct nx_figure_row {
    const char *name, *title;
    // Whether the data has what it shows; NULL: it has. `needs` says, behind the store's name, what
    // is missing and how to get it.
    bool (*possible)(const struct nx_data *data);
    const char *needs;
    bool chooses; // it shows the least important layers, which nx_data_choose adds
    enum tr_status (*build)(struct nx_figure *figure, const struct nx_data *data,
                            struct tr_err *err);
};
enum { NX_FIGURES_MAX = 16 }; // rows
extern const struct nx_figure_row nx_figures[];
extern const int nx_figure_count;

bool nx_figure_possible(const struct nx_figure_row *row, const struct nx_data *data);

// NULL when there is none.
const struct nx_figure_row *nx_figure_find(const char *name);

// The figure of a row; borrows from the data, freed with nx_figure_free.
enum tr_status nx_figure_build(struct nx_figure *figure, const struct nx_figure_row *row,
                               const struct nx_data *data, struct tr_err *err);

// The builders.
enum tr_status nx_build_heat_map(struct nx_figure *figure, const struct nx_data *data,
                                 struct tr_err *err);
enum tr_status nx_build_lines(struct nx_figure *figure, const struct nx_data *data,
                              struct tr_err *err);
enum tr_status nx_build_ranks(struct nx_figure *figure, const struct nx_data *data,
                              struct tr_err *err);
enum tr_status nx_build_agreement(struct nx_figure *figure, const struct nx_data *data,
                                  struct tr_err *err);
enum tr_status nx_build_spans(struct nx_figure *figure, const struct nx_data *data,
                              struct tr_err *err);
enum tr_status nx_build_loss(struct nx_figure *figure, const struct nx_data *data,
                             struct tr_err *err);
enum tr_status nx_build_cost(struct nx_figure *figure, const struct nx_data *data,
                             struct tr_err *err);
enum tr_status nx_build_cost_map(struct nx_figure *figure, const struct nx_data *data,
                                 struct tr_err *err);
enum tr_status nx_build_proxies(struct nx_figure *figure, const struct nx_data *data,
                                struct tr_err *err);
enum tr_status nx_build_told(struct nx_figure *figure, const struct nx_data *data,
                             struct tr_err *err);
enum tr_status nx_build_prices(struct nx_figure *figure, const struct nx_data *data,
                               struct tr_err *err);
enum tr_status nx_build_search(struct nx_figure *figure, const struct nx_data *data,
                               struct tr_err *err);
enum tr_status nx_build_search_order(struct nx_figure *figure, const struct nx_data *data,
                                     struct tr_err *err);

#endif
