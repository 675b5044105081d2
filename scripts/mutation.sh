#!/bin/sh
# Mutation testing of some files by mutmut, in a copy: sh scripts/mutation.sh VENV TESTS FILE...
# Prints how many mutants survived, and shows each.  Nothing in the tree is changed.
set -eu
venv=$1 tests=$2
shift 2
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
mkdir -p "$copy/$(dirname "$tests")"
cp -r oom_sentinel "$copy/"
cp -r "$tests" "$copy/$(dirname "$tests")/"
# Replays of many traces take half a minute each time.
rm -f "$copy/$tests/test_replay.py"
for helper in test/*.py; do
  case $helper in test/conftest.py | test/test_*) ;; *) cp "$helper" "$copy/test/" ;; esac
done
cat > "$copy/test/conftest.py" <<'END'
import hypothesis

hypothesis.settings.register_profile(
    'mutants', deadline=None, derandomize=True, max_examples=25)
hypothesis.settings.load_profile('mutants')
END
{
  printf '[mutmut]\nsource_paths=oom_sentinel\nonly_mutate='
  printf '%s\n    ' "$@"
  printf '\npytest_add_cli_args_test_selection=%s\n' "$tests"
  printf 'pytest_add_cli_args=-p\n    no:cacheprovider\n'
  printf '[tool:pytest]\ntestpaths=test\npythonpath=test\n'
} > "$copy/setup.cfg"
cd "$copy"
"$venv/bin/mutmut" run --max-children "${JOBS:-2}" | tr '\r' '\n' | tail -n 1
survivors=$("$venv/bin/mutmut" results | sed -n 's/^ *\(.*\): survived$/\1/p')
for mutant in $survivors; do
  "$venv/bin/mutmut" show "$mutant" | grep -v '^---\|^+++\|^ '
done
