#!/usr/bin/env bash
# Installs the Debian packages that building needs and that are missing.
#   install_packages.sh            for the build and its tests
#   install_packages.sh arm64      also for the AArch64 cross build and its tests under qemu-user
#   install_packages.sh bench      also google-benchmark
#   install_packages.sh fuzz       also clang with libFuzzer
set -euo pipefail

libraries=(nlohmann-json3-dev libcli11-dev libssl-dev libxxhash-dev libutf8proc-dev
           libjpeg62-turbo-dev libpng-dev libwebp-dev libgif-dev libgtest-dev libgmock-dev)
packages=(g++ cmake ninja-build ccache pkg-config python3 python3-venv fonts-dejavu-core "${libraries[@]}")

case "${1:-}" in
  "") ;;
  arm64)
    packages+=(g++-aarch64-linux-gnu qemu-user)
    # Header-only packages serve both architectures.
    packages+=(libstdc++6:arm64 libssl-dev:arm64 libxxhash-dev:arm64 libutf8proc-dev:arm64 libjpeg62-turbo-dev:arm64 libpng-dev:arm64
               libwebp-dev:arm64 libgif-dev:arm64 libgtest-dev:arm64 libgmock-dev:arm64)
    ;;
  bench) packages+=(libbenchmark-dev) ;;
  fuzz) packages+=(clang-14 libclang-rt-14-dev llvm-14) ;;
  *)
    echo "install_packages.sh: unknown set '$1': expected none, arm64, bench or fuzz" >&2
    exit 2
    ;;
esac

missing=()
native=$(dpkg --print-architecture)
for package in "${packages[@]}"; do
  [[ $package == *:* ]] && architecture=${package#*:} || architecture=$native
  # One line for each architecture it is installed for.
  dpkg-query -W -f '${Architecture} ${Status}\n' "$package" 2>/dev/null |
    grep -qE "^($architecture|all) install ok installed$" || missing+=("$package")
done
[[ ${#missing[@]} -eq 0 ]] && exit 0

if [[ $(id -u) -eq 0 ]]; then
  as_root=()
elif command -v sudo >/dev/null; then
  as_root=(sudo)
else
  echo "These Debian packages are missing and can be installed by root only: ${missing[*]}" >&2
  exit 1
fi
echo "Installing ${#missing[@]} Debian packages: ${missing[*]}"
if [[ "${1:-}" == arm64 ]]; then "${as_root[@]}" dpkg --add-architecture arm64; fi
"${as_root[@]}" apt-get update -qq
DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
