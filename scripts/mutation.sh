#!/bin/sh
# Mutation testing of some files by mutmut, in a copy: sh scripts/mutation.sh VENV TESTS FILE...
# Prints how many mutants survived, and shows each.  Nothing in the tree is changed.
# With SAMPLE=300 (and SEED=1) that many mutants, drawn at random from all of the files.
set -eu
venv=$1 tests=$2
shift 2
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
mkdir -p "$copy/$(dirname "$tests")"
cp -r oom_sentinel bench config "$copy/"
cp -r "$tests" "$copy/$(dirname "$tests")/"
# Replays of many traces take half a minute each time.
rm -f "$copy/$tests/test_replay.py"
cp test/*.py "$copy/test/"
cp -r test/fixtures "$copy/test/"
rm "$copy"/test/test_*.py
cat >> "$copy/test/conftest.py" <<'END'

hypothesis.settings.register_profile(
    'mutants', deadline=None, derandomize=True, max_examples=25)
hypothesis.settings.load_profile('mutants')
END
{
  printf '[mutmut]\nsource_paths=oom_sentinel\nonly_mutate='
  printf '%s\n    ' "$@"
  printf '\nalso_copy=bench\n    config\n    test\n'
  printf '\npytest_add_cli_args_test_selection=%s\n' "$tests"
  printf 'pytest_add_cli_args=-p\n    no:cacheprovider\n'
  # What mypy refuses, make test refuses.
  printf 'type_check_command=%s\n    -m\n    mypy\n    --output\n    json\n' "$venv/bin/python"
  printf '    --ignore-missing-imports\n    oom_sentinel\n'
  printf '[tool:pytest]\ntestpaths=test\npythonpath=test\n'
} > "$copy/setup.cfg"
cd "$copy"
names=
if [ -n "${SAMPLE:-}" ]; then
  # Without a mutant of that name it makes the mutants, sees which test covers which, and ends.
  "$venv/bin/mutmut" run none > made.log 2>&1 || true
  grep -q 'nothing matches' made.log || { tr '\r' '\n' < made.log | tail -n 30; exit 1; }
  names=$("$venv/bin/mutmut" results | sed -n 's/^ *\(.*\): not checked$/\1/p' |
    "$venv/bin/python" -c 'import random, sys
names = sys.stdin.read().split()
print(len(names), "mutants in all", file=sys.stderr)
count, seed = map(int, sys.argv[1:])
print(*random.Random(seed).sample(names, min(count, len(names))))' "$SAMPLE" "${SEED:-1}")
fi
# Names are words: no space is in them.
"$venv/bin/mutmut" run --max-children "${JOBS:-2}" $names > run.log 2>&1 || { tr '\r' '\n' < run.log | tail -n 30; exit 1; }
tr '\r' '\n' < run.log | grep '/.*🎉' | tail -n 1
survivors=$("$venv/bin/mutmut" results | sed -n 's/^ *\(.*\): \(survived\|no tests\|suspicious\)$/\1/p')
for mutant in $survivors; do
  "$venv/bin/mutmut" show "$mutant" | grep -v '^---\|^+++\|^ '
done
