#!/usr/bin/env bash
# Installs, by name, what the tests against real servers need, and only what is missing.
# What is built from source is kept in $XDG_CACHE_HOME/nezha-parts. Says something only where there is work to do.
set -euo pipefail

PARTS="${XDG_CACHE_HOME:-$HOME/.cache}/nezha-parts"
REPOSITORY=$(cd "$(dirname "$0")/../.." && pwd)
MINIO=v0.0.0-20260212201848-7aac2a2c5b7c
FAKE_GCS=v1.56.1
AZURITE=3.35.0
HELM=v4.3.1
KUBECONFORM=v0.8.0
CERT_MANAGER=v1.11.5 # the last minor version whose programs are packages of its one module
GO_TOOLCHAIN=go1.24.9 # where the machine's own Go cannot fetch the one that MinIO asks for: before 1.21
GO_LEAST=21

# With a word only what that one needs of all this: `chart` for `make chart`, `image` for `make test-cluster`.
main() {
  install_packages
  if [[ ${1:-} == image ]]; then
    build_cert_manager
    make_base
    return
  fi
  build_helm
  build kubeconform "$KUBECONFORM" github.com/yannh/kubeconform/cmd/kubeconform
  [[ ${1:-} != chart ]] || return 0
  build minio "$MINIO" github.com/minio/minio
  build fake-gcs-server "$FAKE_GCS" github.com/fsouza/fake-gcs-server
  install_azurite
  install_clients trust
  install_clients stores
  install_fuzzer
  make_base
}

install_packages() {
  local missing=()
  has curl || missing+=(curl)
  has wget || missing+=(wget)
  has gcc || missing+=(gcc libc6-dev)
  has openssl || missing+=(openssl)
  has rclone || missing+=(rclone)
  has unshare || missing+=(util-linux)
  has cargo || missing+=(cargo)
  has go || missing+=(golang-go)
  has git || missing+=(git)
  has node || missing+=(nodejs)
  has npm || missing+=(npm)
  has nginx || [[ -x /usr/sbin/nginx ]] || missing+=(nginx-light)
  has chromium || missing+=(chromium fonts-dejavu-core)
  has promtool || missing+=(prometheus)
  has buildah || missing+=(buildah podman runc uidmap fuse-overlayfs netavark)
  has debootstrap || missing+=(debootstrap)
  [[ -e /usr/include/openssl/ssl.h ]] || missing+=(libssl-dev)
  [[ -e /etc/ssl/certs/ca-certificates.crt ]] || missing+=(ca-certificates)
  ((${#missing[@]})) || return 0
  if ((EUID)); then
    echo "install.sh: missing ${missing[*]}; run it as root, or install them" >&2
    exit 1
  fi
  echo "install.sh: installing ${missing[*]}"
  keep_services_down
  apt_install "${missing[@]}" 2>/dev/null || { apt-get update -qq && apt_install "${missing[@]}"; }
}

apt_install() {
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

# A package must not start its service: the tests start what they need, where they need it.
keep_services_down() {
  local policy=/usr/sbin/policy-rc.d
  [[ ! -e $policy ]] || return 0
  trap "rm -f $policy" EXIT
  printf '#!/bin/sh\nexit 101\n' >$policy
  chmod +x $policy
}

# build NAME VERSION PACKAGE: a Go program, kept.
build() {
  local stamp="$PARTS/bin/.$1-$2"
  [[ ! -x $PARTS/bin/$1 || ! -e $stamp ]] || return 0
  mkdir -p "$PARTS/bin" "$PARTS/staging"
  echo "install.sh: building $1 $2 (some minutes)"
  local go
  go=$(recent_go)
  # Elsewhere first: a build that breaks off leaves nothing that looks complete.
  GOTOOLCHAIN=auto GOBIN="$PARTS/staging" CGO_ENABLED=0 quietly "$go" install "$3@$2"
  mv "$PARTS/staging/$1" "$PARTS/bin/$1"
  touch "$stamp"
}

# The cluster of the tests wants the same one, and builds it only where it finds none: one for both.
build_helm() {
  local theirs="$PARTS/kubernetes/bin/helm"
  build helm "$HELM" helm.sh/helm/v4/cmd/helm
  mkdir -p "${theirs%/*}"
  [[ -e $theirs ]] || ln -s "$PARTS/bin/helm" "$theirs"
}

# Its go.mod replaces a module, which `go install` refuses: it is built where Go has put it.
build_cert_manager() {
  local stamp="$PARTS/bin/.cert-manager-$CERT_MANAGER" module="github.com/cert-manager/cert-manager@$CERT_MANAGER" go directory
  [[ ! -e $stamp ]] || return 0
  echo "install.sh: building cert-manager $CERT_MANAGER (some minutes)"
  go=$(recent_go)
  mkdir -p "$PARTS/bin" "$PARTS/staging"
  directory=$("$go" mod download -json "$module" | sed -n 's/.*"Dir": "\(.*\)".*/\1/p')
  for program in controller cainjector; do
    (cd "$directory" && CGO_ENABLED=0 quietly "$go" build -o "$PARTS/staging/cert-manager-$program" "./cmd/$program")
    mv "$PARTS/staging/cert-manager-$program" "$PARTS/bin/"
  done
  touch "$stamp"
}

install_azurite() {
  local stamp="$PARTS/azurite/.azurite-$AZURITE"
  [[ ! -e $stamp ]] || return 0
  echo "install.sh: installing Azurite $AZURITE"
  rm -rf "$PARTS/azurite"
  mkdir -p "$PARTS/azurite"
  (cd "$PARTS/azurite" && quietly npm install --silent --no-audit --no-fund "azurite@$AZURITE")
  touch "$stamp"
}

# The Python clients of NAME-requirements.txt, in an environment of their own: they are large, and pinned.
install_clients() {
  local python wanted venv
  python="$REPOSITORY/.venv/bin/python"
  wanted="$REPOSITORY/tests/real/$1-requirements.txt"
  venv="$PARTS/$1-$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')"
  ! cmp -s "$wanted" "$venv/installed.txt" || return 0
  echo "install.sh: installing the clients of $wanted (some hundred MB)"
  "$python" -m venv --clear "$venv"
  quietly "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-input -r "$wanted"
  cp "$wanted" "$venv/installed.txt"
}

# Into the tests' own environment: it fuzzes what is installed there.
install_fuzzer() {
  local python="$REPOSITORY/.venv/bin/python"
  ! "$python" -c 'import atheris' 2>/dev/null || return 0
  echo "install.sh: installing atheris"
  quietly "$python" -m pip install --quiet --disable-pip-version-check --no-input 'atheris>=3,<4'
}

# Stands in for the official Python image, which a machine without a registry cannot have: Debian with its own Python, in container
# storage of its own. Only root can make it.
make_base() {
  local directory="$PARTS/image" name=docker.io/library/python:3.13-slim
  ((EUID == 0)) && [[ ! -e $directory/made ]] || return 0
  echo "install.sh: making a base image (a minute)"
  rm -rf "$directory/root"
  mkdir -p "$directory/root"
  local mirror
  # shellcheck disable=SC2046 # names without spaces
  mirror=$(awk '$1 == "URIs:" {print $2; exit} $1 == "deb" && match($0, /https?:[^ ]*/) {print substr($0, RSTART, RLENGTH); exit}' \
    $(ls /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null))
  quietly debootstrap --variant=minbase --include=python3,python3-pip,python3-venv,binutils,ca-certificates trixie "$directory/root" "$mirror"
  rm -f "$directory"/root/usr/lib/python3*/EXTERNALLY-MANAGED
  ln -s /usr/bin/python3 "$directory/root/usr/local/bin/python"
  tar -C "$directory/root" --exclude='./var/cache/apt/archives/*.deb' --exclude='./var/lib/apt/lists/*' -c . |
    quietly podman --root "$directory/storage" --runroot "$directory/run" --storage-driver overlay import \
      -c 'ENV PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin' - "$name"
  rm -rf "$directory/root"
  touch "$directory/made"
}

# Prints a Go that can fetch any newer one by itself (1.21 or later).
recent_go() {
  local minor
  minor=$(go env GOVERSION | sed -n 's/^go1\.\([0-9]*\).*/\1/p')
  if ((minor >= GO_LEAST)); then
    command -v go
    return
  fi
  # An older one at least fetches it as the module that it is; file modes are lost on the way.
  local module directory
  module="golang.org/toolchain@v0.0.1-$GO_TOOLCHAIN.linux-$(go env GOARCH)"
  directory=$(go mod download -json "$module" | sed -n 's/.*"Dir": "\(.*\)".*/\1/p')
  chmod -R u+x "$directory/bin" "$directory/pkg/tool"
  echo "$directory/bin/go"
}

has() { command -v "$1" >/dev/null; }

quietly() {
  local said
  said=$("$@" 2>&1) || { printf '%s\n' "$said" >&2; return 1; }
}

main "$@"
