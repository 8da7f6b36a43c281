# Cross build for AArch64 Linux: Debian's cross compiler, and the arm64 packages that tools/install-deps --test unpacks
# into .deps/aarch64. Headers of packages are the build machine's own where an architecture has none of its own.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)
# Where qemu finds the loader and the C library.
set(CMAKE_CROSSCOMPILING_EMULATOR qemu-aarch64 -cpu max -L /usr/aarch64-linux-gnu)
set(BITTERN_CROSS_PACKAGES ${CMAKE_CURRENT_LIST_DIR}/../.deps/aarch64/usr)
# The programs need nothing but the C library of the machine they are copied to.
set(CMAKE_EXE_LINKER_FLAGS_INIT "-static-libstdc++ -static-libgcc")
