#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Searches and written models at length, on the cores of a machine; what ctest does in seconds:
#   tests/campaign/search.sh BIN OUT [JOBS]
# Searches that are killed 50 times; on 1, 2 and 4 ranks; whole golden orders; drop sets beside all
# rounds; then every call at which trace-drop write can die or fail, and models of every family in
# each form loaded by transformers. BIN: the programs of a build with its tests. OUT has a log of
# each, and the last lines say how each ended. Environment: PYTHON (python3, with numpy, torch and
# transformers), COUNT (configurations a family, 4), SEED (1), KILLS (50), ONLY (a pattern
# of the tasks' names).
set -uo pipefail

(($# >= 2)) || { sed -n '3,11s/^# \{0,1\}//p' "$0"; exit 2; }
bin=$(realpath "$1")
mkdir -p "$2"
out=$(realpath "$2")
jobs=${3:-$(nproc)}
cd "$(dirname "$0")/../.."
python=${PYTHON:-python3} count=${COUNT:-4} seed=${SEED:-1}
export out
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 PYTHONDONTWRITEBYTECODE=1
export OMPI_MCA_rmaps_base_oversubscribe=1 OMPI_MCA_hwloc_base_binding_policy=none
export OMPI_MCA_btl=self,vader,tcp OMPI_MCA_pml=ob1 CUDA_VISIBLE_DEVICES=

# A line of words is one task; the first names its log.
tasks() {
  local programs=() program form family
  for program in trace-drop fake_trace_drop trace-ckpts trace-info trace-analyze trace-export \
    store_json same_store; do
    programs+=("$program=$bin/$program")
  done
  local search=("$python" tests/search/test_search.py "${programs[@]}" series=tests/series
    "mpirun=$(command -v mpirun)" "seed=$seed" "kills=${KILLS:-50}" whole=1)
  local library=$bin/../tests/crash
  echo golden "${search[@]}" only=golden
  echo kills "${search[@]}" only=kills
  echo ranks "${search[@]}" only=ranks
  echo engine "${search[@]}" only=engine
  for form in smaller zeroed llm-drop block-configs mergekit; do
    echo "deaths-$form" "$python" tests/crash/test_drop_deaths.py \
      "trace-drop=$bin/trace-drop" \
      "die_at=$library/libdie_at.so" "fail_at=$library/libfail_at.so" "only=$form"
  done
  for family in $(cd tests/oracle && "$python" -c 'import families; print(*families.FAMILIES)'); do
    echo "$family" "$python" tests/oracle/test_drop_write.py --drop "$bin/trace-drop" \
      --count "$count" --seed "$seed" --family "$family"
  done
}

# task NAME WORD...
task() {
  local start=$SECONDS code
  "${@:2}" >"$out/$1.log" 2>&1
  code=$?
  echo "$1 ended with $code after $((SECONDS - start)) s: $(tail -n 1 "$out/$1.log")"
}
export -f task

tasks | grep -E "^(${ONLY:-.*}) " | OMP_NUM_THREADS=1 xargs -P "$jobs" -d '\n' -I{} bash -c 'task {}' | tee "$out/search.txt"
! grep -v 'ended with 0 ' "$out/search.txt"
