# Sourced by the other scripts: makes a virtual environment from setup.cfg and pinned constraints, once.
#   prepare core|dev|dev,bench    .venv, with the versions of scripts/constraints.txt
#   prepare_oldest                .venv-oldest, with the lower bounds of setup.cfg, for the fast tests
#   require_oldest                what it holds beside lsgen, while something else may be prepared
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
    make_environment .venv
    pip_install .venv --constraint scripts/constraints.txt --editable "$target"
    echo "$want" > ".venv/lsgen-$extra"
  fi
  PATH="$PWD/.venv/bin:$PATH"
}

prepare_oldest() {
  require_oldest
  if [ "$(cat .venv-oldest/lsgen 2>/dev/null)" != "$(oldest)" ]; then
    pip_install .venv-oldest --constraint .venv-oldest/lowest.txt --editable '.[test]'
    oldest > .venv-oldest/lsgen
  fi
  PATH="$PWD/.venv-oldest/bin:$PATH"
}

# What the oldest environment needs, which nothing of this checkout is built for: another may be made meanwhile.
require_oldest() {
  [ "$(cat .venv-oldest/required 2>/dev/null)" != "$(oldest)" ] || return 0
  rm -rf .venv-oldest
  make_environment .venv-oldest
  "${PYTHON:-python3}" scripts/oldest.py test > .venv-oldest/lowest.txt
  pip_install .venv-oldest --requirement .venv-oldest/lowest.txt
  oldest > .venv-oldest/required
}

oldest() { cat setup.cfg pyproject.toml scripts/oldest.py | cksum | cut -d' ' -f1; }

# make_environment VENV
make_environment() {
  local python=${PYTHON:-python3}
  "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    echo "expected Python 3.11 or newer, got $("$python" --version 2>&1): set PYTHON to one" >&2
    exit 2
  }
  [ -x "$1/bin/python" ] || { echo "Creating $1"; "$python" -m venv "$1"; }
}

# pip_install VENV ARGUMENT...
pip_install() {
  echo "Installing ${*: -1} into $1 (about two minutes the first time)"
  # What is imported is compiled when it first is; compiling all of it here would take 40 seconds.
  "$1/bin/python" -m pip install --quiet --disable-pip-version-check --no-compile "${@:2}"
}
