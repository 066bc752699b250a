#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Runs GPU tests and benches by stages, each within a time limit; OUT/run.log keeps what they say:
#   tests/gpu/run.sh OUT [STAGE...]
# Stages: build; ops sanitize golden oracle bytes generate, the default;
# low (trace-eval in bf16 and f16); stages (a table of ops); products (rates of products);
# decode-SHAPE (generation beside transformers', DECODE_FLAGS as bench_decode.py has them) and then
# profile-SHAPE (its kernels, by ncu) and speed-SHAPE (half of the attention left out; prefill of
# 16,384 tokens beside the trace of as many);
# floor-SHAPE peers-SHAPE trace-SHAPE bench-SHAPE costs-SHAPE (SHAPE 160m, 1.4b, 7b, olmoe);
# quant-SHAPE (7b; trace-quant beside a PyTorch loop of GPTQ, QUANT_FLAGS as bench_quant.py has them);
# search-SHAPE (8b; SEARCH_FLAGS, as --every 4), two-search-SHAPE (and on two GPUs);
# eight; 70b; qwen3-30b;
# two-JOB-SHAPE (JOB series, rows, costs): two GPUs against one (TWO_RANKS: more; TWO_ROWS: 256).
# Builds into build/cuda when asked or when nothing is there.
# Environment: PYTHON (python3, with numpy, torch and transformers), FIXTURES (.fixtures,
# from tests/oracle/make_gpu_fixtures.py), BENCH_FLAGS (--quick), COST_ROWS (32).
set -uo pipefail

(($#)) || { sed -n '3,/^set /s/^# \{0,1\}//p' "$0"; exit 2; }
mkdir -p "$1"
out=$(realpath "$1")
shift
cd "$(dirname "$0")/../.."

bin=build/cuda/bin
python=${PYTHON:-python3}
fixtures=${FIXTURES:-.fixtures}
declare -a search_flags="(${SEARCH_FLAGS:-})" # words as a shell reads them
export PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
export OMPI_MCA_rmaps_base_oversubscribe=1 OMPI_MCA_hwloc_base_binding_policy=none
export OMPI_MCA_btl=self,vader,tcp OMPI_MCA_pml=ob1

# limited SECONDS COMMAND...
limited() {
  timeout --kill-after=5 "$@"
}

build() {
  limited 420 cmake --preset cuda -G Ninja -DTRACE_ORACLE_PYTHON="$(command -v "$python")" \
    -DTRACE_GPU_FIXTURES="$(realpath -m "$fixtures")" &&
    limited 420 cmake --build --preset cuda -j "$(nproc)"
}

ops() {
  local type failed=0
  for type in f32 bf16 f16; do
    limited 60 $bin/test_ops cuda $type || failed=1
  done
  return $failed
}

sanitize() {
  local tool type failed=0
  for tool in memcheck racecheck; do
    for type in f32 bf16; do
      limited 150 compute-sanitizer --tool $tool --error-exitcode 9 $bin/test_ops cuda $type ||
        failed=1
    done
  done
  return $failed
}

golden() {
  local series failed=0
  for series in demo neox; do
    limited 60 $bin/test_golden --cuda $bin/trace-ckpts "$out/golden.h5" tokens \
      tests/series/$series || failed=1
  done
  limited 240 $bin/test_golden --cuda $bin/trace-ckpts "$out/golden.h5" forward \
    tests/golden/forward || failed=1
  rm -rf "$out"/golden.h5*
  limited 240 "$python" tests/gpu/test_gpu_search.py trace-drop=$bin/trace-drop \
    store_json=$bin/store_json series=tests/series || failed=1
  return $failed
}

oracle() {
  local check=("$python" tests/oracle/check_gpu.py trace-ckpts=$bin/trace-ckpts
    store_json=$bin/store_json) failed=0
  limited 240 "${check[@]}" series=tests/series out="$out/series.csv" || failed=1
  limited 120 "$python" tests/oracle/check_gpu_costs.py trace-ckpts=$bin/trace-ckpts \
    store_json=$bin/store_json series=tests/series out="$out/costs-series.csv" || failed=1
  [[ ! -d $fixtures ]] ||
    limited 420 "${check[@]}" fixtures="$fixtures" out="$out/families.csv" || failed=1
  return $failed
}

bytes() {
  limited 300 "$python" tests/gpu/test_same_bytes.py trace-ckpts=$bin/trace-ckpts \
    trace-drop=$bin/trace-drop same_store=$bin/same_store mpirun="$(command -v mpirun)" \
    series=tests/series
}

# bench SECONDS SHAPE STAGES [option...]
bench() {
  limited "$1" "$python" tests/bench/bench_gpu.py --trace $bin/trace-ckpts --shape "$2" \
    --stages "$3" --out "$out" ${BENCH_FLAGS:-} "${@:4}"
}

# two JOB SHAPE
two() {
  local rows=${TWO_ROWS:-256}
  local -A count=([160m]=96 [1.4b]=32)
  [[ $1 == costs ]] && rows=${COST_ROWS:-32}
  limited 300 "$python" tests/bench/bench_ranks.py --trace $bin/trace-ckpts --same $bin/same_store \
    --ranks "${TWO_RANKS:-2}" --job "$1" --shape "$2" --rows "$rows" --count "${count[$2]:-8}" --out "$out"
}

# Texts continued through a cache are those of the run without one, every family, a few models a
# process; GENERATE_TOKENS=256 is the whole of it.
generate() {
  find tests/golden/forward -mindepth 1 -maxdepth 1 -not -name 'bamba-*' -print0 | sort -z |
    limited 400 xargs -0 -n 4 -P 10 $bin/test_generation --cuda "${GENERATE_TOKENS:-20}"
}

# Log-likelihoods of tasks and of steps of decoding in bf16 and f16 beside transformers'.
low() {
  limited 300 "$python" tests/oracle/check_gpu_eval.py decode_losses=$bin/decode_losses \
    trace-eval=$bin/trace-eval series=tests/series out="$out/eval-low.csv"
}

decode() {
  limited 240 "$python" tests/bench/bench_decode.py --program $bin/bench_decode --shape "$1" \
    --out "$out" ${DECODE_FLAGS:-}
}

# What leaving out every other attention makes of prefill and decode, beside what is counted; and
# prefill of 16,384 tokens, then a trace of rows as long.
speed() {
  local layers model="${WORK:-/dev/shm/trace-bench}/$1"
  [[ -e $model/config.json ]] ||
    limited 60 "$python" tests/bench/bench_gpu.py --trace $bin/trace-ckpts --shape "$1" \
      --stages make --out "$out" || return
  layers=$("$python" -c "import json, sys; print(json.load(open(sys.argv[1]))['num_hidden_layers'])" \
    "$model/config.json")
  limited 150 $bin/trace-eval "$model" --device cuda --speed 512,2048,8192 --fresh -q \
    --drop "attn:$(seq -s, 1 2 $((layers - 1)))" -o "$out/speed-$1.h5" &&
    limited 60 $bin/trace-eval "$model" --device cuda --speed 16384 --speed-tokens 8 --fresh -q \
      -o "$out/prefill-$1.h5" &&
    limited 120 "$python" tests/bench/bench_gpu.py --trace $bin/trace-ckpts --shape "$1" \
      --stages make,trace --seq-len 16384 --rows 8 --out "$out/prefill-$1"
}

# Microseconds and bytes of the kernels of a step, called one by one; after decode-SHAPE.
profile() {
  limited 100 ncu --clock-control none --launch-skip 300 --launch-count 36 --csv --print-units base \
    -k 'regex:few_rows|decode_|norm_rows|keep_heads|add_rows|reduce_logits' \
    --metrics gpu__time_duration.sum,dram__bytes_read.sum \
    $bin/bench_decode "${WORK:-/dev/shm/trace-bench}/$1" cuda bf16 512 4 1 "${PROFILE_BATCH:-1}" |
    cut -d, -f1,5,8-9,13-
}

stages() {
  limited 150 $bin/bench_stages cuda bf16 >"$out/stages.csv"
  local code=$?
  cat "$out/stages.csv"
  return $code
}

products() {
  limited 100 $bin/bench_products cuda bf16 >"$out/products.csv"
  local code=$?
  cat "$out/products.csv"
  return $code
}

run_stage() {
  local shape=${1#*-}
  case $1 in
    build | ops | sanitize | golden | oracle | bytes | generate | low | stages | products) "$1" ;;
    floor-*) bench 120 "$shape" ceilings,floor ;;
    peers-*) bench 240 "$shape" make,plain,careful,llm-drop ;;
    trace-*) bench 240 "$shape" make,floor,trace,trace-nll,floor ;;
    bench-*) bench 420 "$shape" make,ceilings,floor,plain,careful,trace,trace-nll,floor ;;
    decode-*) decode "$shape" ;;
    profile-*) profile "$shape" ;;
    speed-*) speed "$shape" ;;
    eight) bench 300 7b make,eight ;;
    costs-*) limited 240 "$python" tests/bench/bench_costs.py --trace $bin/trace-ckpts \
      --shape "$shape" --out "$out" --rows "${COST_ROWS:-32}" ;;
    two-search-*) limited 560 "$python" tests/bench/bench_search.py --trace-drop $bin/trace-drop \
      --shape "${shape#search-}" --out "$out" --stages make,loop,search,ranks --ranks 2 \
      --same $bin/same_store "${search_flags[@]}" ;;
    two-*) two "${shape%%-*}" "${shape#*-}" ;;
    quant-*) limited 420 "$python" tests/bench/bench_quant.py --trace-quant $bin/trace-quant \
      --shape "$shape" --out "$out" ${QUANT_FLAGS:-} ;;
    search-*) limited 480 "$python" tests/bench/bench_search.py --trace-drop $bin/trace-drop \
      --shape "$shape" --out "$out" "${search_flags[@]}" ;;
    qwen3-30b) bench 300 qwen3-30b make,floor,limited --rows 1024 ;;
    70b) bench 420 70b make,floor,limited --rows 256 ;;
    *) echo "no stage $1" >&2; return 2 ;;
  esac
}

(($#)) || set -- ops sanitize golden oracle bytes generate
[[ -x $bin/trace-ckpts || " $* " == *" build "* ]] || set -- build "$@"
failed=()
for stage; do
  echo "== $stage, $(date +%T)"
  run_stage "$stage" 2>&1 | tee -a "$out/run.log"
  code=${PIPESTATUS[0]}
  echo "== $stage ended with $code, $(date +%T)"
  ((code == 0)) || failed+=("$stage")
  [[ $stage != build || $code == 0 ]] || break
done
((${#failed[@]} == 0)) || { echo "failed: ${failed[*]}"; exit 1; }
