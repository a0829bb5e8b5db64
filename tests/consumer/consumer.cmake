# Run by CTest with cmake -P. Installs the build, moves the tree, builds the templates with nothing but
# find_package(halftone), runs them with the moved binary, and has the bytes checked.
cmake_minimum_required(VERSION 3.25)

function(must_work what)
  execute_process(COMMAND ${ARGN} WORKING_DIRECTORY ${work} RESULT_VARIABLE result OUTPUT_VARIABLE output
                  ERROR_VARIABLE output)
  if(NOT result EQUAL 0)
    string(REPLACE ";" " " command "${ARGN}")
    message(FATAL_ERROR "${what} failed (${result}):\n${command}\n${output}")
  endif()
  set(output "${output}" PARENT_SCOPE)
endfunction()

function(must_contain text part)
  string(FIND "${text}" "${part}" place)
  if(place EQUAL -1)
    message(FATAL_ERROR "not found: ${part}\nin: ${text}")
  endif()
endfunction()

file(REMOVE_RECURSE ${work})
file(MAKE_DIRECTORY ${work})

# Nothing of the user's own set-up may help or hinder.
foreach(variable HALFTONE_PLUGIN_PATH CMAKE_PREFIX_PATH halftone_DIR halftone_ROOT DESTDIR)
  unset(ENV{${variable}})
endforeach()
set(ENV{XDG_DATA_HOME} ${work}/data)

# The blank in the name is part of the test. Moving shows that no path of the build or the prefix is kept.
set(prefix "${work}/moved tree")
must_work("installing" ${CMAKE_COMMAND} --install ${build} --config ${config} --prefix ${work}/installed)
file(RENAME ${work}/installed ${prefix})
set(halftone ${prefix}/bin/halftone)

must_work("listing plugins" ${halftone} plugins list)
must_contain("${output}" "bundled")

foreach(dtype bf16 f32)
  must_work("making a model" ${halftone} synth --family flux --layers 1 --scale tiny --dtype ${dtype} --seed 1 -o
            ${work}/${dtype}.safetensors)
endforeach()

file(COPY ${source}/sdk/examples DESTINATION ${work})

# Configures and builds a template, as plugin KIND-ID in ${plugin}.
function(build_template folder kind id)
  set(plugin ${work}/examples/${folder}/build)
  must_work("configuring ${folder}" ${CMAKE_COMMAND} -S ${work}/examples/${folder} -B ${plugin} -G ${generator}
            -DCMAKE_PREFIX_PATH=${prefix} -DCMAKE_C_COMPILER=${c_compiler} -DCMAKE_CXX_COMPILER=${cxx_compiler}
            -DCMAKE_BUILD_TYPE=Release -DCMAKE_EXPORT_COMPILE_COMMANDS=ON
            "-DCMAKE_C_FLAGS=-Wall -Wextra -Werror" "-DCMAKE_CXX_FLAGS=-Wall -Wextra -Werror")
  must_work("building ${folder}" ${CMAKE_COMMAND} --build ${plugin})

  # Nothing of the source or build tree may have helped. Both may contain the work folder, so that goes first.
  file(STRINGS ${plugin}/CMakeCache.txt found REGEX "^halftone_DIR:")
  must_contain("${found}" "${prefix}/")
  file(READ ${plugin}/compile_commands.json commands)
  string(REPLACE "${work}" "WORK" commands "${commands}")
  foreach(tree ${source} ${build})
    string(FIND "${commands}" "${tree}/" place)
    if(NOT place EQUAL -1)
      message(FATAL_ERROR "${folder} was compiled with something of ${tree}: ${commands}")
    endif()
  endforeach()

  must_work("asking about ${id}" ${halftone} plugins info ${plugin}/${kind}-${id}${suffix})
  must_contain("${output}" "1.0.0")
  set(plugin ${plugin} PARENT_SCOPE)
endfunction()

# Quantizes a model with a template's format and has the result checked.
function(check_template folder id model)
  build_template(${folder} format ${id})

  set(pipeline ${work}/${folder}.toml)
  file(WRITE ${pipeline} "[input]\npath = \"${model}.safetensors\"\n[output]\npath = \"${folder}.safetensors\"\n"
                         "[quantize]\nformat = \"${id}\"\n")
  must_work("running ${id}" ${halftone} run ${pipeline} --plugin-dir ${plugin})
  must_work("checking ${id}" ${checker} ${id} ${work}/${model}.safetensors ${work}/${folder}.safetensors)
  message(STATUS "${output}")

  # Bands, threads and memory change nothing.
  file(RENAME ${work}/${folder}.safetensors ${work}/${folder}-first.safetensors)
  must_work("running ${id} with one thread" ${halftone} run ${pipeline} --plugin-dir ${plugin} --set run.threads=1)
  must_work("comparing ${id}" ${CMAKE_COMMAND} -E compare_files ${work}/${folder}.safetensors
            ${work}/${folder}-first.safetensors)

  # A pipeline alone never brings code along.
  execute_process(COMMAND ${halftone} run ${pipeline} --set output.path=none.safetensors WORKING_DIRECTORY ${plugin}
                  RESULT_VARIABLE result OUTPUT_VARIABLE output ERROR_VARIABLE output)
  if(NOT result EQUAL 4)
    message(FATAL_ERROR "a run without --plugin-dir ended with ${result}, not 4: ${output}")
  endif()
  must_contain("${output}" "no format plugin '${id}'")
endfunction()

check_template(thirds acme.thirds bf16)
check_template(minimal_c acme.truncate f32)
build_template(profile model acme.kite)

# An option of the template, checked by the host.
execute_process(COMMAND ${halftone} run ${work}/thirds.toml --plugin-dir ${work}/examples/thirds/build
                        --set quantize.dead_zone=2 --set output.path=none.safetensors
                RESULT_VARIABLE result OUTPUT_VARIABLE output ERROR_VARIABLE output)
if(NOT result EQUAL 2)
  message(FATAL_ERROR "a bad option ended with ${result}, not 2: ${output}")
endif()
must_contain("${output}" "dead_zone")
must_contain("${output}" "must be between 0.1 and 0.9, not 2")
file(REMOVE_RECURSE ${work})
