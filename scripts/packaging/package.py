# SPDX-License-Identifier: Apache-2.0
# For Spack 1.0: copy into packages/trace_ckpts/ of a repository of your own (spack repo create), then
#   spack develop --path CLONE trace-ckpts@0.2.0 && spack install
from spack_repo.builtin.build_systems.cmake import CMakePackage

from spack.package import *


class TraceCkpts(CMakePackage):
    """Runs every checkpoint of a language model's training over a text and stores how much each
    sublayer changes the residual stream; says which layers are redundant, and since when."""

    license("Apache-2.0")

    version("0.2.0")

    variant("mpi", default=True, description="Share checkpoints among ranks")
    variant("cuda", default=False, description="Compute on NVIDIA GPUs, too")
    variant("blas", default="blis", values=("blis", "openblas"), description="Whose products")

    depends_on("c", type="build")
    depends_on("cxx", type="build", when="+cuda")  # nvcc's host compiler
    depends_on("cmake@3.22:", type="build")
    depends_on("pkgconfig", type="build")
    depends_on("hdf5@1.10: ~mpi +hl")
    depends_on("zstd@1.4:")
    depends_on("zlib-api")
    depends_on("jansson@2.10:")
    depends_on("pcre2@10.30:")
    depends_on("utf8proc@2.4:")
    depends_on("xxhash@0.8:")
    depends_on("mpi", when="+mpi")
    depends_on("cuda@12:", when="+cuda")
    # A BLAS without threads of its own: products are single-threaded calls under ours.
    depends_on("blis threads=none +cblas", when="blas=blis")
    depends_on("openblas threads=none", when="blas=openblas")

    def cmake_args(self):
        blas = self.spec[self.spec.variants["blas"].value]
        return [
            self.define_from_variant("TRACE_MPI", "mpi"),
            self.define_from_variant("TRACE_CUDA", "cuda"),
            self.define("TRACE_BLAS", blas.libs[0]),
            self.define("HDF5_ROOT", self.spec["hdf5"].prefix),
            self.define("BUILD_TESTING", False),
        ]

    def setup_run_environment(self, env):
        env.prepend_path("HDF5_PLUGIN_PATH", join_path(self.prefix.lib, "hdf5", "plugin"))
