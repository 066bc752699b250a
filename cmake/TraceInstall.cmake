# SPDX-License-Identifier: Apache-2.0
# What is installed beside what the rooms install themselves (programs, man pages, completions, the HDF5
# filter, the library with its headers): the packages that find_package and pkg-config read, schemas,
# what clusters need, licence. And what CPack makes of all of it.
include(CMakePackageConfigHelpers)

set(trace_package_folder ${CMAKE_INSTALL_LIBDIR}/cmake/trace-ckpts)
install(EXPORT trace-ckpts NAMESPACE trace-ckpts:: FILE trace-ckptsConfig.cmake
  DESTINATION ${trace_package_folder})
set(trace_version_file ${PROJECT_BINARY_DIR}/trace-ckptsConfigVersion.cmake)
write_basic_package_version_file(${trace_version_file} COMPATIBILITY SameMinorVersion)
install(FILES ${trace_version_file} DESTINATION ${trace_package_folder})

# Paths in it are relative to where it lies, so that a prefix can be moved.
file(RELATIVE_PATH trace_pc_to_prefix
  ${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
string(REGEX REPLACE "/$" "" trace_pc_to_prefix "${trace_pc_to_prefix}")
configure_file(${PROJECT_SOURCE_DIR}/cmake/trace-ckpts.pc.in ${PROJECT_BINARY_DIR}/trace-ckpts.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/trace-ckpts.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

install(FILES analysis/result.schema.json notebooks-export/export.schema.json
  DESTINATION ${CMAKE_INSTALL_DATADIR}/trace-ckpts)

# For clusters: a module file, and the recipes of jobs.
set(trace_module_file ${PROJECT_BINARY_DIR}/modulefiles/${PROJECT_VERSION})
configure_file(${PROJECT_SOURCE_DIR}/mpi/slurm/modulefile.in ${trace_module_file} @ONLY)
install(FILES ${trace_module_file} DESTINATION ${CMAKE_INSTALL_DATADIR}/modulefiles/trace-ckpts)
install(DIRECTORY mpi/slurm DESTINATION ${CMAKE_INSTALL_DATADIR}/trace-ckpts
  FILES_MATCHING PATTERN "*.sbatch")
install(FILES LICENSE CHANGELOG.md DESTINATION ${CMAKE_INSTALL_DOCDIR})

set(CPACK_PACKAGE_VENDOR "The trace-ckpts authors")
set(CPACK_PACKAGE_CONTACT "The trace-ckpts authors")
set(CPACK_PACKAGE_DESCRIPTION "Runs every checkpoint of a training run over one calibration text, measures what each \
sublayer adds to the residual stream, keeps it as a compressed time series, and says which layers hardly do anything.")
set(CPACK_RESOURCE_FILE_LICENSE ${PROJECT_SOURCE_DIR}/LICENSE)
set(CPACK_RESOURCE_FILE_README ${PROJECT_SOURCE_DIR}/README.md)
set(CPACK_GENERATOR DEB TGZ)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION science)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON) # what Depends says is read from the programs
if(MPI_C_LIBRARIES MATCHES openmpi) # even one rank without mpirun starts one of its programs
  set(CPACK_DEBIAN_PACKAGE_DEPENDS openmpi-bin)
endif()
include(CPack)
