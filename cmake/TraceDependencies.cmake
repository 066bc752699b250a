# SPDX-License-Identifier: Apache-2.0
# Imported targets for everything the project links. Required: HDF5 (serial), zstd, zlib, jansson, PCRE2,
# utf8proc, xxHash, a CBLAS, OpenMP, threads. Optional: MPI and CUDA, found or left out by themselves.
# Nothing needs root: CMAKE_PREFIX_PATH and PKG_CONFIG_PATH say where libraries of one's own are.

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
find_package(ZLIB REQUIRED) # HDF5 brings it

# HDF5 with its high-level library, which holds the dimension scales. CMake's own module first, so that
# HDF5_ROOT or CMAKE_PREFIX_PATH is enough where no pkg-config file is; and the serial build.
function(trace_find_hdf5)
  add_library(trace::hdf5 INTERFACE IMPORTED GLOBAL)
  find_package(HDF5 1.10 QUIET COMPONENTS C HL)
  if(HDF5_FOUND AND NOT HDF5_IS_PARALLEL)
    set_target_properties(hdf5::hdf5 hdf5::hdf5_hl PROPERTIES IMPORTED_GLOBAL TRUE)
    target_link_libraries(trace::hdf5 INTERFACE hdf5::hdf5_hl hdf5::hdf5)
    set(version ${HDF5_VERSION})
    set(how CMake)
  else()
    pkg_search_module(trace_hdf5 IMPORTED_TARGET GLOBAL hdf5-serial>=1.10 hdf5>=1.10)
    find_library(TRACE_HDF5_HL NAMES hdf5_serial_hl hdf5_hl HINTS ${trace_hdf5_LIBRARY_DIRS})
    if(NOT trace_hdf5_FOUND OR NOT TRACE_HDF5_HL)
      message(FATAL_ERROR "No serial HDF5 from 1.10 on with its high-level library was found, neither by CMake "
        "(HDF5_ROOT names the folder where it is installed) nor by pkg-config")
    endif()
    target_link_libraries(trace::hdf5 INTERFACE ${TRACE_HDF5_HL} PkgConfig::trace_hdf5)
    set(HDF5_INCLUDE_DIRS ${trace_hdf5_INCLUDE_DIRS})
    set(version ${trace_hdf5_VERSION})
    set(how pkg-config)
  endif()
  message(STATUS "HDF5: ${version} by ${how}, headers in ${HDF5_INCLUDE_DIRS}")
  set(TRACE_HDF5_VERSION ${version} PARENT_SCOPE)
  set(TRACE_HDF5_INCLUDES ${HDF5_INCLUDE_DIRS} PARENT_SCOPE)
endfunction()
trace_find_hdf5()

# BLIS first: its results do not depend on its thread count. Debian's serial builds, which stand beside
# others, first: products are single-threaded calls under our own threads.
function(trace_find_blas)
  set(vendors FLAME OpenBLAS) # FLAME is CMake's word for BLIS
  if(BLA_VENDOR)
    set(vendors ${BLA_VENDOR})
  endif()
  foreach(build blis-serial openblas-serial)
    list(APPEND CMAKE_LIBRARY_PATH /usr/lib/${CMAKE_LIBRARY_ARCHITECTURE}/${build})
  endforeach()
  foreach(BLA_VENDOR IN LISTS vendors)
    if(NOT BLAS_FOUND)
      find_package(BLAS QUIET)
    endif()
  endforeach()
  if(NOT BLAS_FOUND)
    pkg_search_module(trace_blas blis openblas)
    set(BLAS_LIBRARIES ${trace_blas_LINK_LIBRARIES})
  endif()
  set(TRACE_BLAS "${BLAS_LIBRARIES}" CACHE STRING "The BLAS with its CBLAS: path of the library")
endfunction()
if(NOT TRACE_BLAS)
  unset(TRACE_BLAS CACHE)
  trace_find_blas()
endif()

# Its header, from the same build where there are several.
function(trace_find_cblas)
  list(GET TRACE_BLAS 0 library)
  file(REAL_PATH ${library} library)
  get_filename_component(folder ${library} DIRECTORY)
  get_filename_component(build ${folder} NAME)
  find_path(TRACE_CBLAS_INCLUDE cblas.h HINTS ${folder}/../include ${folder}/../../include
    PATH_SUFFIXES ${build} blis openblas)
  add_library(cblas::cblas INTERFACE IMPORTED GLOBAL)
  target_link_libraries(cblas::cblas INTERFACE ${TRACE_BLAS})
  target_include_directories(cblas::cblas SYSTEM INTERFACE ${TRACE_CBLAS_INCLUDE})
  include(CheckSymbolExists)
  set(CMAKE_REQUIRED_LIBRARIES cblas::cblas)
  check_symbol_exists(cblas_sgemm cblas.h TRACE_HAS_CBLAS)
endfunction()
if(TRACE_BLAS)
  trace_find_cblas()
endif()
if(NOT TRACE_HAS_CBLAS)
  unset(TRACE_HAS_CBLAS CACHE) # asked again when another is named
  message(FATAL_ERROR "No BLAS with cblas.h and cblas_sgemm was found: BLIS or OpenBLAS, by CMake (BLAS_ROOT, "
    "BLA_VENDOR), by pkg-config, or named by TRACE_BLAS; found \"${TRACE_BLAS}\"")
endif()
message(STATUS "CBLAS: ${TRACE_BLAS}")

if(NOT TRACE_MPI STREQUAL "OFF")
  set(MPI_DETERMINE_LIBRARY_VERSION TRUE)
  find_package(MPI COMPONENTS C)
  if(NOT MPI_C_FOUND AND TRACE_MPI STREQUAL "ON")
    message(FATAL_ERROR "TRACE_MPI=ON, but no MPI was found")
  endif()
endif()

# CUDA needs a compiler and cuBLASLt's header. The library itself is opened when the backend is, so
# that a build with CUDA also runs where there is none. Machine code for Hopper with its own
# instructions and for Ampere, from which drivers compile for what comes later.
option(TRACE_CUDA_FAST_COMPILE "Compile slow kernels fast, for tests where no device is" OFF)
set(TRACE_CUBLAS_ROOT "" CACHE PATH "Where cuBLAS lies when it is not in the CUDA toolkit")
if(NOT TRACE_CUDA STREQUAL "OFF")
  include(CheckLanguage)
  check_language(CUDA)
  if(CMAKE_CUDA_COMPILER)
    if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
      set(CMAKE_CUDA_ARCHITECTURES 80 90a-real)
    endif()
    enable_language(CUDA)
    # For builds that only show that kernels compile: a tenth of the time, and kernels that are slow.
    if(TRACE_CUDA_FAST_COMPILE AND CMAKE_CUDA_COMPILER_VERSION VERSION_GREATER_EQUAL 12.9)
      string(APPEND CMAKE_CUDA_FLAGS " --Ofast-compile=max")
    endif()
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
