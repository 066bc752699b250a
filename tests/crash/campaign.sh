#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Random kills and deaths at the n-th call, in one go, spread over the cores of this machine:
#   tests/crash/campaign.sh BUILD [LANES]
# BUILD is a build folder, LANES how many series go on at a time (the machine's processors; jobs
# that are killed have several ranks, so half as many). Environment: KILLS (200), SAMPLES (2000), SEED (1),
# SECONDS_EACH (600) after which either is cut off, TMPDIR for the files.
set -uo pipefail

(($#)) || { sed -n '3,8s/^# \{0,1\}//p' "$0"; exit 2; }
build=$(realpath "$1")
lanes=${2:-$(nproc)}
cd "$(dirname "$0")" || exit 2

export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 PYTHONDONTWRITEBYTECODE=1
export CUDA_VISIBLE_DEVICES= # the undisturbed run is one on the CPU
export OMPI_MCA_rmaps_base_oversubscribe=1 OMPI_MCA_hwloc_base_binding_policy=none
export OMPI_MCA_btl=self,vader,tcp OMPI_MCA_pml=ob1

# campaign SCRIPT ARGUMENT...
campaign() {
  local programs=(die_at="$build/tests/crash/libdie_at.so" mpirun="$(command -v mpirun)") name
  for name in trace-ckpts trace-drop store_json same_store watch_store; do
    programs+=("$name=$build/bin/$name")
  done
  timeout --kill-after=5 "${SECONDS_EACH:-600}" "${PYTHON:-python3}" "$1" "${programs[@]}" \
    checkpoints=24 "${@:2}"
}

failed=0
campaign test_kill9.py kills="${KILLS:-200}" seed="${SEED:-1}" jobs=$(((lanes + 1) / 2)) || failed=1
campaign test_die_at.py samples="${SAMPLES:-2000}" jobs="$lanes" || failed=1
exit $failed
