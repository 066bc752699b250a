# SPDX-License-Identifier: Apache-2.0
"""The statistics library through ctypes: one Python function for each of its own, arrays in and out."""
import ctypes
from ctypes import POINTER, Structure, byref, c_bool, c_char, c_double, c_int, c_int64, c_uint64

import numpy as np

library = None
METHODS = ("none", "skew_t", "bootstrap_t", "bca")


def load(path):
    global library
    library = ctypes.CDLL(path)
    for name in ("normal_cdf", "normal_quantile", "t_cdf", "t_quantile", "sorted_quantile",
                 "jaccard_chance", "correlation_time", "choice_probability", "upper_limit",
                 "not_below_p", "write_importance", "orthogonal_importance", "stepped_up"):
        getattr(library, "an_" + name).restype = c_double
    for name in ("order", "keep_finite", "packed_size"):
        getattr(library, "an_" + name).restype = c_int64
    for name in ("random_next", "random_below"):
        getattr(library, "an_" + name).restype = c_uint64
    library.an_best_window.restype = c_bool
    library.an_rbo_chance.restype = Rbo
    library.an_sure_share.restype = Share
    library.an_split_change.restype = Split


class Error(Structure):
    _fields_ = [("code", c_int), ("text", c_char * 1024)]


class Failed(Exception):
    pass


def call(name, *arguments):
    """A function of the room that takes an error last."""
    error = Error()
    if getattr(library, "an_" + name)(*[pass_on(a) for a in arguments], byref(error)) != 0:
        raise Failed(error.text.decode())


def plain(name, *arguments):
    return getattr(library, "an_" + name)(*[pass_on(a) for a in arguments])


def pass_on(argument):
    if isinstance(argument, np.ndarray):
        assert argument.flags.c_contiguous
        return argument.ctypes.data_as(ctypes.c_void_p)
    if isinstance(argument, (bool, int, np.integer)):
        return c_int64(int(argument))
    if isinstance(argument, (float, np.floating)):
        return c_double(argument)
    return argument


def doubles(*shape):
    return np.full(shape, -7.25)  # what a function forgets to set shows


def structure(name, fields):
    return type(name, (Structure,), {"_fields_": fields})


def reals(*names):
    return [(name, c_double) for name in names]


def integers(*names):
    return [(name, c_int64) for name in names]


Random = structure("Random", [("state", c_uint64 * 4)])
Rbo = structure("Rbo", reals("plain", "extrapolated"))
Panel = structure("Panel", integers("checkpoints", "units", "sequences") +
                  [("values", ctypes.c_void_p), ("tokens", ctypes.c_void_p)])
Resamples = structure("Resamples", integers("count", "sequences") +
                      [("seed", c_uint64), ("weights", POINTER(c_double))])
Draws = structure("Draws", integers("count", "units") + [("of", POINTER(c_double) * 3)])
Interval = structure("Interval", reals("low", "high") + [("method", c_int)])
Sample = structure("Sample", reals("estimate") + integers("sequences") + [
    ("pseudo", ctypes.c_void_p), ("share", ctypes.c_void_p), ("draws", ctypes.c_void_p),
    ("stride", c_int64), ("resamples", ctypes.c_void_p)])
Concordance = structure("Concordance", integers("checkpoints", "units") +
                        reals("w", "mean_spearman", "correlation_time", "block_time") +
                        integers("block", "gap", "blocks", "relabellings") + reals("p"))
Choice = structure("Choice", integers("candidates", "present") + [
    ("order", POINTER(c_int64)), ("place", POINTER(c_double)), ("set", POINTER(c_double))])
Cut = structure("Cut", integers("last", "next") + reals("margin") + [("interval", Interval)] +
                reals("probability") + [("clean", c_bool)])
Trend = structure("Trend", integers("count") + reals(
    "s", "variance", "correction", "z", "p", "slope", "low", "high", "intercept"))
Changes = structure("Changes", integers("count") + [("at", POINTER(c_int64))] +
                    reals("cost", "penalty"))
RankAgreement = structure("RankAgreement", reals(
    "spearman", "spearman_low", "spearman_high", "tau", "tau_low", "tau_high"))
Share = structure("Share", reals("low", "high"))
Regret = structure("Regret", reals("value", "low", "high"))
Halves = structure("Halves", reals("spearman", "found"))
Window = structure("Window", integers("first", "length") + reals("similarity"))
Write = structure("Write", reals("delta", "x", "c"))
Split = structure("Split", reals("change", "delta", "stream", "direction"))


def array_of(pointer, *shape):
    return np.ctypeslib.as_array(pointer, shape).copy()


class Measured:
    """A panel with its arrays kept alive."""

    def __init__(self, values, tokens=None):
        self.values = np.ascontiguousarray(values, float)
        self.tokens = None if tokens is None else np.ascontiguousarray(tokens, np.uint32)
        self.shape = self.values.shape
        self.panel = Panel(*self.shape, self.values.ctypes.data,
                           None if tokens is None else self.tokens.ctypes.data)

    def counts(self):
        """Tokens of each value, 0 where it is left out."""
        tokens = np.ones(self.shape) if self.tokens is None else self.tokens.astype(float)
        return np.where(np.isfinite(self.values), tokens, 0.0)


def resamples(count, sequences, seed):
    result = Resamples()
    call("resamples_draw", byref(result), count, sequences, c_uint64(seed))
    return result, array_of(result.weights, count, sequences)


def draws(drawn, measured, weight):
    result = Draws()
    call("draws_make", byref(result), byref(drawn), byref(measured.panel), weight)
    arrays = [array_of(result.of[i], result.count, result.units) for i in range(3)]
    plain("draws_free", byref(result))
    return arrays


def sample(estimate, pseudo, share=None, drawn=None, values=None):
    result = Sample(estimate, len(pseudo), pseudo.ctypes.data,
                    None if share is None else share.ctypes.data,
                    None if values is None else values.ctypes.data, 1,
                    None if drawn is None else ctypes.addressof(drawn))
    result.kept = (pseudo, share, values, drawn)
    return result


def interval(one, level):
    result = Interval()
    call("interval", byref(result), byref(one), level)
    return result.low, result.high, METHODS[result.method]


def difference(a, b, level):
    result = Interval()
    call("difference", byref(result), byref(a), byref(b), level)
    return result.low, result.high, METHODS[result.method]
