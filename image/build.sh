#!/bin/sh
# Builds the image: image/build.sh [NAME [ARGUMENTS OF THE BUILD COMMAND]]
# With docker, buildah or podman, whichever is there; ENGINE names one, with its global options.
set -eu
cd "$(dirname "$0")/.."
VERSION=$(sed -n 's/^__version__ = "\(.*\)"/\1/p' nezha/__init__.py)
REVISION=$(git rev-parse HEAD 2>/dev/null || echo unknown)
NAME=${1:-nezha:$VERSION}
[ $# = 0 ] || shift
ENGINE=${ENGINE:-$(command -v docker || command -v buildah || command -v podman)} || {
  echo "image/build.sh: there is no docker, buildah or podman" >&2
  exit 1
}
# The commit's time is everything's time, so that the same commit gives the same image.
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 0)}
export SOURCE_DATE_EPOCH
case $ENGINE in
  *docker*) timed= ;; # BuildKit reads the variable
  *) timed="--format docker --timestamp $SOURCE_DATE_EPOCH" ;; # the OCI format has no health check
esac
# shellcheck disable=SC2086 # words on purpose
exec $ENGINE build $timed --build-arg SOURCE_DATE_EPOCH="$SOURCE_DATE_EPOCH" --build-arg VERSION="$VERSION" \
  --build-arg REVISION="$REVISION" --tag "$NAME" "$@" .
