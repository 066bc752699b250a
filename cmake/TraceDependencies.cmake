# SPDX-License-Identifier: Apache-2.0
# Imported targets for everything the project links. Required: HDF5 (serial), zstd, jansson, PCRE2,
# utf8proc, xxHash, a CBLAS, OpenMP, threads. Optional: MPI and CUDA, found or left out by themselves.

set(TRACE_MPI AUTO CACHE STRING "MPI: AUTO, ON or OFF")
set(TRACE_CUDA AUTO CACHE STRING "CUDA backend: AUTO, ON or OFF")

find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
find_package(OpenMP REQUIRED COMPONENTS C)

# trace_package(target::name pkg-config-module...): the first module that exists becomes the target.
function(trace_package target)
  string(REPLACE "::" "_" key ${target})
  pkg_search_module(${key} REQUIRED IMPORTED_TARGET ${ARGN})
  add_library(${target} INTERFACE IMPORTED GLOBAL)
  target_link_libraries(${target} INTERFACE PkgConfig::${key})
endfunction()

trace_package(jansson::jansson jansson>=2.10)
trace_package(pcre2::pcre2 libpcre2-8>=10.30)
trace_package(utf8proc::utf8proc libutf8proc>=2.4)
trace_package(zstd::zstd libzstd>=1.4)
trace_package(xxhash::xxhash libxxhash>=0.8)
trace_package(hdf5::hdf5 hdf5-serial hdf5) # serial by name: plain "hdf5" may be the MPI build

# hdf5_hl holds the dimension scales; Debian's .pc names it only in some versions.
find_library(TRACE_HDF5_HL NAMES hdf5_serial_hl hdf5_hl HINTS ${hdf5_hdf5_LIBRARY_DIRS} REQUIRED)
target_link_libraries(hdf5::hdf5 INTERFACE ${TRACE_HDF5_HL})

# BLIS first: its results do not depend on its thread count. The serial build first: products are
# single-threaded calls under our own threads.
find_library(TRACE_BLAS NAMES blis openblas
  PATH_SUFFIXES blis-serial blis-openmp blis-pthread openblas-pthread openblas-serial REQUIRED)
get_filename_component(trace_blas_folder ${TRACE_BLAS} DIRECTORY)
get_filename_component(trace_blas_variant ${trace_blas_folder} NAME)
find_path(TRACE_CBLAS_INCLUDE cblas.h PATH_SUFFIXES
  ${trace_blas_variant} blis openblas x86_64-linux-gnu/${trace_blas_variant} REQUIRED)
add_library(cblas::cblas INTERFACE IMPORTED GLOBAL)
target_link_libraries(cblas::cblas INTERFACE ${TRACE_BLAS})
target_include_directories(cblas::cblas SYSTEM INTERFACE ${TRACE_CBLAS_INCLUDE})
message(STATUS "CBLAS: ${TRACE_BLAS}")

if(NOT TRACE_MPI STREQUAL "OFF")
  find_package(MPI COMPONENTS C)
  if(NOT MPI_C_FOUND AND TRACE_MPI STREQUAL "ON")
    message(FATAL_ERROR "TRACE_MPI=ON, but no MPI was found")
  endif()
endif()

# CUDA needs a compiler and cuBLASLt's header. The library itself is opened when the backend is, so
# that a build with CUDA also runs where there is none. Machine code for Hopper with its own
# instructions and for Ampere, from which drivers compile for what comes later.
set(TRACE_CUBLAS_ROOT "" CACHE PATH "Where cuBLAS lies when it is not in the CUDA toolkit")
if(NOT TRACE_CUDA STREQUAL "OFF")
  include(CheckLanguage)
  check_language(CUDA)
  if(CMAKE_CUDA_COMPILER)
    if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
      set(CMAKE_CUDA_ARCHITECTURES 80 90a-real)
    endif()
    enable_language(CUDA)
    find_path(TRACE_CUBLAS_INCLUDE cublasLt.h
      HINTS ${TRACE_CUBLAS_ROOT} ${CMAKE_CUDA_TOOLKIT_INCLUDE_DIRECTORIES} PATH_SUFFIXES include)
    string(REGEX MATCH "^[0-9]+" trace_cuda_major "${CMAKE_CUDA_COMPILER_VERSION}")
    find_library(TRACE_CUBLAS NAMES libcublasLt.so.${trace_cuda_major} cublasLt
      HINTS ${TRACE_CUBLAS_ROOT} ${CMAKE_CUDA_IMPLICIT_LINK_DIRECTORIES}
      PATH_SUFFIXES lib lib64 targets/x86_64-linux/lib)
  endif()
  if(TRACE_CUBLAS_INCLUDE)
    set(TRACE_HAS_CUDA TRUE)
  elseif(TRACE_CUDA STREQUAL "ON")
    message(FATAL_ERROR "TRACE_CUDA=ON, but no CUDA compiler with cublasLt.h was found")
  endif()
endif()
message(STATUS "MPI: ${MPI_C_FOUND}, CUDA: ${TRACE_HAS_CUDA}")
