# SPDX-License-Identifier: Apache-2.0
# Sourced by demo and test: the Debian and Ubuntu packages that the build and its tests need, and
# how they get installed. Where there is no apt, the reader of README.md has installed them.

packages=(
  build-essential cmake ninja-build pkg-config
  libhdf5-dev hdf5-tools libopenmpi-dev openmpi-bin libzstd-dev zlib1g-dev libjansson-dev libpcre2-dev
  libutf8proc-dev libxxhash-dev libcmocka-dev man-db python3 python3-venv
)

installed() {
  [[ $(dpkg-query -W -f='${db:Status-Abbrev}' "$1" 2>/dev/null) == ii* ]]
}

# BLIS where the distribution has its serial build, else OpenBLAS.
blas_package() {
  if installed libblis-serial-dev || ! installed libopenblas-dev &&
      apt-cache show libblis-serial-dev >/dev/null 2>&1; then
    echo libblis-serial-dev
  else
    echo libopenblas-dev
  fi
}

missing_packages() {
  local name
  for name in "${packages[@]}" "$(blas_package)"; do
    installed "$name" || echo "$name"
  done
}

# Installs what is missing, as root or with sudo; otherwise says what to install and fails.
ensure_packages() {
  command -v apt-get >/dev/null || return 0
  local missing sudo=()
  mapfile -t missing < <(missing_packages)
  ((${#missing[@]})) || return 0
  if ((EUID)); then
    if ! command -v sudo >/dev/null || ! { sudo -n true 2>/dev/null || [[ -t 0 ]]; }; then
      echo "missing packages; as root: apt-get install ${missing[*]}" >&2
      return 3
    fi
    sudo=(sudo)
  fi
  echo "installing ${missing[*]}"
  "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get update -q
  # A fresh package list may know a better BLAS than the stale one did.
  mapfile -t missing < <(missing_packages)
  "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -q --no-install-recommends "${missing[@]}"
}

# build PRESET [cmake argument...]: configures and builds into build/PRESET.
build() {
  local preset=$1
  shift
  export CMAKE_GENERATOR=${CMAKE_GENERATOR:-Ninja}
  cmake --preset "$preset" "$@"
  cmake --build --preset "$preset" -j "$(nproc)"
}
