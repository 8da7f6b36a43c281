# Which rooms a source file needs, read from its includes, so that a test links exactly what it uses.
# bittern_rooms_of(<out> <file>): libraries of the widest room that the file includes from.
function(bittern_rooms_of out file)
  file(STRINGS ${file} includes REGEX "^#include \"(compiler|schedules|codegen|tuning_db)/")
  set(rooms bittern_runtime)
  foreach(room compiler schedules codegen tuning_db)
    if("${includes}" MATCHES "#include \"${room}/")
      list(PREPEND rooms bittern_${room})
    endif()
  endforeach()
  set(${out} ${rooms} PARENT_SCOPE)
endfunction()

# Whether every library in the list is part of this build (the compiler's rooms may be switched off).
function(bittern_rooms_built out)
  set(${out} TRUE PARENT_SCOPE)
  foreach(room ${ARGN})
    if(NOT TARGET ${room})
      set(${out} FALSE PARENT_SCOPE)
    endif()
  endforeach()
endfunction()
