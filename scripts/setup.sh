# Sourced by the other scripts: makes a virtual environment from setup.cfg and pinned constraints, once.
#   prepare core|dev|dev,bench    .venv, with the versions of scripts/constraints.txt
#   prepare_oldest                .venv-oldest, with the lower bounds of setup.cfg, for the fast tests
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# What is imported is compiled once and kept. Where nothing may be kept, a process that imports PyTorch and Lightning
# compiles for ten seconds, and tests start more than a hundred of them.
unset PYTHONDONTWRITEBYTECODE

prepare() {
  local extra=$1 target=. want
  [ "$extra" = core ] || target=".[$extra]"
  want=$(cat setup.cfg pyproject.toml scripts/constraints.txt | cksum | cut -d' ' -f1)
  if [ "$(cat ".venv/lsgen-$extra" 2>/dev/null)" != "$want" ] &&
    { [ "$extra" != core ] || [ "$(cat .venv/lsgen-dev 2>/dev/null)" != "$want" ]; }; then
    make_environment .venv "$target" scripts/constraints.txt
    echo "$want" > ".venv/lsgen-$extra"
  fi
  PATH="$PWD/.venv/bin:$PATH"
}

prepare_oldest() {
  local want
  want=$(cat setup.cfg pyproject.toml scripts/oldest.py | cksum | cut -d' ' -f1)
  if [ "$(cat .venv-oldest/lsgen 2>/dev/null)" != "$want" ]; then
    rm -rf .venv-oldest
    "${PYTHON:-python3}" scripts/oldest.py test > .oldest.txt
    make_environment .venv-oldest '.[test]' .oldest.txt
    rm .oldest.txt
    echo "$want" > .venv-oldest/lsgen
  fi
  PATH="$PWD/.venv-oldest/bin:$PATH"
}

# make_environment VENV TARGET CONSTRAINTS
make_environment() {
  local python=${PYTHON:-python3}
  "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    echo "expected Python 3.11 or newer, got $("$python" --version 2>&1): set PYTHON to one" >&2
    exit 2
  }
  [ -x "$1/bin/python" ] || { echo "Creating $1"; "$python" -m venv "$1"; }
  echo "Installing $2 into $1 (about two minutes the first time)"
  # What is imported is compiled when it first is; compiling all of it here would take 40 seconds.
  "$1/bin/python" -m pip install --quiet --disable-pip-version-check --no-compile --constraint "$3" --editable "$2"
}
