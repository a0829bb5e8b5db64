# CMake functions that build Halftone plugins; the same for bundled ones and for yours.
include_guard(GLOBAL)

# halftone_kernel_levels(TARGET FILE...)
#
# Compiles each file once per CPU level and adds the objects to TARGET. A file sees HALFTONE_CPU_LEVEL as the name
# of its level (baseline, avx2, avx512) and puts its code into a namespace of that name, so that no function of one
# level can be merged with its twin of another. Pick one at run time by ht_host.cpu (see halftone/cpu.hpp).
function(halftone_kernel_levels target)
  set(levels baseline)
  if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64|amd64")
    list(APPEND levels avx2 avx512)
  endif()
  set(flags_avx2 -mavx2 -mfma -mf16c -mbmi -mbmi2 -mlzcnt)
  set(flags_avx512 ${flags_avx2} -mavx512f -mavx512bw -mavx512cd -mavx512dq -mavx512vl -mprefer-vector-width=512)
  foreach(level ${levels})
    set(objects ${target}_${level})
    add_library(${objects} OBJECT ${ARGN})
    # -O3 even in debug builds would hide the loops from a debugger; elsewhere it is what vectorizes them.
    # -fno-trapping-math changes no result; without it gcc leaves loops scalar that choose between two computations.
    target_compile_options(${objects} PRIVATE $<$<NOT:$<CONFIG:Debug>>:-O3> -fno-trapping-math ${flags_${level}})
    target_compile_definitions(${objects} PRIVATE HALFTONE_CPU_LEVEL=${level})
    target_link_libraries(${objects} PRIVATE halftone::sdk $<TARGET_NAME_IF_EXISTS:halftone_strict>)
    set_target_properties(${objects} PROPERTIES POSITION_INDEPENDENT_CODE ON CXX_VISIBILITY_PRESET hidden
                                                VISIBILITY_INLINES_HIDDEN ON)
    target_include_directories(${objects} PRIVATE $<TARGET_PROPERTY:${target},INCLUDE_DIRECTORIES>)
    target_sources(${target} PRIVATE $<TARGET_OBJECTS:${objects}>)
  endforeach()
  list(LENGTH levels count)
  target_compile_definitions(${target} PRIVATE HALFTONE_CPU_LEVELS=${count})
endfunction()

# Kernels for GPUs are optional: without nvcc the same plugins are built, and run on the CPU.
set(HALFTONE_CUDA AUTO CACHE STRING "Compile CUDA kernels: ON, OFF, or AUTO (if nvcc is found)")
set_property(CACHE HALFTONE_CUDA PROPERTY STRINGS AUTO ON OFF)
set(HALFTONE_CUDA_ARCHITECTURES 90 CACHE STRING "Compute capabilities to compile for; of the lowest also PTX")
set(nvcc_found FALSE)
if(HALFTONE_CUDA)
  find_program(HALFTONE_NVCC nvcc HINTS $ENV{CUDA_HOME}/bin /usr/local/cuda/bin)
  if(HALFTONE_NVCC)
    set(nvcc_found TRUE)
    file(REAL_PATH ${HALFTONE_NVCC} nvcc_itself)
    cmake_path(GET nvcc_itself PARENT_PATH nvcc_folder)
    find_path(HALFTONE_CUDA_INCLUDE cuda.h HINTS ${nvcc_folder}/../include)
  elseif(NOT HALFTONE_CUDA STREQUAL "AUTO")
    message(FATAL_ERROR "HALFTONE_CUDA is ${HALFTONE_CUDA}, but there is no nvcc; set HALFTONE_NVCC to its path")
  endif()
endif()
set(HALFTONE_NVCC_FOUND ${nvcc_found} CACHE INTERNAL "for every folder that adds a plugin")
if(NOT HALFTONE_NVCC_FOUND)
  message(STATUS "Halftone: no CUDA kernels (HALFTONE_CUDA=${HALFTONE_CUDA}, nvcc: ${HALFTONE_NVCC})")
endif()

# halftone_kernel_images(TARGET file.cu...)
#
# Compiles each file into a fatbin and makes it a constant array of TARGET, for HALFTONE_KERNEL_IMAGE(file) of
# halftone/kernel_image.hpp. Without nvcc the array is empty.
function(halftone_kernel_images target)
  set(flags -fatbin -std=c++20 -O3 -fmad=false -Werror all-warnings)
  foreach(architecture ${HALFTONE_CUDA_ARCHITECTURES})
    list(APPEND flags -gencode arch=compute_${architecture},code=sm_${architecture})
  endforeach()
  list(GET HALFTONE_CUDA_ARCHITECTURES 0 lowest)
  list(APPEND flags -gencode arch=compute_${lowest},code=compute_${lowest})
  foreach(file ${ARGN})
    get_filename_component(name ${file} NAME_WE)
    set(image ${CMAKE_CURRENT_BINARY_DIR}/${name}.fatbin) # shared by the targets of a folder
    set(source ${CMAKE_CURRENT_BINARY_DIR}/${target}-${name}.cpp)
    get_property(made DIRECTORY PROPERTY HALFTONE_KERNEL_IMAGES)
    if(HALFTONE_NVCC_FOUND AND NOT image IN_LIST made)
      set_property(DIRECTORY APPEND PROPERTY HALFTONE_KERNEL_IMAGES ${image})
      set(includes "-I$<JOIN:$<TARGET_PROPERTY:halftone::sdk,INTERFACE_INCLUDE_DIRECTORIES>,$<SEMICOLON>-I>")
      add_custom_command(
        OUTPUT ${image}
        COMMAND ${HALFTONE_NVCC} ${flags} "${includes}" -MD -MF ${image}.d -o ${image} ${CMAKE_CURRENT_SOURCE_DIR}/${file}
        DEPENDS ${file} DEPFILE ${image}.d COMMENT "Compiling ${file} into a fatbin" COMMAND_EXPAND_LISTS VERBATIM)
    endif()
    if(HALFTONE_NVCC_FOUND)
      set(HALFTONE_IMAGE_DATA ".incbin \\\"${image}\\\"")
    else()
      set(HALFTONE_IMAGE_DATA "")
    endif()
    set(HALFTONE_IMAGE_NAME ${name})
    configure_file(${CMAKE_CURRENT_FUNCTION_LIST_DIR}/image.cpp.in ${source} @ONLY)
    if(HALFTONE_NVCC_FOUND)
      set_source_files_properties(${source} PROPERTIES OBJECT_DEPENDS ${image})
    endif()
    target_sources(${target} PRIVATE ${source})
  endforeach()
endfunction()

# halftone_add_plugin(KIND format|model|optimizer|device ID fp8 SOURCES file... [KERNELS file...] [CUDA file.cu...])
#
# Builds KIND-ID.so, which exports its descriptor and nothing else. KERNELS are compiled once per CPU level, CUDA files
# into images that the plugin hands over as data.
function(halftone_add_plugin)
  cmake_parse_arguments(PARSE_ARGV 0 arg "" "KIND;ID" "SOURCES;KERNELS;CUDA")
  if(NOT arg_KIND MATCHES "^(format|model|optimizer|device)$" OR NOT arg_ID OR NOT arg_SOURCES)
    message(FATAL_ERROR "halftone_add_plugin needs KIND format|model|optimizer|device, ID and SOURCES")
  endif()
  set(target ${arg_KIND}-${arg_ID})
  add_library(${target} MODULE ${arg_SOURCES})
  target_link_libraries(${target} PRIVATE halftone::sdk $<TARGET_NAME_IF_EXISTS:halftone_strict>)
  target_compile_options(${target} PRIVATE $<$<CONFIG:Release>:-O3>)
  set_target_properties(${target} PROPERTIES PREFIX "" OUTPUT_NAME ${target} CXX_VISIBILITY_PRESET hidden
                                             C_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON
                                             LINK_DEPENDS ${CMAKE_CURRENT_FUNCTION_LIST_DIR}/plugin.map)
  if(NOT APPLE AND NOT WIN32)
    target_link_options(${target} PRIVATE -Wl,--version-script=${CMAKE_CURRENT_FUNCTION_LIST_DIR}/plugin.map)
    if(NOT HALFTONE_SANITIZE)
      target_link_options(${target} PRIVATE -Wl,-z,defs)
    endif()
  endif()
  if(arg_KERNELS)
    halftone_kernel_levels(${target} ${arg_KERNELS})
  endif()
  if(arg_CUDA)
    halftone_kernel_images(${target} ${arg_CUDA})
  endif()
  if(HALFTONE_PLUGIN_DIR) # a bundled plugin: beside the binary in the build tree, installed with it
    set_target_properties(${target} PROPERTIES LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/${HALFTONE_PLUGIN_DIR})
    install(TARGETS ${target} LIBRARY DESTINATION ${HALFTONE_PLUGIN_DIR})
  endif()
endfunction()

# halftone_add_model(ID TABLE)
#
# Turns a profile's table, a header that defines `constexpr halftone::Profile profile`, into model-ID.so.
function(halftone_add_model id table)
  get_filename_component(HALFTONE_MODEL_TABLE ${table} ABSOLUTE)
  set(source ${CMAKE_CURRENT_BINARY_DIR}/model-${id}.cpp)
  configure_file(${CMAKE_CURRENT_FUNCTION_LIST_DIR}/model.cpp.in ${source} @ONLY)
  halftone_add_plugin(KIND model ID ${id} SOURCES ${source})
endfunction()
