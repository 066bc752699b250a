# SPDX-License-Identifier: Apache-2.0
# h5dump reads the sample store with our plugin, and says what it lacks without.
function(dump plugins)
  execute_process(
    COMMAND ${CMAKE_COMMAND} -E env HDF5_PLUGIN_PATH=${plugins} ${H5DUMP} -d /xx_seq -s 3,2,1,0 -c 1,1,1,1 ${STORE}
    RESULT_VARIABLE result OUTPUT_VARIABLE output ERROR_VARIABLE output)
  set(result ${result} PARENT_SCOPE)
  set(output "${output}" PARENT_SCOPE)
endfunction()

dump(${PLUGINS})
# (3 * 7919 + 19 * 104729 + 28 * 31) mod 10007
if(NOT result EQUAL 0 OR NOT output MATCHES "\\(3,2,1,0\\): 3069")
  message(FATAL_ERROR "h5dump with the plugin: ${result}\n${output}")
endif()
dump(/nonexistent) # its exit status is 0 for a subset it cannot read, so look at the output
if(output MATCHES "3069")
  message(FATAL_ERROR "h5dump read compressed data without the plugin:\n${output}")
endif()
