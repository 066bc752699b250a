# SPDX-License-Identifier: Apache-2.0
# The shapes of target in this project. A folder is a room and becomes one static library. It lists
# the headers that other rooms may include, as "room/file.h"; all else in the folder is its own.

option(TRACE_WERROR "Treat warnings as errors (scripts/test does)" OFF)
set(TRACE_SANITIZE "" CACHE STRING "Sanitizers for every target, e.g. address,undefined")
option(TRACE_FUZZ "Build the libFuzzer targets (needs clang)" OFF)

add_library(trace_options INTERFACE)
target_compile_features(trace_options INTERFACE c_std_11)
target_compile_definitions(trace_options INTERFACE _GNU_SOURCE)
# FMA contraction stays on (GCC's default for GNU C): results are compared per build, never across
# compilers. Fast-math stays off: non-finite values are counted, and importance lives on small bits.
target_compile_options(trace_options INTERFACE
  $<$<COMPILE_LANGUAGE:C>:-Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wvla
  -Wno-sign-conversion>)
if(TRACE_WERROR)
  target_compile_options(trace_options INTERFACE $<$<COMPILE_LANGUAGE:C>:-Werror>)
endif()
if(TRACE_SANITIZE)
  target_compile_options(trace_options INTERFACE
    $<$<COMPILE_LANGUAGE:C>:-fsanitize=${TRACE_SANITIZE} -fno-omit-frame-pointer
    -fno-sanitize-recover=all>)
  target_link_options(trace_options INTERFACE -fsanitize=${TRACE_SANITIZE})
endif()
# Invariants (base/assert.h) are checked where speed is not what a build is for.
if(TRACE_SANITIZE)
  set(TRACE_ASSERTS 1)
else()
  set(TRACE_ASSERTS $<CONFIG:Debug>)
endif()
target_compile_definitions(trace_options INTERFACE $<${TRACE_ASSERTS}:TR_ASSERTS>)
if(TRACE_FUZZ)
  target_compile_options(trace_options INTERFACE $<$<COMPILE_LANGUAGE:C>:-fsanitize=fuzzer-no-link>)
endif()

# trace_library(name ROOM room [PUBLIC header...] SOURCES file... [LINK target...]
#   [PRIVATE_LINK target...])
# The include path of the library and of what links it is a folder of links to the public headers
# alone, so that the compiler refuses a header that is not listed or that belongs to no linked room.
# Folders within a room see the room's own headers.
function(trace_library name)
  cmake_parse_arguments(arg "" "ROOM" "PUBLIC;SOURCES;LINK;PRIVATE_LINK" ${ARGN})
  add_library(${name} STATIC ${arg_SOURCES})
  set(includes ${PROJECT_BINARY_DIR}/include/${name})
  file(REMOVE_RECURSE ${includes})
  file(MAKE_DIRECTORY ${includes}/${arg_ROOM})
  foreach(header IN LISTS arg_PUBLIC)
    if(NOT EXISTS ${CMAKE_CURRENT_SOURCE_DIR}/${header})
      message(FATAL_ERROR "${name} lists ${header}, which is not in its folder")
    endif()
    get_filename_component(leaf ${header} NAME)
    file(CREATE_LINK ${CMAKE_CURRENT_SOURCE_DIR}/${header} ${includes}/${arg_ROOM}/${leaf}
      SYMBOLIC)
  endforeach()
  target_include_directories(${name} PUBLIC ${includes})
  target_compile_options(${name} PRIVATE
    "$<$<COMPILE_LANGUAGE:C>:SHELL:-iquote ${CMAKE_CURRENT_SOURCE_DIR}>")
  target_link_libraries(${name} PUBLIC ${arg_LINK} PRIVATE trace_options ${arg_PRIVATE_LINK})
  set_target_properties(${name} PROPERTIES POSITION_INDEPENDENT_CODE ON)
endfunction()

# trace_program(name SOURCES file... LINK target...): built into build/PRESET/bin and installed.
function(trace_program name)
  cmake_parse_arguments(arg "" "" "SOURCES;LINK" ${ARGN})
  add_executable(${name} ${arg_SOURCES})
  target_link_libraries(${name} PRIVATE trace_options ${arg_LINK})
  install(TARGETS ${name} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endfunction()

# trace_look_into(target folder...): a test that sees the private headers of rooms, too.
function(trace_look_into name)
  foreach(folder IN LISTS ARGN)
    target_compile_options(${name} PRIVATE "SHELL:-iquote ${PROJECT_SOURCE_DIR}/${folder}")
  endforeach()
endfunction()

# trace_embed(library SYMBOL file): the file's text as the C string SYMBOL (EmbedFile.cmake).
function(trace_embed library symbol file)
  get_filename_component(file ${file} ABSOLUTE)
  set(source ${CMAKE_CURRENT_BINARY_DIR}/${symbol}.c)
  add_custom_command(OUTPUT ${source}
    COMMAND ${CMAKE_COMMAND} -DFILE=${file} -DNAME=${symbol} -DOUT=${source}
      -P ${PROJECT_SOURCE_DIR}/cmake/EmbedFile.cmake
    DEPENDS ${file} ${PROJECT_SOURCE_DIR}/cmake/EmbedFile.cmake
    VERBATIM)
  target_sources(${library} PRIVATE ${source})
endfunction()
