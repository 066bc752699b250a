#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds the fuzz targets into build/fuzz (clang 14); with a name also an archive of them and their
# libraries, for machines that have no clang:
#   tests/campaign/pack.sh [FILE.tar.xz]
set -euo pipefail
file=${1:+$(realpath -m "$1")}
cd "$(dirname "$0")/../.."

declare -a targets
mapfile -t targets < <(sed -n 's/^trace_fuzz_target(\([a-z0-9_]*\) .*/fuzz_\1/p' tests/fuzz/CMakeLists.txt)
cmake --preset fuzz -DTRACE_CUDA=OFF
cmake --build --preset fuzz -j "${JOBS:-$(nproc)}" --target "${targets[@]}"
[[ $file ]] || exit 0

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work"/{bin,lib}
for name in "${targets[@]}"; do
  strip --strip-debug -o "$work/bin/$name" "build/fuzz/bin/$name"
done
# All but the C library, which has to fit the machine's loader.
ldd build/fuzz/bin/fuzz_* | awk '/=> \// { print $3 }' | sort -u |
  grep -v '/lib\(c\|m\|pthread\|dl\|rt\)\.so' | xargs cp -Lt "$work/lib"
tar -C "$work" -cJf "$file" bin lib
