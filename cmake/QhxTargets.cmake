# How this project declares its targets: one library a folder, tests beside the code.

add_library(qhx_options INTERFACE)
target_include_directories(qhx_options INTERFACE ${PROJECT_SOURCE_DIR}/src ${PROJECT_SOURCE_DIR}/include)
target_compile_options(qhx_options INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor -Wcast-qual -Wno-missing-field-initializers
  $<$<BOOL:${QHX_WERROR}>:-Werror>)
# GCC 12 sees overlapping copies in plain string concatenation (its bug 105651).
target_compile_options(qhx_options INTERFACE $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict>)
if(QHX_SANITIZE)
  target_compile_options(qhx_options INTERFACE -fsanitize=${QHX_SANITIZE} -fno-omit-frame-pointer
    -fno-sanitize-recover=all)
  target_link_options(qhx_options INTERFACE -fsanitize=${QHX_SANITIZE})
endif()

# qhx_library(base SOURCES a.cpp b.cpp DEPS qhx::x): static library qhx_base with the alias qhx::base.
# DEPS are public, PRIVATE_DEPS are not seen by those who link to it.
function(qhx_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS;PRIVATE_DEPS" ${ARGN})
  add_library(qhx_${name} STATIC ${ARG_SOURCES})
  add_library(qhx::${name} ALIAS qhx_${name})
  target_link_libraries(qhx_${name} PUBLIC qhx_options ${ARG_DEPS} PRIVATE ${ARG_PRIVATE_DEPS})
endfunction()

# qhx_test(thread_pool_test DEPS qhx::base [SOURCES …]): a GoogleTest program and one ctest entry for it.
# TIMEOUT is in seconds; LABELS go to ctest.
function(qhx_test name)
  cmake_parse_arguments(ARG "" "TIMEOUT" "SOURCES;DEPS;LABELS;ENVIRONMENT" ${ARGN})
  if(NOT QHX_BUILD_TESTS)
    return()
  endif()
  if(NOT ARG_SOURCES)
    set(ARG_SOURCES ${name}.cpp)
  endif()
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 300)
  endif()
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE qhx_options ${ARG_DEPS} GTest::gtest GTest::gmock GTest::gtest_main)
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests)
  add_test(NAME ${name} COMMAND ${name})
  set_tests_properties(${name} PROPERTIES TIMEOUT ${ARG_TIMEOUT})
  if(ARG_LABELS)
    set_tests_properties(${name} PROPERTIES LABELS "${ARG_LABELS}")
  endif()
  if(ARG_ENVIRONMENT)
    set_tests_properties(${name} PROPERTIES ENVIRONMENT "${ARG_ENVIRONMENT}")
  endif()
endfunction()
