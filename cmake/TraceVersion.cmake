# SPDX-License-Identifier: Apache-2.0
# What --version says of the build, as definitions for programs/version.c: TRACE_BUILD.

# The commit, asked for anew when there is another; packages made without git may give one.
set(TRACE_COMMIT "" CACHE STRING "Commit of the sources, where git cannot say it")
find_package(Git QUIET)
set(commit "${TRACE_COMMIT}")
if(GIT_FOUND AND NOT commit AND EXISTS ${PROJECT_SOURCE_DIR}/.git)
  execute_process(COMMAND ${GIT_EXECUTABLE} rev-parse --short=12 HEAD WORKING_DIRECTORY ${PROJECT_SOURCE_DIR}
    OUTPUT_VARIABLE commit OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
endif()
if(EXISTS ${PROJECT_SOURCE_DIR}/.git/logs/HEAD)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/.git/logs/HEAD)
endif()

# The BLAS says its version itself; where nothing can be run, its file has to do.
get_filename_component(blas "${TRACE_BLAS}" NAME)
if(NOT CMAKE_CROSSCOMPILING)
  try_run(TRACE_BLAS_RAN TRACE_BLAS_COMPILED ${PROJECT_BINARY_DIR}/blas_version ${PROJECT_SOURCE_DIR}/cmake/blas_version.c
    LINK_LIBRARIES cblas::cblas RUN_OUTPUT_VARIABLE said)
  if(said)
    set(blas "${said}")
  endif()
endif()

# Libraries' own words for their versions are lines and lists: the first item is enough.
if(MPI_C_LIBRARY_VERSION_STRING)
  string(REGEX MATCH "^[^,\n]+" mpi "${MPI_C_LIBRARY_VERSION_STRING}")
  string(REGEX REPLACE "[ \t]+" " " mpi "${mpi}")
elseif(MPI_C_FOUND)
  set(mpi "of the standard ${MPI_C_VERSION}")
endif()
if(TRACE_HAS_CUDA)
  set(cuda ${CMAKE_CUDA_COMPILER_VERSION})
  if(TRACE_CUDA_FAST_COMPILE)
    string(APPEND cuda ", kernels not optimized")
  endif()
endif()

set(TRACE_BUILD)
foreach(part commit mpi cuda blas)
  string(TOUPPER ${part} name)
  if(NOT ${part})
    set(${part} none)
  endif()
  list(APPEND TRACE_BUILD "TRACE_BUILD_${name}=\"${${part}}\"")
endforeach()
list(APPEND TRACE_BUILD "TRACE_BUILD_HDF5=\"${TRACE_HDF5_VERSION}\""
  "TRACE_BUILD_COMPILER=\"${CMAKE_C_COMPILER_ID} ${CMAKE_C_COMPILER_VERSION}\"")
