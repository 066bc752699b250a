# SPDX-License-Identifier: Apache-2.0
"""trace/quant through ctypes."""
import ctypes
from ctypes import POINTER, Structure, byref, c_bool, c_char, c_double, c_float, c_int, c_int32, c_int64, c_uint8, c_void_p

import numpy as np

TYPES = {"f32": 0, "f16": 1, "bf16": 2}
CPU = 1
ORDERS = {"file": 0, "static": 1, "groups": 2}


class Error(Structure):
    _fields_ = [("code", c_int), ("text", c_char * 1024)]


class Codes(Structure):
    _fields_ = [("out", c_int64), ("inputs", c_int64), ("bits", c_int), ("symmetric", c_bool),
                ("group_size", c_int64), ("groups", c_int64), ("code", POINTER(c_uint8)),
                ("scale", POINTER(c_float)), ("zero", POINTER(c_uint8)), ("group_of", POINTER(c_int32)),
                ("scale_dtype", c_int)]

    def arrays(self):
        """(codes, scales, zeros, the group of each input)"""
        shape = (self.out, self.groups)
        code = np.ctypeslib.as_array(self.code, (self.out, self.inputs)).astype(int)
        group_of = np.arange(self.inputs) // self.group_size
        if self.group_of:
            group_of = np.ctypeslib.as_array(self.group_of, (self.inputs,)).astype(int)
        return (code, np.ctypeslib.as_array(self.scale, shape).copy(),
                np.ctypeslib.as_array(self.zero, shape).astype(int), group_of)


class Grid(Structure):
    _fields_ = [("bits", c_int), ("symmetric", c_bool), ("clip", c_bool), ("group_size", c_int64),
                ("scale_type", c_int)]

    def __init__(self, grid):
        super().__init__(grid.bits, grid.symmetric, grid.clip, grid.group, TYPES[grid.dtype])


class Options(Structure):
    _fields_ = [("damping", c_double), ("order", c_int)]


class Factor(Structure):
    _fields_ = [("kn", c_void_p), ("u", POINTER(c_double)), ("order", POINTER(c_int32)),
                ("order_there", POINTER(c_int32)), ("inputs", c_int64), ("damping", c_double), ("factored", c_bool)]


class Opening(Structure):
    _fields_ = [("threads", c_int), ("type", c_int), ("device", c_int), ("error", c_void_p)]


class Failed(Exception):
    pass


class Room:
    def __init__(self, path):
        self.library = ctypes.CDLL(path)
        self.backends = {threads: self.open(threads) for threads in (1, 2)}

    def open(self, threads):
        backend = c_void_p()
        assert self.library.kn_open(byref(backend), CPU, byref(Opening(threads=threads))) == 0
        return backend

    def call(self, name, *arguments):
        error = Error()
        if getattr(self.library, name)(*arguments, byref(error)) != 0:
            raise Failed(error.text.decode())

    def taken(self, codes):
        arrays = codes.arrays()
        self.library.tr_codes_free(byref(codes))
        return arrays

    def round_to_nearest(self, w, grid, threads=2):
        codes = Codes()
        self.call("tr_round_to_nearest", byref(codes), byref(Grid(grid)), at(w), c_int64(w.shape[0]),
                  c_int64(w.shape[1]), c_int(threads), b"a weight")
        return self.taken(codes)

    def gptq(self, w, h, grid, order, damping, threads=2):
        """Codes as arrays, and the damping that was needed."""
        codes, factor, options = Codes(), Factor(), Options(damping, ORDERS[order])
        self.call("tr_gptq_factor_new", byref(factor), self.backends[threads], byref(options), at(h),
                  c_int64(len(h)))
        try:
            self.call("tr_gptq", byref(codes), byref(Grid(grid)), byref(options), byref(factor), at(w),
                      c_int64(len(w)), c_int(threads), b"a weight")
            return self.taken(codes), factor.damping
        finally:
            self.library.tr_gptq_factor_free(byref(factor))

    def output_error(self, values, w, h, threads=2):
        error = c_double()
        self.call("tr_output_error", byref(error), self.backends[threads], at(values), at(w), c_int64(w.shape[0]),
                  c_int64(w.shape[1]), at(h))
        return error.value

    def awq_weight_sums(self, w, grid):
        sums = np.zeros(w.shape[1])
        self.library.tr_awq_add_weights(at(sums), byref(Grid(grid)), at(w), c_int64(w.shape[0]), c_int64(w.shape[1]))
        return sums

    def awq_scales(self, x_mean, w_mean, step):
        s = np.full(len(x_mean), np.nan)
        self.library.tr_awq_scales(at(s), at(x_mean), at(w_mean), c_int64(len(s)), c_int(step))
        return s

    def awq_round(self, w, s, grid, threads=2):
        values = np.full(w.shape, np.nan, np.float32)
        self.call("tr_awq_round", at(values), byref(Grid(grid)), at(w), at(s), c_int64(w.shape[0]),
                  c_int64(w.shape[1]), c_int(threads))
        return values

    def awq_clip(self, w, h, grid, threads=2):
        w = w.copy()
        self.call("tr_awq_clip", at(w), byref(Grid(grid)), at(h), c_int64(w.shape[0]), c_int64(w.shape[1]),
                  c_int(threads))
        return w


def at(array):
    assert array.flags.c_contiguous
    return array.ctypes.data_as(ctypes.c_void_p)
