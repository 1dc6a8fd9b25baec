# Fails if an object that is compiled for a newer instruction set defines a symbol which the linker could also pick for
# other files: a weak one outside the target's own namespace.
# Usage: cmake -DNM=<nm> -DOBJECTS=<object>,<object>… -P target_symbols_test.cmake
string(REPLACE "," ";" objects "${OBJECTS}")
set(checked 0)
foreach(object IN LISTS objects)
  if(NOT object MATCHES "targets/([a-z0-9_]+)\\.cpp" OR CMAKE_MATCH_1 STREQUAL "scalar")
    continue()
  endif()
  set(target ${CMAKE_MATCH_1})
  execute_process(COMMAND ${NM} -C --defined-only ${object} OUTPUT_VARIABLE symbols
    COMMAND_ERROR_IS_FATAL ANY)
  string(REGEX MATCHALL "[0-9a-f]+ [VWu] [^\n]+" weak "${symbols}")
  list(FILTER weak EXCLUDE REGEX "qhx::cpu::${target}::")
  # A pointer to the runtime's exception handler, the same in every file: sanitized builds have it.
  list(FILTER weak EXCLUDE REGEX " V DW\\.ref\\.__gxx_personality_v0$")
  if(weak)
    message(FATAL_ERROR "${object} defines symbols that other files may share: ${weak}")
  endif()
  if(NOT symbols MATCHES "qhx::cpu::${target}::kTable")
    message(FATAL_ERROR "${object} does not define the table of ${target}")
  endif()
  math(EXPR checked "${checked} + 1")
endforeach()
if(checked EQUAL 0)
  message(FATAL_ERROR "no object of a target among ${OBJECTS}")
endif()
