# Sourced by the other scripts: makes .venv from setup.cfg and the pinned constraints, once.
#   prepare core|dev|dev,bench
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

prepare() {
  local extra=$1 target=. want
  [ "$extra" = core ] || target=".[$extra]"
  want=$(cat setup.cfg pyproject.toml scripts/constraints.txt | cksum | cut -d' ' -f1)
  if [ "$(cat ".venv/lsgen-$extra" 2>/dev/null)" != "$want" ] &&
    { [ "$extra" != core ] || [ "$(cat .venv/lsgen-dev 2>/dev/null)" != "$want" ]; }; then
    local python=${PYTHON:-python3}
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
      echo "expected Python 3.11 or newer, got $("$python" --version 2>&1): set PYTHON to one" >&2
      exit 2
    }
    [ -x .venv/bin/python ] || { echo "Creating .venv"; "$python" -m venv .venv; }
    echo "Installing $target into .venv (about two minutes the first time)"
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --constraint scripts/constraints.txt --editable "$target"
    echo "$want" > ".venv/lsgen-$extra"
  fi
  PATH="$PWD/.venv/bin:$PATH"
}
